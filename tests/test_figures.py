"""Figures: every run is there, its bound only where a theorem speaks of it, and equal results give equal bytes."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.config import parse_config
from experiments.execute import run_sweep
from experiments.figures import draw_figures, save_figures
from experiments.raw_config import apply_overrides
from experiments.results import Results, load_results

CONFIG = """
name = "figures"
rounds = 40
record_every = 10
target = 0.5
[problem]
kind = "quadratic"
workers = 9
dim = 4
smoothness_ratio = [1.5, 2.5]
pl_constant = 0.1
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = [1, 2] }
stepsize = { rule = ["quadratic-mean", "arithmetic-mean-pl"], multiple = [1, 1000] }
"""


def sweep(folder: Path, *overrides: str) -> Results:
    return run_sweep(parse_config(apply_overrides(tomllib.loads(CONFIG), overrides)), folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return sweep(tmp_path_factory.mktemp("figures") / "results")


@pytest.fixture(scope="module")
def figures(results) -> dict[str, Figure]:
    return draw_figures(results)


def drawn(figure: Figure, prefix: str) -> set[str]:
    """Ids of the runs that have a line of that kind."""
    gids = [str(line.get_gid()) for axes in figure.axes for line in axes.lines]
    return {gid.removeprefix(prefix) for gid in gids if gid.startswith(prefix)}


def texts(figure: Figure) -> str:
    legend = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    titles = [axes.get_title() + axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]
    return "\n".join([figure.get_suptitle(), *legend, *titles])


def test_there_is_a_figure_for_every_question(figures):
    convergence = [f"{what}-by-{by}" for what in ("gradient-norm", "loss-gap") for by in ("rounds", "bits")]
    assert list(figures) == [*convergence, "rounds-to-target"]


@pytest.mark.parametrize("by", ["rounds", "bits"])
@pytest.mark.parametrize(
    ("what", "theorems"),
    [
        ("gradient-norm", ("quadratic_mean", "arithmetic_mean")),
        ("loss-gap", ("quadratic_mean_pl", "arithmetic_mean_pl")),
    ],
)
def test_every_run_has_a_line_and_a_bound_exactly_where_a_theorem_applies(results, figures, what, theorems, by):
    figure, runs = figures[f"{what}-by-{by}"], results.runs
    applies = runs[[f"applies_{theorem}" for theorem in theorems]].any(axis=1)
    assert drawn(figure, "run-") == set(runs.run)
    assert drawn(figure, "bound-") == set(runs.run[applies]) and 0 < applies.sum() < len(runs)
    assert drawn(figure, "diverged-") == set(runs.run[runs.status == "diverged"]) != set()


def test_a_bound_on_the_smallest_gradient_is_drawn_beside_it(tmp_path):
    results = sweep(
        tmp_path / "smallest",
        "problem={kind='rare-features-logistic', workers=4, dim=6, features_per_worker=3, samples=4}",
        "method.0.kind=ef21-sgd",
        "method.0.oracle={kind='minibatch', size=2}",
        "method.0.compressor.k=1",
        "method.0.stepsize={rule='quadratic-mean-abc', multiple=[1, 1000]}",
    )
    figure, runs = draw_figures(results)["gradient-norm-by-rounds"], results.runs
    applies = set(runs.run[runs.applies_quadratic_mean_abc.astype(bool)])
    assert drawn(figure, "least-bound-") == applies and len(applies) == 1
    assert "on the smallest" in texts(figure) and "on the smallest" not in texts(
        draw_figures(results)["loss-gap-by-bits"]
    )
    (trace,) = (trace for run, trace in results.traces.groupby("run") if run in applies)
    (line,) = (line for line in figure.axes[0].lines if str(line.get_gid()).startswith("least-bound-"))
    assert np.array_equal(line.get_ydata(), trace.bound_quadratic_mean_abc, equal_nan=True)
    assert (trace.min_grad_norm_sq[1:] <= trace.bound_quadratic_mean_abc[1:]).all()


def test_a_bound_has_the_colour_of_its_run_and_is_dashed(figures):
    for axes in figures["gradient-norm-by-rounds"].axes:
        lines = {str(line.get_gid()): line for line in axes.lines}
        for gid, line in lines.items():
            if gid.startswith("bound-"):
                assert line.get_color() == lines[gid.replace("bound-", "run-")].get_color()
                assert line.is_dashed()


def test_lines_are_the_recorded_values(results, figures):
    traces = results.traces
    for axes in figures["gradient-norm-by-rounds"].axes:
        for line in axes.lines:
            gid = str(line.get_gid())
            trace = traces[traces.run == gid.removeprefix("run-")]
            if gid.startswith("run-") and np.isfinite(trace.grad_norm_sq).all():
                assert np.array_equal(line.get_xdata(), trace["round"])
                assert np.array_equal(line.get_ydata(), trace.grad_norm_sq)


def test_a_diverged_run_leaves_the_others_readable(figures):
    for axes in figures["gradient-norm-by-rounds"].axes:
        low, high = axes.get_ylim()
        assert 0 < low < high < 1e6


def test_labels_say_what_differs_and_titles_what_is_common(figures):
    said = texts(figures["gradient-norm-by-rounds"])
    for expected in (
        "EF21",
        "top-k",
        "k = 1",
        "k = 2",
        "1000 \N{MULTIPLICATION SIGN} quadratic-mean",
        "n = 9",
        "d = 4",
    ):
        assert expected in said
    assert "round $t$" in said and "bits sent by each worker" in texts(figures["gradient-norm-by-bits"])
    assert "f^\\star" in texts(figures["loss-gap-by-rounds"])


def test_seeds_of_one_run_share_a_colour(tmp_path):
    results = sweep(
        tmp_path / "seeds",
        "seeds=[0, 1, 2]",
        "problem.smoothness_ratio=2.0",
        "method.0.compressor={kind='rand-k', k=2}",
        "method.0.stepsize={rule='quadratic-mean', multiple=[1, 4]}",
    )
    axes = draw_figures(results)["gradient-norm-by-rounds"].axes[0]
    colors = [line.get_color() for line in axes.lines if str(line.get_gid()).startswith("run-")]
    assert len(colors) == 6 and len(set(colors)) == 2


def test_many_problems_are_spread_over_pages(tmp_path):
    ratios = [round(1 + 0.1 * i, 1) for i in range(11)]
    results = sweep(tmp_path / "many", f"problem.smoothness_ratio={ratios}", "method.0.compressor.k=1")
    figures = draw_figures(results)
    assert len(figures["loss-gap-by-rounds"].axes) == 9 and len(figures["loss-gap-by-rounds-2"].axes) == 2


def test_values_that_are_not_positive_do_not_break_the_axis(results, tmp_path):
    traces = results.traces
    traces["grad_norm_sq"] = traces.grad_norm_sq.where(traces["round"] < 20, 0.0)
    copy = tmp_path / "zeros"
    (copy / "traces").mkdir(parents=True)
    for name in ("config.toml", "provenance.json", "runs.parquet"):
        (copy / name).write_bytes((results.folder / name).read_bytes())
    traces.to_parquet(copy / "traces" / "batch-0000.parquet")
    assert len(save_figures(load_results(copy))) == 10


def test_the_same_results_give_the_same_bytes_in_another_process(results):
    first = {path: path.read_bytes() for path in save_figures(results)}
    code = "import sys; from experiments.cli import main; main(['plot', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", code, str(results.folder)], check=True, capture_output=True, timeout=300)
    assert {path: path.read_bytes() for path in first} == first and len(first) == 10
