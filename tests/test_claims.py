"""Claims: what configs may expect, what counts as met, and that nothing unknown ever does."""

import tomllib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.claims import (
    Claim,
    Findings,
    Status,
    check,
    claims_of_plan,
    claims_of_verdicts,
    render_outcomes,
    report,
)
from experiments.cli import main
from experiments.config import parse_config
from experiments.execute import run_sweep
from experiments.plan import make_plan
from experiments.raw_config import reduced
from experiments.selection import MEASURED, select
from experiments.verdicts import Judgement, judge
from problems import InvalidInput

CONFIG = """
name = "small"
rounds = 400
record_every = 100
target = 1e-2
[problem]
kind = "quadratic"
workers = 16
dim = 4
smoothness_ratio = [1.0, 2.0, 4.0]
pl_constant = 0.5
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = ["quadratic-mean", "arithmetic-mean"] }
"""

SLOPE = {"kind": "exponent", "against": "L_QM/L_AM", "between": [0.9, 1.1]}
RATIO = {
    "kind": "rounds-ratio",
    "of": {"rule": "quadratic-mean", "problem": {"smoothness_ratio": 4}},
    "to": {"rule": "arithmetic-mean", "problem.smoothness_ratio": 4.0},
    "equals": 4,
    "tolerance": 0.2,
}
VERDICT = {"kind": "verdict", "method": "ef21", "theorem": "arithmetic-mean"}


def small(*expect: dict[str, Any], **fields: Any) -> Any:
    return parse_config(tomllib.loads(CONFIG) | {"expect": list(expect)} | fields)


def errors_of(*expect: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        small(*expect)
    return str(caught.value).splitlines()


def rounds_at(ratio: float, rule: str, seed: int) -> float:
    """Of a made-up sweep: in proportion to the ratio or flat; the seeds differ, and the middle one counts."""
    return (100 * ratio if rule == "quadratic-mean" else 100) * (1, 1.01, 50)[seed]


def made_up(**changes: Any) -> Any:
    """Findings of a sweep that nobody ran."""
    rows = [
        {
            **{"run": f"{ratio}-{rule}-{seed}", "seed": seed, "problem.kind": "quadratic", "method.kind": "ef21"},
            **{"problem.smoothness_ratio": ratio, "rule": rule, "multiple": 1.0, "stepsize": 0.1, "L_AM": 1.0},
            **{"L_QM": ratio, "mu": np.nan, "target_round": rounds_at(ratio, rule, seed), "final_grad_norm_sq": 0.3},
            **changes,
        }
        for ratio in (1.0, 2.0, 4.0)
        for rule in ("quadratic-mean", "arithmetic-mean")
        for seed in range(3)
    ]
    return SimpleNamespace(rows=rows, verdicts=[], results=SimpleNamespace(config=small()))


def outcome(expectation: dict[str, Any], findings: Any) -> Any:
    (model,) = small(expectation).expect
    return check(Claim(model, "a paper"), findings)


@pytest.mark.parametrize(
    ("expectation", "status", "told"),
    [
        (SLOPE | {"where": {"rule": "quadratic-mean"}}, Status.MET, "the slope is 1 (95% interval"),
        (
            SLOPE | {"where": {"rule": "arithmetic-mean"}},
            Status.NOT_MET,
            "target_round is 101 at 1, 101 at 4; worst at",
        ),
        (SLOPE | {"between": [0, 0.3], "where": {"rule": "arithmetic-mean"}}, Status.MET, "the slope is"),
        (SLOPE | {"against": "mu"}, Status.UNDECIDED, "mu of run 1.0-quadratic-mean-0 is not a positive number"),
        (SLOPE | {"against": "L_AM"}, Status.UNDECIDED, "1 different values of L_AM, where 3 are needed for a slope"),
        (SLOPE | {"of": "multiple", "between": [-0.1, 0.1]}, Status.MET, "the slope is 0"),
        (RATIO, Status.MET, "the ratio is 4, 0.00% away from 4: 404 rounds at rule = quadratic-mean, smoothness_ratio"),
        (RATIO | {"equals": 6}, Status.NOT_MET, "33.33% away from 6"),
    ],
)
def test_numbers_are_held_to_what_is_expected(expectation, status, told):
    found = outcome(expectation, made_up())
    assert found.status is status and told in found.reason


@pytest.mark.parametrize("expectation", [SLOPE, RATIO])
def test_a_target_that_is_not_reached_decides_nothing(expectation):
    found = outcome(expectation, made_up(target_round=np.nan))
    assert found.status is Status.UNDECIDED
    assert "have not reached |grad f(x)|^2 <= 0.01 |grad f(x^0)|^2 in 400 rounds" in found.reason
    assert "at least 0.3 is left" in found.reason
    assert outcome(expectation, made_up(target_round=0.0)).status is Status.UNDECIDED


@pytest.mark.parametrize(
    ("judgement", "expected", "status"),
    [
        (Judgement.HOLDS, "holds", Status.MET),
        (Judgement.HOLDS, "violated", Status.NOT_MET),
        (Judgement.VIOLATED, "holds", Status.NOT_MET),
        (Judgement.VIOLATED, "violated", Status.MET),
        (Judgement.UNDECIDED, "holds", Status.UNDECIDED),
        (Judgement.UNDECIDED, "violated", Status.UNDECIDED),
        (Judgement.UNDECIDED, "undecided", Status.MET),
        (Judgement.VIOLATED, "undecided", Status.NOT_MET),
        (None, "holds", Status.UNDECIDED),
        *((other, "holds", Status.UNDECIDED) for other in Judgement if other not in ("holds", "VIOLATED")),
    ],
)
def test_a_verdict_is_held_to_the_expected_one(judgement, expected, status):
    verdict = SimpleNamespace(
        **{"method": "ef21", "theorem": "arithmetic-mean", "judgement": judgement, "reason": "run a: round 7"},
        **{"smallest_slack": -0.25, "tightness": 1.5, "steps": 9},
    )
    findings = made_up()
    findings.verdicts = [verdict] if judgement else []
    found = outcome(VERDICT | {"verdict": expected}, findings)
    assert found.status is status
    numbers = "run a: round 7; 9 rounds judged, smallest slack -0.25, largest measured / bound 1.5"
    assert (numbers if judgement else "the theorem speaks of no run") in found.reason


def test_a_theorem_that_is_judged_on_parts_of_the_runs_gets_the_gravest_verdict():
    judgements = [Judgement.HOLDS, Judgement.VIOLATED, Judgement.UNDECIDED]
    same = {
        "method": "ef21",
        "theorem": "arithmetic-mean",
        "reason": "",
        "smallest_slack": 0.1,
        "tightness": 1,
        "steps": 9,
    }
    findings = made_up()
    findings.verdicts = [SimpleNamespace(judgement=judgement, **same) for judgement in judgements]
    assert outcome(VERDICT, findings).status is Status.NOT_MET
    findings.verdicts.pop(1)
    assert outcome(VERDICT, findings).status is Status.UNDECIDED


def test_an_outcome_says_claim_reference_and_numbers_in_lines_that_fit():
    text = str(outcome(RATIO | {"equals": 6}, made_up()))
    assert text.startswith(
        "claim:      the ratio of the rounds at rule = quadratic-mean, smoothness_ratio = 4 to rounds"
    )
    assert "\nreference:  a paper\nNOT MET:    the ratio is 4" in text
    assert max(map(len, text.splitlines())) <= 110


def test_every_mistake_is_told_with_its_place():
    told = errors_of(
        VERDICT | {"method": "ef22"},
        VERDICT | {"theorem": "arithmetic-men"},
        SLOPE | {"against": "L_QN/L_AM", "where": {"rule": "quadratic"}},
        SLOPE | {"of": "target_rounds"},
        RATIO | {"of": {"rule": "quadratic-mean"}, "to": {"problem": {"smothness_ratio": 1}}},
        VERDICT,
        VERDICT | {"verdict": "violated"},
    )
    expected = [
        ("expect[0].method: 'ef22' is not accepted; accepted: those of this config, ef21", "did you mean 'ef21'?"),
        ("expect[1].theorem: 'arithmetic-men' is no theorem of ef21; accepted: ", "did you mean 'arithmetic-mean'?"),
        ("expect[2].against: unknown column 'L_QN'; accepted: L, L_AM, ", "did you mean 'L_QM'?"),
        ("expect[2].where: no run with rule = 'quadratic'; accepted here: ", "arithmetic-mean, quadratic-mean"),
        ("expect[3].of: unknown column 'target_rounds'", "did you mean 'target_round'?"),
        ("expect[4].of: selects 3 configurations, which differ in problem.smoothness_ratio; needed is one", ""),
        ("expect[4].to: unknown column 'problem.smothness_ratio'", "did you mean 'problem.smoothness_ratio'?"),
        ("expect[6]: ef21/arithmetic-mean: expect[5] is about this already", ""),
    ]
    assert len(told) == len(expected)
    for line, (start, end) in zip(told, expected, strict=True):
        assert line.startswith(start) and line.endswith(end)


def test_expectations_and_methods_are_told_together():
    method = {"kind": "ef21", "compressor": {"kind": "top-k", "k": 0}, "stepsize": 0.1}
    with pytest.raises(InvalidInput) as caught:
        small(VERDICT | {"method": "gd"}, method=[method])
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["method[0]", "expect[0].method:"]


def test_every_field_is_checked():
    assert errors_of(
        {"kind": "exponnent"},
        {"method": "ef21"},
        VERDICT | {"verdict": "true", "theorm": "x"},
        {"kind": "rounds-ratio", "of": 3, "to": {"rule": ["a"]}, "equals": -1, "tolerance": "x"},
        SLOPE | {"between": [1.1, 0.9]},
        SLOPE | {"between": [1.0]},
    ) == [
        "expect[0].kind: unknown kind 'exponnent'; accepted: verdict, rounds-ratio, seconds-ratio, exponent; did you "
        "mean 'exponent'?",
        "expect[1]: needs a kind",
        "expect[2].verdict: 'true' is not accepted; accepted: holds, violated, undecided",
        "expect[2].theorm: unknown field; accepted: kind, method, theorem, verdict; did you mean 'theorem'?",
        "expect[3].of: needs a table, such as { kind = ... }, not 3",
        "expect[3].to: rule must be a number, a word, true or false, not {'rule': ['a']}",
        "expect[3].equals: input should be greater than 0, not -1",
        "expect[3].tolerance: input should be a valid number, not 'x'",
        "expect[4].between: must be [low, high] with low < high, not [1.1, 0.9]",
        "expect[5].between: must be [low, high] with low < high, not [1.0]",
    ]


def test_a_selection_names_components_by_their_kind():
    method = {
        "kind": "ef21",
        "compressor": [{"kind": "top-k", "k": [1, 2]}, {"kind": "identity"}],
        "stepsize": [0.1, 0.2],
    }
    one = {"method": {"kind": "ef21", "compressor": {"kind": "top-k", "k": 2}}, "stepsize": 0.2}
    other = {"method.compressor": "identity", "stepsize": 0.1, "problem": "quadratic"}
    problem = {"kind": "quadratic", "workers": 4, "dim": 3}
    ratio = RATIO | {"of": one, "to": other}
    assert len(small(ratio, problem=problem, method=[method]).expect) == 1
    with pytest.raises(InvalidInput, match=r"expect\[0\].of: selects 2 configurations, which differ in stepsize"):
        small(ratio | {"of": {"method": {"compressor.k": 2}}}, problem=problem, method=[method])


def test_unset_selects_where_there_is_no_value():
    before: Any = [{"method.clip": None}, {"method.clip": 0.5}, {}]
    after: Any = [{"method.clip": np.nan}, {"method.clip": 0.5}]
    assert [select(rows, {"method.clip": "unset"}) for rows in (before, after)] == [[before[0], before[2]], after[:1]]
    with pytest.raises(InvalidInput, match=r"no run with method\.clip = 'unset'"):
        select(after[1:], {"method.clip": "unset"})


def test_a_sweep_from_config_to_claims(tmp_path):
    """Every theorem that has a verdict is a claim that is known before the sweep is computed."""
    stepsizes = {"rule": "smooth", "multiple": [1, 0.5, 0.25]}
    problem = {"kind": "quadratic", "workers": 4, "dim": 3, "pl_constant": 0.5}
    fields = {"problem": problem, "method": [{"kind": "gd", "stepsize": stepsizes}]}
    slope = {"kind": "exponent", "against": "multiple", "between": [-1.2, -0.8]}
    ratio = RATIO | {"of": {"multiple": 0.25}, "to": {"multiple": 0.5}, "equals": 2}
    config = small(slope, VERDICT | {"method": "gd", "theorem": "smooth", "verdict": "violated"}, ratio, **fields)
    results = run_sweep(config, tmp_path / "out")
    verdicts = judge(results)
    planned, found = claims_of_plan(make_plan(config)), claims_of_verdicts(verdicts, config.expect)
    assert planned == found and len(planned) == len(verdicts) + 2
    outcomes = {outcome.claim.name: outcome for outcome in report(results, verdicts)}
    assert outcomes.pop("gd/smooth").status is Status.NOT_MET  # the config's own word counts
    assert all(outcome.status is Status.MET for outcome in outcomes.values())
    assert render_outcomes(report(results, verdicts), config).count("claim:") == 3
    assert all(outcome.claim.reference for name, outcome in outcomes.items() if name.startswith("gd/"))
    assert set(MEASURED) <= set(results.runs.columns)

    written = (tmp_path / "out" / "config.toml").read_text()
    assert run_sweep(config, tmp_path / "out").config == config
    assert (tmp_path / "out" / "config.toml").read_text() == written
    other = small(slope | {"between": [5, 6]}, description="no reason to compute again", **fields)
    (again,) = report(run_sweep(other, tmp_path / "out"), [])
    assert again.status is Status.NOT_MET and (tmp_path / "out" / "config.toml").read_text() != written
    assert Findings(results, []).rows[0]["problem.kind"] == "quadratic"
    with pytest.raises(InvalidInput, match=r"another config \(it differs in: rounds\)"):
        run_sweep(small(**fields, rounds=401), tmp_path / "out")


# [reduced]


def test_the_command_line_runs_the_reduced_config(tmp_path):
    """`--set` comes after it. Everything is a mistake here, so that nothing is computed."""
    path = tmp_path / "small.toml"
    arguments = ["run", str(path), "--reduced", "--set", "problem.dim=-7", "--out", str(tmp_path / "out")]
    for rounds, told in ((0, "rounds: input should be greater than or equal to 1, not 0"), (1, "-7")):
        path.write_text(f"{CONFIG}[reduced]\nrounds = {rounds}\nproblem.dim = 0\n")
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 2 and told in done.stderr


def test_a_reduced_config_is_the_config_with_its_table_merged_in():
    text = """
        rounds = 9
        problem.dim = 3
        "method.0.compressor.k" = 2
        method.0.stepsize = 0.5
        start = { kind = "normal" }
        [[reduced.expect]]
        kind = "verdict"
    """
    raw = tomllib.loads(CONFIG) | {"expect": [SLOPE], "reduced": tomllib.loads(text.replace("reduced.", ""))}
    before = tomllib.loads(CONFIG)
    small_raw = reduced(raw)
    assert "reduced" not in small_raw and small_raw["expect"] == [{"kind": "verdict"}]
    assert (small_raw["rounds"], small_raw["start"]) == (9, {"kind": "normal"})
    assert small_raw["problem"] == before["problem"] | {"dim": 3}
    assert small_raw["method"] == [{"kind": "ef21", "compressor": {"kind": "top-k", "k": 2}, "stepsize": 0.5}]
    assert raw["method"] == before["method"] and reduced(before) == before


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (3, "reduced: needs a table, not 3"),
        ({"method": {"1": {"k": 2}}}, "reduced.method.1.k: '1' is not an index of a list of 1 entries"),
        ({"rounds": {"x": 2}}, "reduced.rounds.x: there is no table that 'x' could be in"),
    ],
)
def test_a_reduction_that_leads_nowhere_is_refused(table, told):
    with pytest.raises(InvalidInput) as caught:
        reduced(tomllib.loads(CONFIG) | {"reduced": table})
    assert str(caught.value) == told
