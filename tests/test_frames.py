"""Results in one call, and as tables: what notebooks show."""

from pathlib import Path

import pytest
from command_line import SMALL

from experiments.frames import panel_frame, run_frame, verdict_frame
from experiments.results import Results
from experiments.run_config import results_folder, run_config
from experiments.verdicts import judge

CONFIG = (
    """
target = 1e-3
seeds = [0, 1, 2]
"""
    + SMALL
    + """
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = ["quadratic-mean", "arithmetic-mean"] }
[[method]]
kind = "ef21"
compressor = { kind = "rand-k", k = 2 }
stepsize = { rule = "arithmetic-mean", multiple = [1, 40] }
[reduced]
rounds = 20
"""
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("project") / "configs" / "small.toml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def results(config: Path) -> Results:
    return run_config(config)


def test_results_lie_beside_the_configs_and_reduced_ones_apart(config, results):
    reduced = run_config(config, reduced=True)
    beside = config.parent.parent / "results"
    assert (results.folder, reduced.folder) == (beside / "small", beside / "small-reduced")
    assert (results.config.rounds, reduced.config.rounds) == (60, 20)
    assert results_folder(config, reduced.config, reduced=True) == reduced.folder


def test_what_is_there_is_not_computed_again(config, results):
    files = {path: path.stat().st_mtime_ns for path in results.folder.rglob("*.parquet")}
    again = run_config(config)
    assert files == {path: path.stat().st_mtime_ns for path in again.folder.rglob("*.parquet")}


def test_overrides_and_a_folder_can_be_given(config, tmp_path):
    other = run_config(config, "rounds=40", "seeds=[7]", out=tmp_path / "other")
    assert other.folder == tmp_path / "other" and other.config.rounds == 40 and set(other.runs.seed) == {0, 7}


def test_a_row_stands_for_all_seeds(results):
    table = run_frame(results)
    assert len(table) == 4 < len(results.runs) == 2 + 2 * 3
    rand_k = results.runs[results.runs["method.compressor"] == "rand-k"]
    reached = rand_k[rand_k.multiple == 1].target_round
    assert reached.median() < reached.max()  # so that it matters what stands for them
    row = table.xs(("rand-k", 1.0), level=("compressor", "multiple")).iloc[0]
    assert row["rounds to 0.001"] == reached.median()
    beyond = table.xs(("rand-k", 40.0), level=("compressor", "multiple"))
    assert beyond["rounds to 0.001"].isna().all()


def test_measured_and_bound_are_those_of_the_rule_where_it_speaks(results):
    table = run_frame(results)
    own = table.xs("top-k", level="compressor")
    last = results.traces.groupby("run").last()
    runs = results.runs.set_index("run")
    quadratic = runs.index[runs.rule == "quadratic-mean"][0]
    row = own.xs("quadratic-mean", level="rule").iloc[0]
    assert row.measured == last.mean_grad_norm_sq[quadratic] and row.bound == last.bound_quadratic_mean[quadratic]
    assert (own.measured <= own.bound).all()
    beyond = table.xs(40.0, level="multiple")  # the theorem does not speak of this stepsize
    assert beyond.measured.isna().all() and beyond.bound.isna().all()


def test_rules_stand_side_by_side(results):
    table = panel_frame(results).xs("top-k", level="compressor")
    runs = run_frame(results).xs("top-k", level="compressor")
    for rule in ("quadratic-mean", "arithmetic-mean"):
        assert table["stepsize", rule].iloc[0] == runs.xs(rule, level="rule").stepsize.iloc[0]
    assert table["L_QM/L_AM"].iloc[0] == pytest.approx(2.5)


def test_verdicts_are_those_of_the_table(results):
    verdicts = judge(results)
    table = verdict_frame(verdicts)
    assert list(table.index) == [(verdict.method, verdict.theorem) for verdict in verdicts]
    assert list(table.verdict) == [str(verdict.judgement) for verdict in verdicts]
