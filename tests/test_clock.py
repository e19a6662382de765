"""The clock: simulated seconds are those of a loop over rounds and workers, and no run depends on them."""

import tomllib
from dataclasses import replace
from itertools import pairwise
from math import gamma
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import efsim
from numpy.testing import assert_allclose, assert_array_equal

from experiments.claims import Findings, Outcome, Status, check, claims_of_verdicts
from experiments.clock import Clock, elapsed, with_fields
from experiments.config import parse_config
from experiments.differences import compare
from experiments.execute import run_sweep
from experiments.figures import convergence, draw_figures
from experiments.raw_config import apply_overrides
from experiments.report import write_report
from experiments.results import Results
from experiments.runs import blocks_of
from problems import InvalidInput
from simulator import (
    CO2,
    EF14,
    CyclicRepetition,
    DiLoCo,
    FedAvg,
    FixedStragglers,
    GradientCoding,
    StreamingDiLoCo,
    TopK,
)

EXPONENTIAL, HEAVY = {"kind": "exponential"}, {"kind": "heavy-tailed", "shape": 3.0}
RUN = {"num_workers": 5, "passes_per_round": 2.0, "workers_computing": 5.0, "workers_awaited": 5.0}
RUN |= {"overlapped": 0.0, "has_clock": False}
TRACE = pd.DataFrame(
    {
        "round": [0, 4, 6, 7],
        "bits_per_worker": [64.0, 464.0, 464.0, 564.0],
        "downlink_bits_per_worker": [0.0, 40.0, 60.0, 70.0],
    }
)
CONFIG = """
name = "clock"
rounds = 60
record_every = 20
target = 0.1
[problem]
kind = "quadratic"
workers = 6
dim = 10
smoothness_ratio = 1.5
pl_constant = 0.1
[clock]
latency = 1e-3
uplink = 1e5
downlink = 1e6
pass_seconds = 0.01
over_rounds = { kind = "heavy-tailed", shape = 2 }
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = "arithmetic-mean" }
[[method]]
kind = "gd"
stepsize = { rule = "smooth" }
[[expect]]
kind = "seconds-ratio"
of = { method = "ef21" }
to = { method = "gd" }
between = [1.0, 1e9]
"""


def clock(**fields) -> Clock:
    return Clock.model_validate({"uplink": 100.0, "downlink": 10.0, "pass_seconds": 0.5} | fields)


def one_worker_after_another(clock: Clock, run: dict, trace: pd.DataFrame) -> Any:
    """The seconds by a loop over rounds and workers; it draws what the clock draws."""

    def factor(distribution, drawn: float) -> float:
        match distribution.kind:
            case "fixed":
                return 1.0
            case "exponential":
                return 1 - distribution.share + distribution.share * drawn
        return (distribution.shape - 1) / distribution.shape * np.exp(drawn) ** (1 / distribution.shape)

    n, computing, awaited = (int(run[name]) for name in ("num_workers", "workers_computing", "workers_awaited"))
    own = np.random.default_rng([clock.seed, 0]).standard_exponential(n)
    draws, chances = (np.random.default_rng([clock.seed, stream]) for stream in (1, 2))
    records = trace.to_dict("records")
    time = sum(
        records[0][column] / bandwidth + clock.latency
        for column, bandwidth in (("bits_per_worker", clock.uplink), ("downlink_bits_per_worker", clock.downlink))
        if records[0][column]
    )
    found = [time]
    for before, after in pairwise(records):
        rounds = after["round"] - before["round"]
        up = (after["bits_per_worker"] - before["bits_per_worker"]) * n / computing / rounds / clock.uplink
        down = (after["downlink_bits_per_worker"] - before["downlink_bits_per_worker"]) / rounds / clock.downlink
        for _ in range(int(rounds)):
            drawn = [draws.standard_exponential() for _ in range(n)]
            chance = [chances.random() for _ in range(n)] if computing < n else [0.0] * n
            present = sorted(range(n), key=lambda i: chance[i])[:computing]
            passes = run["passes_per_round"] * n / computing
            taken = sorted(
                clock.pass_seconds * passes * factor(clock.over_workers, own[i]) * factor(clock.over_rounds, drawn[i])
                for i in present
            )[awaited - 1]
            sent = 2 * clock.latency + up + down
            time += max(taken, (1 - run["overlapped"]) * taken + sent)
            found.append(time)
    return found


@pytest.mark.parametrize("changes", [{}, {"overlapped": 0.7}, {"overlapped": 1.0}, {"workers_awaited": 3.0}])
@pytest.mark.parametrize("computing", [5.0, 4.0])
@pytest.mark.parametrize(
    "fields", [{}, {"latency": 0.2, "over_rounds": EXPONENTIAL}, {"over_rounds": HEAVY, "over_workers": EXPONENTIAL}]
)
def test_seconds_are_those_of_a_loop_over_rounds_and_workers(fields, computing, changes):
    given = clock(**fields, seed=3)
    run = RUN | {"workers_computing": computing, "workers_awaited": computing} | changes
    assert_allclose(elapsed(given, run, TRACE), one_worker_after_another(given, run, TRACE), rtol=1e-13)


def mean_of_a_round(distribution: dict, workers: int, awaited: int, rounds: int) -> float:
    run = RUN | {"num_workers": workers, "workers_computing": workers, "workers_awaited": awaited}
    silent = pd.DataFrame({"round": [0, rounds], "bits_per_worker": 0.0, "downlink_bits_per_worker": 0.0})
    return elapsed(clock(over_rounds=distribution), run | {"passes_per_round": 2.0}, silent)[-1] / rounds


@pytest.mark.parametrize(("workers", "awaited"), [(1, 1), (10, 10), (10, 7)])
def test_rounds_take_as_long_as_the_order_statistics_say_that_have_a_closed_form(workers, awaited):
    """2 passes at 0.5 s each: the mean factor itself. 40,000 rounds; the errors are below five standard deviations."""
    exponential = sum(1 / (workers - k) for k in range(awaited))
    assert_allclose(mean_of_a_round(EXPONENTIAL, workers, awaited, 40_000), exponential, rtol=0.025)
    a, late = HEAVY["shape"], workers - awaited
    pareto = (a - 1) / a * gamma(workers + 1) / gamma(late + 1) * gamma(late + 1 - 1 / a) / gamma(workers + 1 - 1 / a)
    assert_allclose(mean_of_a_round(HEAVY, workers, awaited, 40_000), pareto, rtol=0.025)
    assert mean_of_a_round({"kind": "fixed"}, workers, awaited, 10) == pytest.approx(1.0)


def test_a_longer_run_continues_the_draws_of_a_shorter_one(monkeypatch):
    given, run = clock(over_rounds=HEAVY, seed=11), RUN | {"workers_computing": 4.0, "workers_awaited": 4.0}
    short = elapsed(given, run, TRACE)
    monkeypatch.setattr("experiments.clock.DRAWS_AT_ONCE", 15)  # three rounds at once; the cache holds 7 rounds' draws
    longer = pd.concat([TRACE, TRACE.iloc[-1:].assign(round=30)])
    assert_array_equal(elapsed(given, run, longer)[:8], short)
    assert np.any(elapsed(with_fields(given, {"seed": 12}), run, TRACE) != short)


@pytest.mark.parametrize(("bits", "seconds"), [(3400.0, [44.0, 42.5, 39.0, 34.0]), (200.0, [12.0, 10.5, 10.0, 10.0])])
def test_messages_travel_while_workers_compute(bits, seconds):
    """Beside a part of 1 s of computing a round; 3.4 or 0.2 s of communication."""
    trace = pd.DataFrame({"round": [0, 10], "bits_per_worker": [0.0, bits], "downlink_bits_per_worker": 0.0})
    found = [elapsed(clock(), RUN | {"overlapped": share}, trace)[-1] for share in (0.0, 0.15, 0.5, 1.0)]
    assert_allclose(found, seconds)


@pytest.mark.parametrize(
    ("method", "share"),
    [
        (DiLoCo(), 0.0),
        (StreamingDiLoCo(local_steps=6, fragments=2), 0.0),
        (StreamingDiLoCo(local_steps=6, fragments=2, overlap=1), 1 / 3),
        (StreamingDiLoCo(local_steps=6, fragments=2, overlap=3), 1.0),
        (CO2(), 1.0),
        (CO2(delay=0), 0.0),
        (GradientCoding(EF14(TopK(1)), CyclicRepetition(1), FixedStragglers(1)), 0.0),
    ],
    ids=repr,
)
def test_methods_say_what_is_done_while_their_messages_travel(method, share):
    assert method.overlapped == pytest.approx(share) and not method.has_clock


def test_a_method_with_a_clock_of_its_own_is_refused():
    with pytest.raises(InvalidInput, match="fedavg has simulated time of its own"):
        elapsed(clock(), RUN | {"has_clock": FedAvg().has_clock, "method.kind": "fedavg"}, TRACE)
    raw = tomllib.loads(CONFIG)
    raw["method"].append({"kind": "fedavg", "stepsize": 0.1})
    with pytest.raises(InvalidInput, match=r"method\[2\] \(fedavg\): it has simulated time of its own"):
        parse_config(raw)


def test_results_of_an_older_efsim_have_no_simulated_time():
    with pytest.raises(InvalidInput, match="without a clock"):
        elapsed(clock(), {"num_workers": 3}, TRACE)


# --- in configs and results -------------------------------------------------------------------------------------------


def sweep(folder: Path, *overrides: str) -> Results:
    return run_sweep(parse_config(apply_overrides(tomllib.loads(CONFIG), overrides)), folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return sweep(tmp_path_factory.mktemp("clock") / "results")


def test_no_run_depends_on_the_clock(results, tmp_path):
    raw = tomllib.loads(CONFIG)
    without = {name: value for name, value in raw.items() if name not in ("clock", "expect")}
    ids = [[block.ids for block in blocks_of(parse_config(each))] for each in (raw, without)]
    assert ids[0] == ids[1]
    plain = run_sweep(parse_config(without), tmp_path / "plain")
    assert compare(results, plain, 0.0).exit_status == 0
    assert plain.timed() is plain


def test_timed_results_say_when_the_target_is_reached(results):
    timed, slow = results.timed(), results.timed(with_fields(results.config.clock, {"uplink": 1.0}))
    assert timed.timed() is timed and slow.timed() is slow
    assert "seconds" not in results.traces and "target_seconds" not in results.runs
    assert (slow.runs.target_seconds > timed.runs.target_seconds).all()
    for run in timed.runs.to_dict("records"):
        trace = timed.traces[timed.traces.run == run["run"]]
        assert_allclose(trace.seconds, elapsed(timed.clock, run, trace)[trace["round"]])
        last = trace.seconds[trace["round"] <= run["target_round"]].iloc[-1]
        assert last <= run["target_seconds"] <= trace.seconds[trace["round"] >= run["target_round"]].iloc[0]


def test_figures_gain_a_third_horizontal_axis(results):
    assert {"gradient-norm-by-time", "loss-gap-by-time"} <= set(draw_figures(results))
    figure, traces = convergence(results, against="time"), results.timed().traces
    drawn = {str(line.get_gid()).removeprefix("run-"): line for line in figure.axes[0].lines}
    for run, trace in traces.groupby("run"):
        assert_array_equal(np.asarray(drawn[run].get_xdata(), float), trace.seconds)
    assert "simulated" in figure.axes[0].get_xlabel()


def test_of_runs_that_were_chosen_the_others_need_no_time(results):
    timed = results.timed()
    chosen = replace(timed, runs=timed.runs[:1])
    assert chosen.traces.seconds.notna().equals(chosen.traces.run == chosen.runs.run[0])


def test_methods_with_a_clock_of_their_own_have_an_axis_for_it(results, tmp_path):
    raw = tomllib.loads(CONFIG)
    own = {"kind": "fedfix", "interval": 0.5, "times": {"kind": "fixed", "spread": 4.0}, "stepsize": 0.05}
    config = {name: value for name, value in raw.items() if name not in ("clock", "expect", "reduced")}
    found = run_sweep(parse_config(config | {"method": [own]}), tmp_path)
    (line,) = [line for line in convergence(found, against="elapsed").axes[0].lines if line.get_gid()]
    assert_array_equal(np.asarray(line.get_xdata(), float), 0.5 * found.traces["round"])
    page = write_report(found, [], tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'value="elapsed"' in page and 'value="seconds"' not in page
    assert "fedfix: no theorem applies, because" in page
    with pytest.raises(InvalidInput, match="not all methods have a clock of their own"):
        convergence(results, against="elapsed")


def outcome(results: Results, *changes: str, clock: dict | None = None) -> Outcome:
    """What becomes of the config's claim, changed, on the results."""
    raw = apply_overrides(tomllib.loads(CONFIG), changes)
    raw["expect"][0]["clock"] = clock or {}
    (claim,) = claims_of_verdicts([], parse_config(raw).expect)
    return check(claim, Findings(results, []))


def test_a_claim_about_seconds_can_fail(results):
    assert outcome(results).status is Status.MET
    assert "simulated seconds" in outcome(results).reason
    assert outcome(results, "expect.0.between=[0,0.5]").status is Status.NOT_MET
    unreached = replace(results, runs=results.runs.assign(target_round=np.nan))
    assert outcome(unreached).status is Status.UNDECIDED


def test_a_claim_tells_its_clock(results):
    told = outcome(results, clock={"uplink": 1e-3, "over_rounds": HEAVY}).claim.name
    assert told.endswith("with uplink = 0.001, over_rounds = heavy-tailed shape 3.0")


def test_a_claim_may_have_a_clock_of_its_own(results):
    """Where sending takes all the time, the ratio is that of the bits."""
    slow = {"uplink": 1e-3, "latency": 0.0, "downlink": 1e9, "over_rounds": {"kind": "fixed"}}
    ef21, gd = results.timed(with_fields(results.config.clock, slow)).runs.target_seconds
    exactly = f"expect.0.between=[{ef21 / gd - 1e-9}, {ef21 / gd + 1e-9}]"
    assert outcome(results, exactly, clock=slow).status is Status.MET
    assert outcome(results, exactly).status is Status.NOT_MET
    rounds, initial = results.runs.target_round, np.array([10 * 32.0, 0.0])  # EF21 begins by sending its gradients
    assert_allclose([ef21, gd], (rounds * np.array([32.0 + 4, 320.0]) + initial) / 1e-3, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("clock.uplink=-1", "clock.uplink: input should be greater than 0, not -1"),
        ("clock.uplnk=1", "clock.uplnk: unknown field"),
        ("clock.over_rounds.kind=pareto", "clock.over_rounds.kind: unknown kind 'pareto'"),
        ("clock.over_rounds.shape=1", "clock.over_rounds.shape: input should be greater than 1, not 1"),
        ("expect.0.clock.latency=-1", "expect[0].clock.latency: input should be greater than or equal to 0, not -1"),
        ("expect.0.of.method=ef22", "expect[0].of: no run with method = 'ef22'"),
    ],
)
def test_mistakes_are_told(change, told):
    with pytest.raises(InvalidInput) as error:
        parse_config(apply_overrides(tomllib.loads(CONFIG), [change]))
    assert told in str(error.value)


def test_seconds_are_not_expected_without_a_clock():
    raw = {name: value for name, value in tomllib.loads(CONFIG).items() if name != "clock"}
    with pytest.raises(InvalidInput, match=r"expect\[0\]: seconds need a table \[clock\]"):
        parse_config(raw)


def test_info_and_run_tell_simulated_seconds(results):
    assert "simulated time, by the cost model" in efsim("info", results.folder).stdout
    assert "simulated s" in efsim("run", results.folder / "config.toml", "--out", results.folder).stdout
