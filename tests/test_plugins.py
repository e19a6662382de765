"""Plugins: a class in a file outside the packages, or in another installed package, is a registered class."""

import json
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
from command_line import efsim

from experiments.config import parse_config
from problems import InvalidInput
from problems.registry import load_entry_points, load_plugin, registered
from simulator import Compressor, Method

TOY = '''
"""A toy."""
import jax.numpy as jnp
from typing import NamedTuple

from jax import Array

from problems import frozen_pytree
from simulator import Descent, Identity, Method, Traffic, dense, traffic


class State(NamedTuple):
    x: Array
    gradients: Array
    traffic: Traffic


@frozen_pytree
class KIND(Method):
    """x+ = x - (gamma / slowness) grad f(x)."""

    slowness: float = 2.0
    compressor = Identity()
    kind = "KIND"
    theorems = (
        Descent(
            name="slow",
            reference="derived: descent lemma",
            formula="1 / L",
            max_stepsize=lambda c: 1 / c.smoothness,
            progress=lambda c, stepsize: 0.25,
        ),
    )

    def init(self, problem, x0, key):
        return State(x0, problem.worker_gradients(x0), traffic(dense(0), dense(0)))

    def step(self, problem, stepsize, state, key):
        x = state.x - stepsize / self.slowness * jnp.mean(state.gradients, axis=0)
        return State(x, problem.worker_gradients(x), traffic(dense(len(x)), dense(len(x))))
'''

CONFIG = """
name = "toy"
plugins = ["plugins/toy.py"]
rounds = 12
payload = 64
[problem]
kind = "quadratic"
workers = 3
dim = 4
[[method]]
kind = "toy"
stepsize = { rule = "slow", multiple = [1, 8] }
"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def toy(path: Path, kind: str) -> Path:
    return written(path, TOY.replace("KIND", kind))


def test_a_config_names_its_plugin_and_the_results_find_it_again(tmp_path, monkeypatch):
    file = toy(tmp_path / "plugins" / "toy.py", "toy")
    config, out = written(tmp_path / "toy.toml", CONFIG), tmp_path / "elsewhere" / "out"
    assert efsim("run", config, "--out", out).exit_code == 0
    monkeypatch.chdir(tmp_path.parent)  # the path in the results depends neither on the config's folder nor on ours
    done = efsim("verify", out)
    assert done.exit_code == 0, done.stderr
    assert "slow" in done.stdout and " 1/1" in done.stdout
    assert efsim("plot", out, "--figure", "loss-gap-by-rounds").exit_code == 0
    assert "toy: x+ = x - (gamma / slowness) grad f(x)." in efsim("list", "methods").stdout
    traces = pd.read_parquet(out / "traces")
    assert set(traces[traces["round"] == 12].bits_per_worker) == {12 * 4 * 64}
    recorded = json.loads((out / "provenance.json").read_text())["plugins"]
    assert recorded == {str(file): sha256(file.read_bytes()).hexdigest()}
    file.unlink()
    assert f"plugins[0]: cannot read the plugin {file}: there is no such file" in efsim("verify", out).stderr


def test_a_path_that_comes_from_elsewhere_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    toy(tmp_path / "toy.py", "toy")
    monkeypatch.chdir(tmp_path)
    raw = tomllib.loads(CONFIG) | {"plugins": ["toy.py"]}
    assert parse_config(raw).raw["plugins"] == [str(tmp_path / "toy.py")]


def test_loading_twice_is_loading_once(tmp_path):
    file = toy(tmp_path / "twice.py", "twice")
    module = load_plugin(file)
    (tmp_path / "link.py").symlink_to(file)
    assert load_plugin(str(file)) is module is load_plugin(tmp_path / "link.py")
    assert [cls for cls in Method.__subclasses__() if cls.__module__ == module.__name__] == [
        registered(Method)["twice"]
    ]


def test_an_entry_point_of_an_installed_package(tmp_path, monkeypatch):
    toy(tmp_path / "toy_package" / "__init__.py", "packaged")
    info = tmp_path / "toy_package-1.0.dist-info"
    written(info / "METADATA", "Metadata-Version: 2.1\nName: toy-package\nVersion: 1.0\n")
    written(info / "entry_points.txt", "[efsim.plugins]\ntoy = toy_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_entry_points.cache_clear()
    assert "packaged" not in registered(Method)
    text = CONFIG.replace("plugins =", "description = 'x' #").replace('"toy"\nstep', '"packaged"\nstep')
    done = efsim("run", written(tmp_path / "toy.toml", text), "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert efsim("verify", tmp_path / "out").exit_code == 0

    written(tmp_path / "broken.py", "1 / 0\n")
    written(info / "entry_points.txt", "[efsim.plugins]\ntoy = broken\n")
    load_entry_points.cache_clear()
    told = efsim("list", "methods")
    assert told.exit_code == 2 and "cannot import the plugin 'toy' of toy-package (entry point 'broken'" in told.stderr
    assert "ZeroDivisionError" in told.stderr
    load_entry_points.cache_clear()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (None, "there is no such file; a plugin is a Python file"),
        ("def broken(:\n", "SyntaxError: invalid syntax (bad.py, line 1)"),
        ("import nowhere\n", "bad.py, line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1\nraise SystemExit(3)\n", "bad.py, line 2: SystemExit: 3"),
        (TOY.replace("@frozen_pytree", "").replace("KIND", "bad"), "bad must be decorated with frozen_pytree"),
        (TOY.replace('kind = "KIND"', "").replace("KIND", "bad"), "the class bad has no `kind`"),
        (TOY.replace("KIND", "bad") + "\n1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_told_and_leaves_nothing_behind(tmp_path, code, expected):
    if code is not None:
        written(tmp_path / "bad.py", code)
    config = written(tmp_path / "toy.toml", CONFIG.replace("plugins/toy.py", "bad.py"))
    done = efsim("run", config, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "plugins[0]: " in done.stderr and expected in done.stderr
    assert str(tmp_path / "bad.py") in done.stderr and not (tmp_path / "out").exists()
    assert "bad" not in registered(Method)
    assert not [
        name for name, module in sys.modules.items() if getattr(module, "__file__", "") == str(tmp_path / "bad.py")
    ]


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="it is not a Python file"):
        load_plugin(written(tmp_path / "notes.txt", "x"))
    with pytest.raises(InvalidInput, match="there is no such file"):
        load_plugin(tmp_path)


@pytest.mark.parametrize("given", ["file.py", [3], {"a": 1}])
def test_plugins_that_are_no_list_of_paths(given):
    with pytest.raises(InvalidInput, match=r"^plugins"):
        parse_config({"name": "x", "plugins": given})


def test_a_parameter_that_no_config_can_give_is_named(tmp_path):
    code = TOY.replace("KIND", "strange").replace("slowness: float = 2.0", "slowness: State = None")
    file = written(tmp_path / "strange.py", code)
    try:
        with pytest.raises(InvalidInput, match=r"strange \(strange\) has a parameter that no config can give"):
            parse_config({"name": "x", "plugins": [str(file)]})
    finally:  # or every config of this process would fail
        sys.modules.pop(load_plugin(file).__name__)
    assert "strange" not in registered(Method)


def test_a_method_that_declares_too_little_is_told(tmp_path):
    file = toy(tmp_path / "scant.py", "scant")
    file.write_text(file.read_text().replace("    compressor = Identity()\n", ""))
    method = {"kind": "scant", "stepsize": 0.1}
    problem = {"kind": "quadratic", "workers": 3, "dim": 4}
    with pytest.raises(InvalidInput, match=r"method\[0\] \(scant\): the class scant declares no compressor"):
        parse_config({"name": "x", "plugins": [str(file)], "rounds": 1, "problem": problem, "method": [method]})


def test_an_undecorated_dataclass_is_refused_when_it_is_built(tmp_path):
    """`dataclass` instead of `frozen_pytree`: JAX would not know it."""
    file = written(
        tmp_path / "plain.py",
        """
from dataclasses import dataclass
from simulator import Identity

@dataclass(frozen=True)
class Plain(Identity):
    kind = "plain"
""",
    )
    load_plugin(file)
    method = {"kind": "ef21", "compressor": {"kind": "plain"}, "stepsize": 0.1}
    problem = {"kind": "quadratic", "workers": 3, "dim": 4}
    try:
        registered_plain = registered(Compressor)["plain"]
        with pytest.raises(InvalidInput, match="Plain must be decorated with frozen_pytree"):
            parse_config({"name": "x", "rounds": 1, "problem": problem, "method": [method]})
        assert registered_plain.kind == "plain"
    finally:
        sys.modules.pop(load_plugin(file).__name__)
