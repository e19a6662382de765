"""The command line, as a user types it."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from experiments.cli import main

# The head of a config, for a test to add its methods to.
SMALL = """
name = "small"
rounds = 60
record_every = 20
[problem]
kind = "quadratic"
workers = 9
dim = 4
smoothness_ratio = 2.5
pl_constant = 0.1
"""


def written(factory: Any, text: str) -> Path:
    """The config in a file of its own; `factory` is pytest's tmp_path_factory."""
    path = factory.mktemp("config") / "small.toml"
    path.write_text(text)
    return path


def computed(factory: Any, config: Path) -> Path:
    """The folder of its results."""
    folder = factory.mktemp("results") / "small"
    assert efsim("run", config, "--out", folder).exit_code == 0
    return folder


def efsim(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """What a user's mistake is told."""
    done = efsim(*arguments)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.stderr
    return done.stderr
