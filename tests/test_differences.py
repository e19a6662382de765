"""Comparing two results folders: what is identical, what is rounding, what is a difference, and where it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import SMALL, efsim

from experiments import differences
from experiments.difference_table import render_comparison
from experiments.differences import JUDGED_TOLERANCE, Comparison, compare
from experiments.results import Results, load_results
from problems import InvalidInput

TOLERANCE = 1e-9
ROUNDS = [0, 10, 20, 30]
CONFIG = f"""{SMALL}
[[method]]
kind = "gd"
stepsize = [0.1, 0.2]
"""


def runs_frame(ids="abc") -> pd.DataFrame:
    columns = {"run": list(ids), "batch": "batch-0000", "problem.kind": "quadratic", "method.kind": "ef21"}
    columns |= {"rule": "tight", "multiple": 1.0, "stepsize": 0.1, "seed": 0, "deterministic": True, "omega": np.nan}
    columns |= {"status": "finished", "diverged_round": np.nan, "target_round": 1518.0, "final_loss": 1e-12}
    columns |= {"applies_tight": True, "violations_tight": 0, "fitted_rate_tight": 0.97}
    return pd.DataFrame(columns)


def traces_frame(ids="abc", rounds=ROUNDS) -> pd.DataFrame:
    count = len(rounds)
    columns = {"run": np.repeat(list(ids), count), "seed": 0, "round": np.tile(rounds, len(ids))}
    columns |= {"loss": np.tile(np.logspace(0, -12, count), len(ids)), "grad_norm_sq": 2.0, "bound_tight": np.nan}
    return pd.DataFrame(columns | {"log_ratio_tight": np.tile(np.linspace(0, -30, count), len(ids))})


@pytest.fixture
def results(tmp_path):
    """Makes results of frames, with the traces in two files."""
    made: list[Path] = []

    def make(runs: pd.DataFrame | None = None, traces: pd.DataFrame | None = None, **provenance) -> Results:
        folder = tmp_path / f"results-{len(made)}"
        made.append(folder)
        (folder / "traces").mkdir(parents=True)
        traces = traces_frame() if traces is None else traces
        for number, part in enumerate((traces[: len(traces) // 2], traces[len(traces) // 2 :])):
            part.to_parquet(folder / "traces" / f"{number}.parquet", index=False)
        return Results(folder, None, runs_frame() if runs is None else runs, provenance)  # its config is not looked at

    return make


def changed(frame: pd.DataFrame, run: str, column: str, value, at_round: int | None = None) -> pd.DataFrame:
    """The frame with another value in a run (and round)."""
    frame = frame.copy()
    where = (frame["run"] == run) & (True if at_round is None else frame["round"] == at_round)
    assert where.sum() == 1
    frame[column] = [value if here else old for here, old in zip(where, frame[column], strict=True)]
    return frame


def counts(comparison: Comparison) -> tuple[int, int, int]:
    return len(comparison.identical), len(comparison.within), len(comparison.different)


def the_different(comparison: Comparison) -> pd.Series:
    (_, row), *others = comparison.different.iterrows()
    assert not others and comparison.exit_status == 1
    return row


def test_the_same_values_are_identical_in_whatever_order_and_batch(results):
    runs = runs_frame().assign(batch="batch-0007")[::-1]
    traces = traces_frame().sample(frac=1, random_state=0)
    first = results(changed(runs_frame(), "a", "final_loss", 0.0), changed(traces_frame(), "a", "loss", 0.0, 30))
    second = results(changed(runs, "a", "final_loss", -0.0), changed(traces, "a", "loss", -0.0, 30))
    comparison = compare(first, second, 0)
    assert counts(comparison) == (3, 0, 0) and comparison.exit_status == 0
    assert not comparison.columns_only_first and not comparison.columns_only_second


def test_a_last_bit_is_within_the_tolerance_but_not_identical(results):
    first = results()
    second = results(traces=changed(traces_frame(), "b", "grad_norm_sq", np.nextafter(2, 3), 20))
    comparison = compare(first, second, TOLERANCE)
    assert counts(comparison) == (2, 1, 0) and comparison.exit_status == 0
    row = comparison.within.loc["b"]
    assert (row["column"], row["round"]) == ("grad_norm_sq", 20) and row["deviation"] == pytest.approx(2**-52)
    assert np.isnan(row["departed"])
    assert counts(compare(first, second, 0)) == (2, 0, 1)


def test_a_difference_is_told_with_where_it_begins_and_both_values(results):
    traces = traces_frame()
    for at_round, value in ((10, 2 + 1e-12), (20, 2.5), (30, 4.0)):  # the first is within the tolerance
        traces = changed(traces, "b", "grad_norm_sq", value, at_round)
    traces = changed(traces, "b", "loss", 1e-4 + 1e-6, 10)  # earlier, but smaller
    row = the_different(compare(results(), results(traces=traces), TOLERANCE))
    assert row.name == "b" and (row["column"], row["round"]) == ("grad_norm_sq", 20)
    assert (row["first"], row["second"]) == (2.0, 2.5)
    assert row["deviation"] == 2 / 4 and row["departed"] == 10


def test_of_equal_deviations_the_earliest_is_told(results):
    traces = changed(changed(traces_frame(), "b", "loss", np.nan, 20), "b", "grad_norm_sq", np.nan, 10)
    row = the_different(compare(results(), results(traces=traces), TOLERANCE))
    assert (row["column"], row["round"]) == ("grad_norm_sq", 10)


def test_late_values_are_measured_by_the_largest(results):
    """All digits of the last loss differ, which is rounding beside a first one of 1; the first one is not."""
    loss = traces_frame()
    late = results(changed(runs_frame(), "a", "final_loss", 3e-12), changed(loss, "a", "loss", 3e-12, 30))
    assert counts(compare(results(), late, TOLERANCE)) == (2, 1, 0)
    row = the_different(compare(results(), results(traces=changed(loss, "a", "loss", 1 + 2e-9, 0)), TOLERANCE))
    assert (row["column"], row["round"]) == ("loss", 0)


def test_logarithms_are_compared_as_what_they_are_of(results):
    late = results(traces=changed(traces_frame(), "a", "log_ratio_tight", -27.0, 30))
    assert counts(compare(results(), late, TOLERANCE)) == (2, 1, 0)
    nothing_left = results(traces=changed(traces_frame(), "a", "log_ratio_tight", -np.inf, 30))
    assert counts(compare(results(), nothing_left, TOLERANCE)) == (2, 1, 0)
    early = results(traces=changed(traces_frame(), "a", "log_ratio_tight", 1.0, 0))
    row = the_different(compare(results(), early, TOLERANCE))
    assert row["deviation"] == pytest.approx(1 - np.exp(-1))


def test_the_logarithm_of_a_huge_number_does_not_overflow(results):
    first, second = (
        results(traces=changed(traces_frame(), "a", "log_ratio_tight", value, 30)) for value in (4000.0, 4001.0)
    )
    assert the_different(compare(first, second, TOLERANCE))["deviation"] == pytest.approx(1 - np.exp(-1))


def test_a_bet_may_end_a_round_earlier(results):
    """Then it is not identical; how many rounds were bet on is compared for itself."""
    ended = traces_frame().assign(log_capital_tight=0.5)
    ended, earlier = (changed(ended, "a", "log_capital_tight", np.nan, at_round) for at_round in (30, 10))
    made = [results(runs_frame().assign(bet_rounds_tight=n), t) for n, t in ((29999, ended), (30000, earlier))]
    assert counts(compare(*made, TOLERANCE)) == (0, 3, 0)
    early = results(runs_frame().assign(bet_rounds_tight=[10, 29999, 29999]), earlier)
    assert the_different(compare(made[0], early, TOLERANCE))["column"] == "bet_rounds_tight"
    assert counts(compare(results(traces=ended), results(traces=earlier), TOLERANCE)) == (2, 1, 0)
    assert counts(compare(results(traces=ended), results(traces=earlier), 0)) == (2, 0, 1)


@pytest.mark.parametrize("values", [(np.nan, 2.0), (2.0, np.inf), (np.inf, -np.inf), (np.nan, np.inf)])
@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_a_number_on_one_side_only_differs_infinitely(results, values, swapped):
    made = [results(traces=changed(traces_frame(), "c", "grad_norm_sq", value, 20)) for value in values]
    row = the_different(compare(*made[:: -1 if swapped else 1], 1e300))
    assert row.name == "c" and row["deviation"] == np.inf and (row["column"], row["round"]) == ("grad_norm_sq", 20)


def test_infinities_of_one_sign_are_the_same(results):
    made = [results(traces=changed(traces_frame(), "c", "grad_norm_sq", np.inf, 20)) for _ in range(2)]
    assert counts(compare(*made, 0)) == (3, 0, 0)


def test_numbers_whose_difference_overflows_deviate_finitely(results):
    made = [results(traces=changed(traces_frame(), "c", "grad_norm_sq", v, 30)) for v in (1.5e308, -1.5e308)]
    assert the_different(compare(*made, TOLERANCE))["deviation"] == 2


@pytest.mark.parametrize("others, alone, values", [([0, 10, 20], 30, (30, None)), ([0, 5, 20, 30], 5, (None, 5))])
def test_other_recorded_rounds_are_a_difference(results, others, alone, values):
    """Of one run; the others are compared as ever."""
    traces = pd.concat([traces_frame("a"), traces_frame("b", others), traces_frame("c")])
    row = the_different(compare(results(), results(traces=traces), TOLERANCE))
    assert row.name == "b" and row["deviation"] == np.inf
    assert (row["column"], row["round"], row["departed"]) == ("round", alone, alone)
    assert (row["first"], row["second"]) == values


def test_runs_in_one_folder_only_are_counted(results):
    some, more = results(runs_frame("ac"), traces_frame("ac")), results(runs_frame("abcd"), traces_frame("abcd"))
    comparison = compare(more, some, TOLERANCE)
    assert counts(comparison) == (2, 0, 0) and comparison.exit_status == 1
    assert (comparison.only_first, comparison.only_second) == (["b", "d"], [])
    turned = compare(some, more, TOLERANCE)
    assert turned.only_second == ["b", "d"] and turned.exit_status == 1
    assert "runs only in first: b, d" in render_comparison(comparison, more, some)


def test_sweeps_without_a_common_run(results):
    comparison = compare(results(), results(runs_frame("xy"), traces_frame("xy")), TOLERANCE)
    assert counts(comparison) == (0, 0, 0) and comparison.exit_status == 1


@pytest.mark.parametrize(
    "column, value",
    [("status", "diverged"), ("applies_tight", False), ("violations_tight", 1), ("target_round", np.nan)],
)
def test_another_outcome_is_a_difference(results, column, value):
    row = the_different(compare(results(), results(changed(runs_frame(), "c", column, value)), TOLERANCE))
    assert row.name == "c" and row["column"] == column and np.isnan(row["round"])
    assert str(row["second"]) == str(float(value) if column in ("violations_tight", "target_round") else value)


def test_a_target_reached_a_round_later_deviates_by_that(results):
    later = results(changed(runs_frame(), "a", "target_round", 1519.0))
    assert counts(compare(results(), later, TOLERANCE)) == (2, 0, 1)
    assert counts(compare(results(), later, 1e-3)) == (2, 1, 0)


def test_figures_that_judge_hold_more_rounding(results):
    slightly = results(changed(runs_frame(), "a", "fitted_rate_tight", 0.97 * (1 + JUDGED_TOLERANCE / 2)))
    assert counts(compare(results(), slightly, TOLERANCE)) == (2, 1, 0)
    assert counts(compare(results(), slightly, 0)) == (2, 0, 1)
    more = results(changed(runs_frame(), "a", "fitted_rate_tight", 0.97 * (1 + JUDGED_TOLERANCE * 2)))
    assert the_different(compare(results(), more, TOLERANCE))["column"] == "fitted_rate_tight"
    assert counts(compare(results(), more, 0.1)) == (2, 1, 0)


def test_a_true_difference_is_worse_than_a_tolerated_one_that_is_larger(results):
    runs = changed(runs_frame(), "a", "fitted_rate_tight", 0.97 * (1 + JUDGED_TOLERANCE / 2))
    traces = changed(traces_frame(), "a", "grad_norm_sq", 2 + 1e-7, 10)
    assert the_different(compare(results(), results(runs, traces), TOLERANCE))["column"] == "grad_norm_sq"


def test_columns_in_one_folder_only_are_told_where_they_hold_something(results):
    runs = runs_frame("abx").assign(excess_new=[np.nan, 1.0, 1.0], excess_of_others=[np.nan, np.nan, 1.0])
    traces = traces_frame("abx").assign(lyapunov_new=1.0, lyapunov_empty=np.nan)
    first, second = results(runs_frame("ab"), traces_frame("ab")), results(runs, traces)
    comparison = compare(first, second, TOLERANCE)
    assert comparison.columns_only_second == ["lyapunov_new", "excess_new"] and not comparison.columns_only_first
    assert counts(comparison) == (2, 0, 0)
    assert compare(second, first, TOLERANCE).columns_only_first == ["lyapunov_new", "excess_new"]
    assert "columns only in second: lyapunov_new, excess_new" in render_comparison(comparison, first, second)


def test_a_column_that_is_empty_here_and_has_words_there_is_compared(results):
    """Truth values of a theorem that speaks of some runs only are stored with gaps."""
    empty, gaps = runs_frame().assign(applies_other=None), runs_frame().assign(applies_other=[True, None, None])
    full = runs_frame().assign(applies_other=[True, True, True])
    assert the_different(compare(results(empty), results(gaps), TOLERANCE)).name == "a"
    assert sorted(compare(results(gaps), results(full), TOLERANCE).different.index) == ["b", "c"]
    others = runs_frame().assign(applies_other=pd.Series([True, np.nan, np.nan], dtype=object))
    assert counts(compare(results(gaps), results(others), 0)) == (3, 0, 0)
    assert counts(compare(results(empty), results(runs_frame().assign(applies_other=np.nan)), 0)) == (3, 0, 0)
    assert the_different(compare(results(empty), results(changed(empty, "a", "applies_other", 0.0)), 0))["second"] == 0


def random_results(results, seed: int) -> Results:
    """Values that are drawn once, and others that are nearly so; some are not finite."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed)
    ids = [f"run-{number}" for number in range(20)]
    traces = pd.concat(traces_frame([name], range(1 + shared.integers(9))) for name in ids)
    for column in ("loss", "grad_norm_sq"):
        exact = shared.normal(size=len(traces)) * 10.0 ** shared.integers(-3, 3, len(traces))
        near = exact * (1 + 1e-9 * own.normal(size=len(traces)) * (own.random(len(traces)) < 0.1))
        traces[column] = np.where(own.random(len(traces)) < 0.01, np.nan, near)
    return results(runs_frame(ids), traces.sample(frac=1, random_state=seed))


def test_the_deviations_are_those_of_a_plain_loop(results):
    first, second = random_results(results, 1), random_results(results, 2)
    comparison, kinds = compare(first, second, TOLERANCE), set()
    for run, row in comparison.runs.iterrows():
        ours, theirs = (r.traces[r.traces["run"] == run].to_dict("records") for r in (first, second))
        found = []  # of each column: its largest deviation, the round that is told, and the column
        for column in ("loss", "grad_norm_sq"):
            values = [(one["round"], one[column], other[column]) for one, other in zip(ours, theirs, strict=True)]
            scale = max((abs(x) for _, *pair in values for x in pair if np.isfinite(x)), default=0)
            places = []
            for at_round, x, y in values:
                if not (x == y or (np.isnan(x) and np.isnan(y))):
                    places.append((abs(x - y) / scale if np.isfinite(x - y) else np.inf, at_round))
            largest = max((deviation for deviation, _ in places), default=0.0)
            limit = TOLERANCE if largest > TOLERANCE else largest * (1 - 1e-6)
            found.append((largest, min((r for deviation, r in places if deviation > limit), default=None), column))
        largest, at_round, column = max(found, key=lambda one: (one[0], -(one[1] or 0)))
        assert row["deviation"] == pytest.approx(largest, rel=1e-6)
        assert row["differs"] == (largest > TOLERANCE)
        if largest:
            assert (row["round"], row["column"]) == (at_round, column)
            kinds.add((np.isfinite(largest), largest > TOLERANCE))
    assert len(comparison.identical) and kinds == {(True, True), (True, False), (False, True)}  # all cases occur


def test_reading_columns_in_parts_changes_nothing(results, monkeypatch):
    first, second = random_results(results, 1), random_results(results, 2)
    at_once = compare(first, second, TOLERANCE)
    monkeypatch.setattr(differences, "VALUES_AT_ONCE", 1)
    pd.testing.assert_frame_equal(compare(first, second, TOLERANCE).runs, at_once.runs)


def test_render_tells_the_worst_ten_and_what_they_are(results):
    ids = [f"run-{number:02d}" for number in range(14)]
    first = results(runs_frame(ids), traces_frame(ids))
    traces = changed(traces_frame(ids), "run-13", "grad_norm_sq", np.nextafter(2, 3), 20)
    for number, name in enumerate(ids[:12], 1):
        traces = changed(traces, name, "grad_norm_sq", 2 - number / 10, 20)
    second = results(runs_frame(ids), traces)
    text = render_comparison(compare(first, second, TOLERANCE), first, second)
    assert "14 in both: 1 identical, 1 within 1e-09, 12 different" in text
    assert "largest deviation within: 2.2e-16 (grad_norm_sq of run run-13, round 20)" in text
    told = [line.split() for line in text.splitlines() if line.startswith("run-")]
    assert [cells[0] for cells in told] == [f"run-{number:02d}" for number in range(11, 1, -1)]
    assert told[0][1:] == ["ef21", "quadratic", "0.1", "0", "20", "grad_norm_sq", "20", "0.6", "2", "0.8"]
    assert "... and 2 more" in text
    assert str(first.folder) in text and str(second.folder) in text


def test_values_are_told_with_the_digits_that_tell_them_apart(results):
    first = results()
    second = results(traces=changed(traces_frame(), "b", "grad_norm_sq", np.nextafter(2, 3), 20))
    assert "2.0000000000000004" in render_comparison(compare(first, second, 0), first, second)


def test_render_tells_what_the_folders_were_made_with_where_it_differs(results):
    def made(jax: str, **others):
        environment = {"versions": {"jax": jax, "numpy": "2.4.6"}, "platform": "Linux", "devices": ["cpu:0"]}
        return environment | {"git": {"commit": "abc", "dirty": False}} | others

    first = results(**made("0.10.2"))
    second = results(**made("0.10.3", git={"commit": "abc", "dirty": True}, devices=["cpu:0", "cpu:1"]))
    told = [
        s for s in render_comparison(compare(first, second, 0), first, second).splitlines() if s.startswith("made with")
    ]
    assert told == [
        "made with: jax 0.10.2 | 0.10.3",
        "made with: devices cpu:0 | cpu:0, cpu:1",
        "made with: git commit abc | abc with changes",
    ]
    parts = replace(first, provenance={"environments": [made("0.10.2"), made("0.10.3", git=None)], "data": {"a": "1f"}})
    text = render_comparison(compare(first, parts, 0), first, parts)
    assert "made with: jax 0.10.2 | 0.10.2 and 0.10.3" in text and "made with: git commit abc | abc and -" in text
    assert "made with: data a - | 1f" in text
    assert "made with" not in render_comparison(compare(first, first, 0), first, first)


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, np.inf])
def test_a_tolerance_is_a_number_from_zero_on(results, tolerance):
    with pytest.raises(InvalidInput, match=r"tolerance is .*; it must be a finite number >= 0"):
        compare(results(), results(), tolerance)


def test_what_is_there_twice_is_damage(results):
    with pytest.raises(InvalidInput, match="round 0 of run a is there twice"):
        compare(results(), results(traces=pd.concat([traces_frame(), traces_frame("a", [0])])), TOLERANCE)
    with pytest.raises(InvalidInput, match="run a is there twice"):
        compare(results(runs_frame("aba")), results(), TOLERANCE)


def test_a_real_sweep_agrees_with_a_larger_one_that_contains_it(tmp_path):
    """Its runs are computed together with others there, which may change last bits."""
    config = tmp_path / "small.toml"
    config.write_text(CONFIG)
    more = "method=[{kind='gd', stepsize=[0.1, 0.2, 0.3]}]"
    assert efsim("run", config, "--out", tmp_path / "first").exit_code == 0
    assert efsim("run", config, "--out", tmp_path / "second", "--set", more).exit_code == 0
    first, second = load_results(tmp_path / "first"), load_results(tmp_path / "second")
    comparison = compare(first, second, TOLERANCE)
    assert len(comparison.runs) == 2 and len(comparison.only_second) == 1 and not len(comparison.different)
    wrong = replace(first, runs=first.runs.assign(violations_smooth=[0, 7]))
    assert the_different(compare(wrong, second, TOLERANCE))["column"] == "violations_smooth"
    assert compare(first, first, 0).exit_status == 0
