"""`efsim init`: what it writes runs as it stands, whatever kinds are asked for."""

import re
import tomllib

import pytest
from command_line import efsim, refused

from experiments import catalogue
from experiments.config import parse_config
from experiments.plan import make_plan
from experiments.raw_config import reduced
from experiments.spec import constructors
from experiments.starter import starter
from experiments.starter_choice import FILL_IN, METHOD, PROBLEM
from problems import Problem
from problems.registry import load_plugin, registered
from simulator import Method


def shipped(base: type) -> list[str]:
    return list(catalogue.shipped(constructors(base)))


def test_the_default_runs_as_it_stands_and_its_claims_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "next: efsim run experiment.toml" in efsim("init").stdout
    assert efsim("run", "experiment.toml").exit_code == 0
    done = efsim("verify", tmp_path / "results" / "experiment")
    assert done.exit_code == 0 and "claim:" in done.stdout and "VIOLATED" not in done.stdout
    assert efsim("run", "experiment.toml", "--reduced", "--out", "small").exit_code == 0
    assert efsim("verify", "small").exit_code == 0


@pytest.mark.parametrize("kind", shipped(Method))
def test_a_config_of_every_method_can_be_run(kind):
    raw = tomllib.loads(starter("x", method=kind))
    plan = make_plan(parse_config(raw))
    assert {batch.case.method.kind for batch in plan.batches} == {kind}
    assert parse_config(reduced(raw)).rounds < plan.config.rounds
    if not registered(Method)[kind].theorems:
        assert raw["method"][0]["stepsize"] and "expect" not in raw
        return
    if not plan.batches[0].case.method.theorems:
        return  # which would name its stepsizes, and be expected to hold
        return
    rules = raw["method"][0]["stepsize"]["rule"]
    assert plan.config.expect[0].theorem == rules[0]
    theorem = plan.batches[0].case.method.theorem(rules[0])
    assert any(theorem.speaks_of(batch.case.constants, gamma) for batch in plan.batches for gamma in batch.stepsizes)


@pytest.mark.parametrize("kind", shipped(Problem))
def test_a_config_of_every_problem_can_be_run(kind):
    assert make_plan(parse_config(tomllib.loads(starter("x", problem=kind)))).batches


def test_every_field_is_there_with_its_meaning():
    text = starter("x")
    for meaning in (
        "n. smoothness_ratio is at most",
        "how the L_i differ",
        "# Random quadratics",
        "begins with: grad",
    ):
        assert meaning in text
    assert {"# profile", "# curvature", "# initial", "workers"} <= {line.split(" =")[0] for line in text.splitlines()}
    assert max(map(len, text.splitlines())) <= 120 and "[[expect]]" in text and "[reduced]" in text


def test_what_is_commented_out_are_the_defaults():
    """Without the signs before them, the fields give the same experiment."""
    text = starter("x")
    given = re.sub(r"^# (?=\w+ = [^.])", "", text, flags=re.MULTILINE)
    whole, short = (parse_config(tomllib.loads(each)) for each in (given, text))
    assert (whole.problems, whole.methods) == (short.problems, short.methods)
    assert len(tomllib.loads(given)["problem"]) > len(tomllib.loads(text)["problem"])


PLUGIN = """
from problems import Quadratic, frozen_pytree

@frozen_pytree
class Named(Quadratic):
    recipes = {"named-quadratic": "named"}
    @classmethod
    def named(cls, workers: int, colour: str, dim: int = 3) -> "Named":
        \"\"\"A quadratic with a colour.\"\"\"
        if colour not in ("red", "blue"):
            from problems import InvalidInput
            raise InvalidInput(f"no colour: {colour}")
        return cls.random(workers, dim)
"""


def test_a_field_for_which_no_value_is_known_has_to_be_filled_in(tmp_path):
    (tmp_path / "named.py").write_text(PLUGIN)
    load_plugin(tmp_path / "named.py")
    text = starter("x", problem="named-quadratic")
    assert f'colour = "{FILL_IN}"  # text; this has to be filled in' in text
    parse_config(tomllib.loads(text))
    made = make_plan(parse_config(tomllib.loads(text.replace(FILL_IN, "red"))))
    assert made.batches[0].case.problem.num_workers == 20


def test_nothing_is_overwritten(tmp_path):
    file = tmp_path / "mine.toml"
    assert efsim("init", file, "--method", "gd").exit_code == 0
    before = file.read_text()
    assert 'name = "mine"' in before and "exists already" in refused("init", file)
    assert file.read_text() == before


def test_standard_output_and_strange_names(tmp_path):
    assert tomllib.loads(efsim("init", "-").stdout)["name"] == "experiment"
    assert efsim("init", tmp_path / "a b (c).toml").exit_code == 0
    assert tomllib.loads((tmp_path / "a b (c).toml").read_text())["name"] == "abc"


def test_mistakes(tmp_path):
    assert "did you mean 'ef21'?" in refused("init", tmp_path / "x.toml", "--method", "ef2")
    assert "unknown problem 'quadratics'" in refused("init", tmp_path / "x.toml", "--problem", "quadratics")
    assert "cannot write" in refused("init", tmp_path / "none" / "x.toml")
    assert not list(tmp_path.iterdir())
    assert (PROBLEM, METHOD) == ("quadratic", "ef21")
