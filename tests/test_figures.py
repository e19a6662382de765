"""Figures: every run is there, its bound only where a theorem speaks of it, and equal results give equal bytes."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments import figures as named
from experiments.config import parse_config
from experiments.execute import run_sweep
from experiments.figures import FIGURES, draw_figure, draw_figures, save_figures
from experiments.figures.sweep import CROWD, Sweep
from experiments.figures.tightness import tightness_table
from experiments.raw_config import apply_overrides
from experiments.results import Results, load_results
from experiments.words import spelled
from problems import InvalidInput
from problems.registry import registered
from simulator import Method

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


def lines(figure: Figure, prefix: str) -> dict[str, Line2D]:
    """The lines of that kind, by what they are of."""
    return {
        str(line.get_gid()).removeprefix(prefix): line
        for axes in figure.axes
        for line in axes.lines
        if str(line.get_gid()).startswith(prefix)
    }


def test_there_is_a_figure_for_every_question(figures):
    # a round is a pass here, and neither the config nor the method has a clock
    axes = ("gradients", "time", "elapsed")
    others = {f"{what}-by-{axis}" for what in ("gradient-norm", "loss-gap") for axis in axes}
    others.add("certificates")  # which nobody has asked for; tests/test_chain.py does
    assert list(figures) == [name for name in FIGURES if name not in others]


def test_every_figure_has_a_function_of_its_name(results, figures):
    by_name = {**figures, "loss-gap-by-gradients": draw_figure(results, "loss-gap-by-gradients")}
    drawn = {
        "gradient-norm-by-rounds": named.convergence(results),
        "loss-gap-by-gradients": named.convergence(results, "loss-gap", "gradients"),
        "lyapunov": named.lyapunov(results),
        "slack": named.slack(results),
        "stepsize-tolerance": named.stepsize_tolerance(results),
        "rounds-to-target": named.rounds_to_target(results),
        "tightness": named.tightness(results),
        "bits-breakdown": named.bits_breakdown(results),
    }
    for name, figure in drawn.items():
        assert texts(figure) == texts(by_name[name])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "gradient"}, "unknown figure 'gradient'"),
        ({"name": "slack", "width": "triple"}, "unknown width 'triple'"),
        ({"name": "slack", "page": 2}, "has no page 2"),
    ],
)
def test_what_is_not_there_is_told(results, wrong, told):
    with pytest.raises(InvalidInput, match=told):
        draw_figure(results, **wrong)
    with pytest.raises(InvalidInput, match="unknown format 'gif'"):
        save_figures(results, ["slack"], ["gif"])
    with pytest.raises(InvalidInput, match="no runs were chosen"):
        draw_figure(replace(results, runs=results.runs[:0]), "slack")


def test_a_sweep_without_what_a_figure_needs_says_so(tmp_path):
    results = sweep(
        tmp_path / "plain",
        "problem.smoothness_ratio=2.0",
        "method.0={kind='ef21-page', compressor={kind='top-k', k=1}, probability=0.5, oracle={kind='exact'},"
        " stepsize=0.1}",
    )
    drawn_by_default = draw_figures(results)
    for name, told in {
        "rounds-to-target": "L_QM/L_AM is the same",
        "stepsize-tolerance": "several stepsizes",
        "slack": "judged round by round",
    }.items():
        assert name not in drawn_by_default
        with pytest.raises(InvalidInput, match=told):
            draw_figure(results, name)
    # a round is 0.5 + 0.5 x 2 passes over the data
    by_rounds, by_gradients = (drawn_by_default[f"loss-gap-by-{by}"] for by in ("rounds", "gradients"))
    ((run, plain),) = lines(by_rounds, "run-").items()
    assert np.array_equal(lines(by_gradients, "run-")[run].get_xdata(), 1.5 * np.asarray(plain.get_xdata()))


def test_a_figure_is_as_wide_as_a_column_and_its_legend_hides_no_data(results, figures):
    single = draw_figures(results, width="single")
    assert {figure.get_figwidth() for figure in single.values()} == {3.4}
    assert {figure.get_figwidth() for figure in figures.values()} == {7.0}
    for name, figure in [*single.items(), *figures.items()]:
        boxes = [axes.get_window_extent() for axes in figure.axes]
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert not any(box.overlaps(other) for other in boxes), name
            assert box.x0 >= 0 and box.x1 <= 1.02 * figure.get_window_extent().x1, name


def test_fonts_are_embedded_as_journals_want_them(results):
    (path,) = save_figures(results, ["slack"], ["pdf"], "single")
    assert b"/FontFile2" in path.read_bytes() and b"/Type3" not in path.read_bytes()


# --- what is drawn ------------------------------------------------------------------------------------------------


def test_slacks_are_the_recorded_ones_dotted_where_the_theorem_does_not_speak(results, figures):
    figure, traces = figures["slack"], results.traces
    (mean, _) = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["quadratic-mean", "arithmetic-mean-pl"]
    drawn_here = {str(line.get_gid()): line for line in mean.lines if line.get_gid()}
    for run in results.runs.itertuples():
        line = drawn_here[("slack-" if run.applies_quadratic_mean else "beyond-") + run.run]
        trace = traces[traces.run == run.run]
        assert np.array_equal(line.get_ydata(), trace.slack_quadratic_mean, equal_nan=True)
        (smallest,) = drawn_here[f"least-{run.run}"].get_ydata()
        assert smallest == run.smallest_slack_quadratic_mean
        assert run.status == "diverged" or smallest == np.nanmin(line.get_ydata())
        assert line.is_dashed() != run.applies_quadratic_mean
    assert results.runs.applies_quadratic_mean.nunique() == 2


def test_the_lyapunov_function_stays_below_what_is_promised(results, figures):
    figure = figures["lyapunov"]
    measured, promised = lines(figure, "run-"), lines(figure, "bound-")
    assert set(measured) == set(results.runs.run) and 0 < len(promised) < len(measured)
    for run, bound in promised.items():
        values, limits = np.asarray(measured[run].get_ydata()), np.asarray(bound.get_ydata())
        assert np.all(values <= limits * (1 + 1e-12)) and np.any(values < 0.9 * limits)


def test_tightness_is_the_largest_excess_of_a_theorem_on_a_problem(results, figures):
    table, runs = tightness_table(Sweep(results)), results.runs
    for panel, ratio in enumerate((1.5, 2.5)):
        spoken = runs[runs.applies_quadratic_mean.astype(bool) & (runs["problem.smoothness_ratio"] == ratio)]
        assert table.loc["ef21 quadratic-mean", panel] == spoken.excess_quadratic_mean.max() < 1
    labels = figures["tightness"].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == list(table.index)


def test_bars_add_up_to_what_was_sent(tmp_path):
    results = sweep(tmp_path / "bits", "problem.smoothness_ratio=2.0", "method.0.initial=gradient", "target=0.9")
    (axes,) = draw_figure(results, "bits-breakdown").axes
    runs, traces = results.runs, results.traces
    reached = runs.target_round.notna() & (runs.target_round % 10 == 0)
    ends = runs.target_round.where(runs.target_round.notna(), 40)
    for variant, (run, end) in enumerate(zip(runs.run, ends, strict=True)):
        bars = [bar for bar in axes.patches if np.isclose(bar.get_y() + bar.get_height() / 2, variant)]
        trace = traces[(traces.run == run)]
        sent = np.interp(end, trace["round"], trace.bits_per_worker + trace.downlink_bits_per_worker)
        assert np.isclose(sum(bar.get_width() for bar in bars), sent) and bars[0].get_width() == 32 * 4
        assert bool(bars[0].get_hatch()) == bool(runs.target_round.isna()[variant])
    assert runs.target_round.isna().any() or reached.any()


def test_tolerance_is_the_smallest_gradient_at_every_multiple(results, figures):
    figure = figures["stepsize-tolerance"]
    runs, traces = results.runs, results.traces
    low = traces.groupby("run").grad_norm_sq.min() / traces[traces["round"] == 0].set_index("run").grad_norm_sq
    calm = runs[runs.diverged_round.isna()]
    heights = {round(float(y), 12) for axes in figure.axes for line in axes.lines for y in line.get_ydata() if y != 1}
    assert {round(low[run], 12) for run in calm.run} <= heights
    assert "diverged" in texts(figure)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Results:
    return sweep(
        tmp_path_factory.mktemp("seeds") / "results",
        "seeds=[0, 1, 2, 3, 4, 5]",
        "problem.smoothness_ratio=2.0",
        "method.0.compressor={kind='rand-k', k=2}",
        "method.0.stepsize={rule='quadratic-mean', multiple=[1, 4]}",
    )


def test_many_seeds_are_a_median_in_a_band(seeds):
    (axes,) = draw_figure(seeds, "gradient-norm-by-rounds").axes
    medians = [line for line in axes.lines if str(line.get_gid()).startswith("run-")]
    bands = [band for band in axes.collections if str(band.get_gid()).startswith("band-")]
    assert len(medians) == len(bands) == 2
    traces = seeds.traces.merge(seeds.runs[["run", "multiple"]])
    for multiple, line, band in zip((1, 4), medians, bands, strict=True):
        values = traces[traces.multiple == multiple].pivot(index="round", columns="run", values="grad_norm_sq")
        assert np.allclose(line.get_ydata(), values.median(axis=1), rtol=1e-12)
        edges = {round(float(y), 12) for y in band.get_paths()[0].vertices[:, 1]}
        assert {round(float(y), 12) for y in values.quantile(0.1, axis=1)} <= edges
        assert {round(float(y), 12) for y in values.quantile(0.9, axis=1)} <= edges


def test_a_crowd_is_thin_lines_with_their_range_and_some_names(tmp_path):
    multiples = [round(1.3**i, 3) for i in range(CROWD + 1)]
    results = sweep(
        tmp_path / "crowd",
        "problem.smoothness_ratio=2.0",
        f"method.0.stepsize={{rule='quadratic-mean', multiple={multiples}}}",
    )
    figure = draw_figure(results, "gradient-norm-by-rounds")
    assert drawn(figure, "run-") == set(results.runs.run) and len(results.runs) == 2 * len(multiples)
    (axes,) = figure.axes
    assert all(line.get_linewidth() < 1 for line in lines(figure, "run-").values())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["k = 1", "k = 2"]
    named_runs = [text for text in axes.texts if str(text.get_gid()).startswith("name-")]
    boxes = [text.get_window_extent() for text in named_runs]
    assert 3 <= len(boxes) <= 5
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(box.x1 <= figure.get_window_extent().x1 for box in boxes)
    ranges = [str(band.get_gid()) for band in axes.collections if str(band.get_gid()).startswith("range-")]
    assert len(ranges) == 2


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
    figure, runs = draw_figure(results, "gradient-norm-by-rounds"), results.runs
    applies = set(runs.run[runs.applies_quadratic_mean_abc.astype(bool)])
    assert drawn(figure, "least-bound-") == applies and len(applies) == 1
    assert "on the smallest" in texts(figure) and "on the smallest" not in texts(
        draw_figure(results, "loss-gap-by-bits")
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


def test_methods_are_called_as_their_classes_are():
    assert [spelled(kind) for kind in ("gd", "ef21-w", "econtrol", "3pc-v1", "streaming-diloco", "unknown")] == [
        *("GD", "EF21-W", "EControl", "3PC-V1", "Streaming-DiLoCo", "UNKNOWN")
    ]
    assert all(spelled(kind).lower() == kind for kind in registered(Method))


def test_a_coded_method_drives_to_zero_what_the_method_within_does(tmp_path):
    coded = """
[[method]]
kind = "gradient-coding"
method = { kind = "gd" }
code = { kind = "cyclic-repetition", tolerance = 1 }
stragglers = { kind = "fixed-stragglers", workers = 1 }
stepsize = 0.1
"""
    config = parse_config(tomllib.loads(CONFIG[: CONFIG.index("[[method]]")] + coded))
    figure = draw_figure(run_sweep(config, tmp_path), "gradient-norm-by-rounds")
    assert figure.axes[0].get_ylabel() == r"$\|\nabla f(x^t)\|^2$"


def test_seeds_of_one_run_share_a_colour(tmp_path):
    results = sweep(
        tmp_path / "seeds",
        "seeds=[0, 1, 2]",
        "problem.smoothness_ratio=2.0",
        "method.0.compressor={kind='rand-k', k=2}",
        "method.0.stepsize={rule='quadratic-mean', multiple=[1, 4]}",
    )
    axes = draw_figure(results, "gradient-norm-by-rounds").axes[0]
    colors = [line.get_color() for line in axes.lines if str(line.get_gid()).startswith("run-")]
    assert len(colors) == 6 and len(set(colors)) == 2


def test_many_problems_are_spread_over_pages(tmp_path):
    ratios = [round(1 + 0.1 * i, 1) for i in range(11)]
    results = sweep(tmp_path / "many", f"problem.smoothness_ratio={ratios}", "method.0.compressor.k=1")
    figures = draw_figures(results, ["loss-gap-by-rounds"])
    assert len(figures["loss-gap-by-rounds"].axes) == 9 and len(figures["loss-gap-by-rounds-2"].axes) == 2


def test_values_that_are_not_positive_do_not_break_the_axis(results, tmp_path):
    traces = results.traces
    traces["grad_norm_sq"] = traces.grad_norm_sq.where(traces["round"] < 20, 0.0)
    copy = tmp_path / "zeros"
    (copy / "traces").mkdir(parents=True)
    for name in ("config.toml", "provenance.json", "runs.parquet"):
        (copy / name).write_bytes((results.folder / name).read_bytes())
    traces.to_parquet(copy / "traces" / "batch-0000.parquet")
    assert len(save_figures(load_results(copy), ["gradient-norm-by-rounds", "gradient-norm-by-bits"])) == 2 * 2


def test_the_same_results_give_the_same_bytes_in_another_process(results):
    names, formats = ["lyapunov", "slack", "tightness", "bits-breakdown"], ["png", "svg", "pdf"]
    first = {path: path.read_bytes() for path in save_figures(results, names, formats)}
    chosen = [option for name in names for option in ("--figure", name)]
    chosen += [option for form in formats for option in ("--format", form)]
    command = [sys.executable, "-m", "experiments.cli", "plot", str(results.folder), *chosen]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert {path: path.read_bytes() for path in first} == first and len(first) == 3 * 4
