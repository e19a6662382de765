"""What the README shows works as shown."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.cli import main
from problems.registry import registered
from simulator import Method, TopK

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_config_is_the_shipped_one():
    shipped = tomllib.loads((ROOT / "configs" / "quadratic-vs-arithmetic-mean.toml").read_text())
    assert tomllib.loads(blocks("toml")[0]) == shipped


def test_the_python_calls_give_what_they_say():
    shown: dict = {}
    exec(blocks("python")[0], shown)
    assert shown["trace"].grad_norm_sq.shape == (2, 201)
    assert shown["trace"].verdicts["arithmetic-mean"].violations.tolist() == [0, 0]


def test_the_method_is_registered_by_being_defined():
    shown: dict = {}
    exec(blocks("python")[1], shown)
    method = registered(Method)["single-worker-compression"](TopK(k=1))
    assert type(method) is shown["SingleWorkerCompression"]


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if "efsim" in line])
def test_the_commands_exist(line):
    words = shlex.split(line, comments=True)
    done = CliRunner().invoke(main, [*words[1:3], "--help"])
    assert words[0] == "efsim" and done.exit_code == 0


def test_the_figures_are_there():
    assert all((ROOT / path).is_file() for path in re.findall(r"!\[.*?\]\((.*?)\)", README))
