"""efsim falsify and efsim replay, as a user types them: what is true, what is false, and every mistake."""

import json
from pathlib import Path

import pytest
from command_line import efsim, refused

from experiments.cli import main
from experiments.commands.falsify import Seconds

# Gradient descent with twice the largest stepsize that it can have, under the name of its own theorem.
FALSE = """
from dataclasses import replace
from problems import frozen_pytree
from simulator import GD

@frozen_pytree
class Hasty(GD):
    kind = "hasty-gd-of-a-test"
    theorems = (replace(GD.theorems[0], name="hasty", max_stepsize=lambda c: 4 / c.smoothness),)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("falsify")


@pytest.fixture(scope="module")
def plugin(folder) -> Path:
    path = folder / "hasty.py"
    path.write_text(FALSE)
    return path


@pytest.fixture(scope="module")
def survivor(folder) -> Path:
    path = folder / "new" / "smooth.json"
    done = efsim("falsify", "gd/smooth", "--budget", "0.001s", "--out", path)
    assert done.exit_code == 0 and "survived: ratio" in done.stdout and f"next: efsim replay {path}" in done.stdout
    return path


@pytest.fixture(scope="module")
def counterexample(folder, plugin) -> Path:
    path = folder / "hasty.json"
    done = efsim("falsify", "hasty", "--plugin", plugin, "--out", path, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1 and "searching for 60 s" in done.stderr
    assert (told["method"], told["theorem"], told["verdict"]) == ("hasty-gd-of-a-test", "hasty", "broken")
    assert told["excess"] is None or told["excess"] > 0.1
    assert (told["file"], told["restarts"]) == (str(path), 32)  # found at once
    return path


def test_a_survivor_is_replayed(survivor):
    done = efsim("replay", survivor)
    assert done.exit_code == 0 and "the theorem holds here" in done.stdout
    told = json.loads(efsim("replay", survivor, "--json").stdout)
    assert told["file"] == str(survivor) and told["broken"] is False and told["constants"]["smoothness"] > 0


def test_a_counterexample_is_replayed_with_exit_status_1(counterexample, plugin):
    done = efsim("replay", counterexample, "--plugin", plugin)
    assert done.exit_code == 1 and "the theorem is broken" in done.stdout
    assert json.loads(efsim("replay", counterexample, "--json").stdout)["broken"] is True


def test_nothing_is_overwritten(survivor, tmp_path, monkeypatch):
    before = survivor.read_bytes()
    assert f"{survivor} exists already; name another file" in refused("falsify", "gd/smooth", "--out", survivor)
    monkeypatch.chdir(tmp_path)
    Path("gd-smooth.json").write_text("mine")
    assert "gd-smooth.json exists already" in refused("falsify", "gd/smooth")
    assert survivor.read_bytes() == before and Path("gd-smooth.json").read_text() == "mine"


def test_theorems_that_are_none_or_of_several_methods(tmp_path):
    assert "did you mean 'clones'" in refused("falsify", "clnes")
    told = refused("falsify", "quadratic-mean")
    assert "methods have a theorem 'quadratic-mean'; say which:" in told and "ef21/quadratic-mean, " in told
    assert "did you mean 'ef21'" in refused("falsify", "ef2/quadratic-mean")
    assert "did you mean 'quadratic-mean'" in refused("falsify", "ef21/quadratic-meen")
    assert "dgc has no theorem to break" in refused("falsify", "dgc/nonconvex")
    assert "no such file" in refused("falsify", "gd/smooth", "--plugin", tmp_path / "none.py")


@pytest.mark.parametrize("budget", ["60", "0s", "-3s", "", "s", "soon", "nans", "infs", "1e400h"])
def test_budgets_that_are_no_time(budget):
    assert "is no time; give one such as 60s, 5m or 1h" in refused("falsify", "gd/smooth", f"--budget={budget}")


def test_budgets():
    given = {"60s": 60.0, "5m": 300.0, "1h": 3600.0, "0.5m": 30.0}
    assert {text: Seconds().convert(text, None, None) for text in given} == given


def test_other_mistakes(survivor, tmp_path):
    assert "-1 is not in the range" in refused("falsify", "gd/smooth", "--seed", "-1")
    assert "cannot create" in refused("falsify", "gd/smooth", "--out", survivor / "below.json")
    assert "cannot read" in refused("replay", tmp_path / "none.json")
    assert "cannot read" in refused("replay", tmp_path)
    (tmp_path / "damaged.json").write_text(survivor.read_text().replace('"ratio": ', '"ratio": 7'))
    assert "claims ratio = 7" in refused("replay", tmp_path / "damaged.json")
    (tmp_path / "half.json").write_bytes(survivor.read_bytes()[:100])
    assert "is no file of efsim falsify" in refused("replay", tmp_path / "half.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    assert "is no file of efsim falsify" in refused("replay", tmp_path / "bytes.json")


def test_a_shell_completes_theorems():
    (theorem,) = (each for each in main.commands["falsify"].params if each.name == "theorem")
    context = main.commands["falsify"].make_context("falsify", ["x"])
    assert [item.value for item in theorem.shell_complete(context, "gd/sm")] == ["gd/smooth", "gd/smooth-pl"]
