"""Figures of a results folder: every run beside its theorem's bound, and what heterogeneity costs.

A line is a run, its colour and marker say which; runs that differ in the seed only share both. A panel is a problem.
Labels hold what differs between runs, titles what they have in common, so that no figure needs its config to be read.
The same results give the same bytes.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
    StrMethodFormatter,
)

from experiments.columns import column
from experiments.store import Results, whole_file
from problems import InvalidInput
from problems.registry import registered
from simulator import Method, Theorem
from simulator.theorem import at_model

__all__ = ["draw_figures", "save_figures"]

WIDTH = 7.0  # inches, two columns of a paper; fonts below are as printed at this width
MOST_PANELS = 9  # a figure
MOST_LEGEND_ENTRIES = 60
DIVERGING = 1e3  # growth over the start beyond which a curve leaves its axes

# Okabe and Ito's palette, distinct for every kind of colour vision; without yellow, which is too light for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHED: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 0.9}
GREY, GUIDE = "#707070", "#d9d9d9"

STYLE = {
    "font.size": 9,
    "figure.titlesize": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.markersize": 4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.min_exponent": 4,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "savefig.dpi": 200,
    "svg.hashsalt": "efsim",  # else ids in an SVG are random
}


class Metric(NamedTuple):
    """What the vertical axis shows, and the theorems' bounds that belong there."""

    column: str
    bounded: Literal["mean_grad_norm_sq", "lyapunov"]
    bound: str  # what the dashed lines are, in words


METRICS = {
    "gradient-norm": Metric(
        "grad_norm_sq", "mean_grad_norm_sq", r"theorem's bound on the mean of $\|\nabla f(x^s)\|^2$ over $s < t$"
    ),
    "loss-gap": Metric("loss_gap", "lyapunov", "theorem's bound on its Lyapunov value, at least the loss gap"),
}
HORIZONTALS = {"rounds": "round", "bits": "bits_per_worker"}
HORIZONTAL_LABELS = {"round": "round $t$", "bits_per_worker": "sent by each worker"}


def draw_figures(results: Results) -> dict[str, Figure]:
    """All figures of a sweep, by name.

    {gradient-norm, loss-gap}-by-{rounds, bits}: |grad f(x^t)|^2 and f(x^t) - f* against rounds and against the bits
    that each worker has sent, a panel a problem; beyond nine problems also ...-2, ...-3. rounds-to-target: where
    L_QM/L_AM varies and the target was reached, the rounds that this took against L_QM/L_AM.
    """
    sweep = Sweep(results)
    figures: dict[str, Figure] = {}
    with _style():
        for (name, metric), (by, horizontal) in product(METRICS.items(), HORIZONTALS.items()):
            for number, problems in enumerate(sweep.pages, 1):
                suffix = "" if number == 1 else f"-{number}"
                figures[f"{name}-by-{by}{suffix}"] = _convergence(sweep, problems, metric, horizontal)
        if sweep.heterogeneity_varies and sweep.runs.target_round.notna().any():
            figures["rounds-to-target"] = _rounds_to_target(sweep)
    return figures


def save_figures(results: Results) -> list[Path]:
    """Draw all figures into the results folder, as figures/NAME.png and figures/NAME.svg; returns their paths.

    Raises:
        InvalidInput: the folder cannot be written to.
    """
    folder = results.folder / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot create {folder}: {error.strerror}") from error
    paths = []
    for name, figure in draw_figures(results).items():
        for form, unwanted in (("png", ("Software",)), ("svg", ("Date", "Creator"))):
            paths.append(folder / f"{name}.{form}")
            with whole_file(paths[-1]) as path, _style():
                figure.savefig(path, format=form, metadata=dict.fromkeys(unwanted))
    return paths


@contextmanager
def _style() -> Iterator[None]:
    """Our settings on matplotlib's own defaults, whatever the user's are, and only for the block."""
    with matplotlib.style.context(["default", STYLE]):
        yield


# --- the sweep: which runs belong together, what they are called, how they look -------------------------------------


class Look(NamedTuple):
    """How the runs of one variant are drawn and called."""

    label: str
    color: str
    marker: str


@dataclass(frozen=True)
class Sweep:
    """Results, with the runs numbered by problem (its panel) and by variant (all but problem and seed)."""

    results: Results

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run, with `panel` and `variant`, from 0 in order of appearance, and `stepsize_text` added."""
        runs = self.results.runs
        runs = runs.assign(
            heterogeneity=runs.L_QM / runs.L_AM,
            stepsize_text=list(map(_stepsize_text, runs.rule, runs.multiple, runs.stepsize)),
            target_round=pd.to_numeric(runs.target_round),
            diverged_round=pd.to_numeric(runs.diverged_round),
        )
        return runs.assign(
            panel=_numbered(runs, _named(runs, "problem.")),
            variant=_numbered(runs, [*_named(runs, "method."), "stepsize_text"]),
            method=_numbered(runs, _named(runs, "method.")),
        )

    @cached_property
    def traces(self) -> dict[str, pd.DataFrame]:
        """The recorded rounds of every run, by its id."""
        return {str(run): trace for run, trace in self.results.traces.groupby("run")}

    @cached_property
    def looks(self) -> list[Look]:
        """The look of every variant."""
        runs = self.runs
        factors = [name for name in _named(runs, "method.") if _differs(runs, name, "method.kind")]
        factors += ["stepsize_text"] * (runs.stepsize_text.nunique() > 1)
        variants = runs.drop_duplicates("variant")
        labels = [", ".join(_said(row, factors)) or "all runs" for _, row in variants.iterrows()]
        styles = _styles(list(variants.method), list(pd.factorize(variants.stepsize_text)[0]))
        return [Look(label, *style) for label, style in zip(labels, styles, strict=True)]

    @property
    def pages(self) -> list[list[int]]:
        """The panels, in figures of at most MOST_PANELS."""
        count = int(self.runs.panel.max()) + 1
        return [list(range(count))[start : start + MOST_PANELS] for start in range(0, count, MOST_PANELS)]

    @property
    def heterogeneity_varies(self) -> bool:
        """Whether L_QM/L_AM differs between problems by more than rounding."""
        return self.runs.heterogeneity.max() > 1.001 * self.runs.heterogeneity.min()

    @property
    def one_number_varies(self) -> bool:
        """Whether the problems are a family with one parameter, so that a line through them means something."""
        varied = [self.runs[name] for name in _named(self.runs, "problem.") if self.runs[name].nunique() > 1]
        return len(varied) == 1 and pd.api.types.is_numeric_dtype(varied[0])


def _named(runs: pd.DataFrame, prefix: str) -> list[str]:
    return [name for name in runs if name.startswith(prefix)]


def _numbered(runs: pd.DataFrame, columns: list[str]) -> pd.Series:
    """A number for every combination of values, from 0 in order of appearance."""
    return runs[columns].astype(str).groupby(columns, sort=False, dropna=False).ngroup()


def _differs(runs: pd.DataFrame, name: str, kind: str) -> bool:
    """Whether the column differs between runs that have it; those of another kind need not have it."""
    return runs[name].nunique() > 1 or runs.groupby(kind)[name].nunique(dropna=False).max() > 1


def _styles(methods: list[int], stepsizes: list[int]) -> list[tuple[str, str]]:
    """Colour and marker of every variant, given its method's and its stepsize's number.

    While there are colours enough, each variant has its own; then the stepsize has the colour and the method the
    marker, or the other way round, and where neither is enough colours and markers are counted through.
    """
    count = len(methods)
    if count > len(COLORS):
        for color, marker in ((stepsizes, methods), (methods, stepsizes)):
            if max(color) < len(COLORS) and max(marker) < len(MARKERS):
                return [(COLORS[c], MARKERS[m]) for c, m in zip(color, marker, strict=True)]
    return [(COLORS[i % len(COLORS)], MARKERS[i // len(COLORS) % len(MARKERS)]) for i in range(count)]


# --- words -----------------------------------------------------------------------------------------------------------

GREEK = ("alpha", "mu", "omega", "theta", "xi")
TIMES, MINUS, ROOT = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{SQUARE ROOT}"


def _stepsize_text(rule: str | None, multiple: float | None, stepsize: float) -> str:
    if rule is None or pd.isna(rule):
        return f"stepsize {stepsize:g}"
    return f"stepsize {rule}" if multiple == 1 else f"stepsize {multiple:g} {TIMES} {rule}"


def _said(row: Any, names: Iterable[str]) -> list[str]:
    """The values that a run has in the named columns, in words."""
    return [_say(name, row[name]) for name in names if not pd.isna(row[name])]


def _say(name: str, value: Any) -> str:
    """A parameter in words: "EF21", "top-k", "k = 3", "split by-label"."""
    short = name.removeprefix("problem.").removeprefix("method.").removeprefix("compressor.").replace("_", " ")
    text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else _plain(str(value))
    match name:
        case "method.kind":
            return text.upper()
        case "problem.kind":
            return text.replace("-", " ")
        case "stepsize_text" | "method.compressor" | "problem.dataset":
            return text
    return f"{short} {text}" if isinstance(value, str) else f"{short.replace('.', ' ')} = {text}"


def _plain(text: str) -> str:
    """Text of a config as matplotlib shall show it: no mathematics by accident, of a path the name, not too long."""
    text = text.rsplit("/", 1)[-1]
    return (text if len(text) <= 40 else f"{text[:18]}…{text[-20:]}").replace("$", r"\$")


def _typeset(formula: str) -> str:
    """A formula of plain text with its symbols."""
    formula = re.sub(rf"\b({'|'.join(GREEK)})\b", r"$\\\1$", formula.replace("sqrt", ROOT))
    return re.sub(r"\bL_(\w+)", r"$L_\\mathrm{\1}$", formula)


def _wrapped(items: Iterable[str], width: int) -> str:
    """The items with commas between them, in lines of about `width` characters as they are seen."""
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]}, {item}" if lines else item
        if lines and len(re.sub(r"\\[a-z]+|[${}_]", "", longer)) > width:
            lines[-1] += ","
            lines.append(item)
        else:
            lines[-1:] = [longer]
    return "\n".join(lines)


def _problem_items(sweep: Sweep, runs: pd.DataFrame, common: bool) -> list[str]:
    """What all problems of the sweep have in common, or else how the problem of `runs` differs from the others."""
    everything, row = sweep.runs, runs.iloc[0]
    given = [f"problem.{name}" for name in sweep.results.config.raw["problem"]]
    measured = ["problem.workers", "problem.dim", "problem.smoothness_ratio"]  # said below, as constants
    names = [name for name in given if name in everything and name not in (*measured, "problem.kind")]
    constants = {
        "n": everything.num_workers,
        "d": everything.dim,
        _typeset("L_QM/L_AM"): everything.heterogeneity,
    }
    texts = {name: _said(row, [name]) for name in names}
    chosen = [text for name, text in texts.items() if _differs(everything, name, "problem.kind") != common]
    chosen += [[f"{name} = {values[row.name]:.4g}"] for name, values in constants.items() if _unequal(values) != common]
    return [text for texts in chosen for text in texts]


def _unequal(values: pd.Series) -> bool:
    return len({f"{value:.4g}" for value in values}) > 1


def _title(sweep: Sweep) -> str:
    """What all runs have in common: method, problem, and what the stepsizes are."""
    runs = sweep.runs
    row = runs.iloc[0]
    names = [name for name in ("method.kind", "method.compressor", "method.compressor.k") if name in runs]
    method = [text for name in names if not _differs(runs, name, "method.kind") for text in _said(row, [name])]
    method += [row.stepsize_text] * (runs.stepsize_text.nunique() == 1)
    first = ["; ".join([*([", ".join(method)] if method else []), _say("problem.kind", row["problem.kind"])])]
    lines = [_wrapped([*first, *_problem_items(sweep, runs, common=True)], 100)]
    formulas = _stepsize_formulas(runs)
    if 0 < len(formulas) <= 3:
        lines.append("stepsizes: " + ", ".join(formulas))
    return "\n".join(lines)


def _stepsize_formulas(runs: pd.DataFrame) -> list[str]:
    """The largest stepsizes after which rules are named, e.g. "quadratic-mean = 1 / (L + L_QM ξ)"."""
    found = {}
    for kind, rule in runs[["method.kind", "rule"]].drop_duplicates().itertuples(index=False):
        for theorem in _theorems(kind):
            if theorem.name == rule:
                found[f"{rule} = {_typeset(theorem.formula)}"] = None
    return list(found)


# --- convergence -----------------------------------------------------------------------------------------------------


class Curve(NamedTuple):
    """One run in one panel."""

    run: str
    look: Look
    x: np.ndarray  # rounds or bits, [R]
    y: np.ndarray  # measured; NaN from where the run diverged, [R]
    bound: np.ndarray | None  # on the same axis, [R]
    diverged_at: float | None  # in units of x


def _theorems(kind: str) -> tuple[Theorem, ...]:
    return registered(Method)[kind].theorems


def _bound(run: Any, trace: pd.DataFrame, bounded: str) -> np.ndarray | None:
    """The bound to draw: of the theorem that named the stepsize, else the smallest; None where no theorem applies."""
    bounds = {
        theorem.name: trace[column(theorem.name, "bound")].to_numpy()
        for theorem in _theorems(run["method.kind"])
        if theorem.bounded == bounded and _on_axis(theorem) and run.get(column(theorem.name, "applies")) == True  # noqa: E712
    }
    smallest = min(bounds, key=lambda name: bounds[name][-1], default=None)
    return bounds.get(run.rule, bounds.get(smallest))


def _on_axis(theorem: Theorem) -> bool:
    """Whether a bound on V is one on the loss gap: not where V looks at another point, or at distances only."""
    return theorem.bounded == "mean_grad_norm_sq" or (theorem.uses_loss and theorem.point is at_model)


def _curve(sweep: Sweep, run: Any, metric: Metric, horizontal: str) -> Curve:
    trace = sweep.traces[run.run]
    x = trace[horizontal].to_numpy(float)
    diverged_at = None if pd.isna(run.diverged_round) else float(np.interp(run.diverged_round, trace["round"], x))
    y, bound = trace[metric.column].to_numpy(), _bound(run, trace, metric.bounded)
    return Curve(run.run, sweep.looks[run.variant], x, y, bound, diverged_at)


def _limits(curves: list[Curve], precision: str) -> tuple[float, float] | None:
    """Of the vertical axis; None where nothing is positive.

    Curves that grow far above the start leave at the top, those that fall to rounding error at the bottom.
    """
    start = max(curve.y[0] for curve in curves)
    calm = [curve for curve in curves if curve.diverged_at is None]
    measured = np.concatenate([[start], *(curve.y for curve in calm)])
    bounds = np.concatenate([[start], *(curve.bound for curve in calm if curve.bound is not None)])
    if not start > 0:
        return None
    lowest = max(np.nanmin(measured[measured > 0]), start * np.finfo(precision).eps ** 1.5)
    highest = min(max(np.nanmax(measured), np.nanmax(bounds)), DIVERGING * start)
    highest = max(highest, 10 * lowest, 10 * start if len(calm) < len(curves) else start)
    margin = (highest / lowest) ** 0.04
    return lowest / margin, highest * margin


def _visible(curve: Curve, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The curve up to where it diverges, which is at the top of the axes. -> x, y."""
    low, high = limits
    x, y = curve.x, curve.y
    if curve.diverged_at is None:
        return x, y
    finite = np.isfinite(y)
    x, y = np.append(x[finite], curve.diverged_at), np.append(y[finite], high)
    last = int(np.argmax(y >= high))
    before, beyond = np.log(np.clip(y[last - 1 : last + 1], low, None))
    share = (np.log(high) - before) / (beyond - before)
    crossing = x[last - 1] + share * (x[last] - x[last - 1])
    return np.append(x[:last], crossing), np.append(y[:last], high)


def _convergence(sweep: Sweep, panels: list[int], metric: Metric, horizontal: str) -> Figure:
    """One panel for each of the given problems: a metric against rounds or bits."""
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=horizontal == "round").flat
    ends, drawn = [], []
    for axes, panel in zip(grid, panels, strict=False):
        runs = sweep.runs[sweep.runs.panel == panel]
        curves = [_curve(sweep, run, metric, horizontal) for _, run in runs.iterrows()]
        ends.append(_draw_panel(axes, curves, sweep.results.config.precision))
        axes.set_ylabel(_vertical_label(metric, runs))
        if len(sweep.pages[0]) > 1:
            axes.set_title(_wrapped(_problem_items(sweep, runs, common=False), 90 // columns))
        drawn += curves
    _finish_grid(figure, list(grid), ends, columns, horizontal)
    _frame(figure, sweep, _convergence_handles(sweep, drawn, metric), rows)
    return figure


def _vertical_label(metric: Metric, runs: pd.DataFrame) -> str:
    if metric.column == "grad_norm_sq":
        return r"$\|\nabla f(x^t)\|^2$"
    return r"$f(x^t) - f^\star$" if runs.minimum_known.all() else f"$f(x^t)$ {MINUS} lower bound"


def _draw_panel(axes: Axes, curves: list[Curve], precision: str) -> float:
    """Draw the runs of one problem; returns up to which x there is something to see."""
    axes.set_yscale("log", nonpositive="clip")  # an exact zero leaves at the bottom
    limits = _limits(curves, precision)
    if limits is None:
        return curves[0].x[-1]
    axes.set_ylim(limits)
    ends = [0.0]
    for curve, width in zip(curves, _widths(curves), strict=True):
        x, y = _visible(curve, limits)
        _draw_curve(axes, curve, x, y, width)
        ends.append(x[y > limits[0]].max(initial=0.0))
    return max(ends)


def _widths(curves: list[Curve]) -> list[float]:
    """Line widths: thinner the more there are, and a line over the ones before, so that none hides another."""
    looks = list(dict.fromkeys(curve.look for curve in curves))
    if len(looks) > 12 or len(looks) < len(curves):
        return [0.7] * len(curves)
    steps = np.linspace(2.2, 1.2, len(looks)) if len(looks) > 1 else [1.4]
    return [float(steps[looks.index(curve.look)]) for curve in curves]


def _draw_curve(axes: Axes, curve: Curve, x: np.ndarray, y: np.ndarray, width: float) -> None:
    look = curve.look
    place = (0.02 + 0.013 * (COLORS.index(look.color)), 0.12)  # markers apart, and not all in the same places
    style = {"color": look.color, "linewidth": width}
    axes.plot(x, y, marker=look.marker, markevery=place, markeredgewidth=0, **style, gid=f"run-{curve.run}")
    if curve.bound is not None:
        axes.plot(curve.x, curve.bound, color=look.color, **DASHED, gid=f"bound-{curve.run}")
    if curve.diverged_at is not None:
        cross = {"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "clip_on": False, "zorder": 5}
        axes.plot(x[-1:], y[-1:], color=look.color, **cross, gid=f"diverged-{curve.run}")


def _finish_grid(figure: Figure, grid: list[Axes], ends: list[float], columns: int, horizontal: str) -> None:
    """Ticks, limits and labels of the horizontal axes; empty places go."""
    for axes in grid[len(ends) :]:
        figure.delaxes(axes)
    for index, (axes, end) in enumerate(zip(grid, ends, strict=False)):
        shared = max(ends) if horizontal == "round" else end
        axes.set_xlim(0, shared * 1.02 or 1)
        axes.xaxis.set_major_locator(MaxNLocator(8 if columns == 1 else 4, integer=True))
        axes.xaxis.set_major_formatter(
            StrMethodFormatter("{x:,.0f}") if horizontal == "round" else EngFormatter("bit", sep=" ")
        )
        if index + columns >= len(ends):  # nothing below
            axes.set_xlabel(HORIZONTAL_LABELS[horizontal])
            axes.tick_params(labelbottom=True)
        if index % columns and axes.get_ylabel() == grid[index - 1].get_ylabel():
            axes.set_ylabel("")


def _convergence_handles(sweep: Sweep, curves: list[Curve], metric: Metric) -> list[Line2D]:
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, linewidth=1.6, markeredgewidth=0, label=look.label)
        for look in sweep.looks
    ]
    if any(curve.bound is not None for curve in curves):
        handles.append(Line2D([], [], color=GREY, **DASHED, label=metric.bound))
    if any(curve.diverged_at is not None for curve in curves):
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="x", markeredgewidth=1.6, label="diverged"))
    return handles


def _frame(figure: Figure, sweep: Sweep, handles: list[Line2D], rows: int) -> None:
    """Title, legend outside all axes, and the size that they need."""
    if len(handles) > MOST_LEGEND_ENTRIES:
        more = Line2D([], [], linestyle="", label=f"and {len(handles) - MOST_LEGEND_ENTRIES} more")
        handles = [*handles[:MOST_LEGEND_ENTRIES], more]
    title = _title(sweep)
    figure.suptitle(title, x=0.01, ha="left")
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, 110 // (longest + 8))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns)
    lines = -(-len(handles) // columns)
    figure.set_size_inches(WIDTH, 0.4 + 0.17 * (title.count("\n") + 1 + lines) + (3.2 if rows == 1 else 2.0 * rows))
    figure.draw_without_rendering()  # ticks are made in our style, whoever saves the figure


# --- rounds to the target --------------------------------------------------------------------------------------------


class Points(NamedTuple):
    """What a variant needed on every problem, in order of heterogeneity; P problems, figures over the seeds."""

    ratio: np.ndarray  # L_QM/L_AM, [P]
    median: np.ndarray  # rounds to the target, inf where half of the seeds did not reach it, [P]
    fewest: np.ndarray  # likewise, inf where none did, [P]
    most: np.ndarray  # likewise, inf where not all did, [P]


def _rounds_to_target(sweep: Sweep) -> Figure:
    """Rounds to |grad f|^2 <= target |grad f(x^0)|^2 against L_QM/L_AM, on logarithmic axes, a line a variant."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    reached = {look: _points(sweep, variant) for variant, look in enumerate(sweep.looks)}
    if sweep.one_number_varies:
        _draw_guide(axes, next(points for points in reached.values() if np.isfinite(points.median).any()))
    for look, points in reached.items():
        _draw_points(axes, look, points, sweep)
    _finish_target_axes(axes, sweep)
    _frame(figure, sweep, _target_handles(sweep, reached), rows=1)
    return figure


def _points(sweep: Sweep, variant: int) -> Points:
    runs = sweep.runs[sweep.runs.variant == variant]
    groups = runs.assign(target_round=runs.target_round.fillna(np.inf)).groupby("panel")
    table = groups.agg(ratio=("heterogeneity", "first")).join(groups.target_round.agg(["median", "min", "max"]))
    return Points(*table.sort_values("ratio", kind="stable").to_numpy(float).T)


def _marker(look: Look) -> str:
    return look.marker or MARKERS[1 + COLORS.index(look.color)]


def _draw_points(axes: Axes, look: Look, points: Points, sweep: Sweep) -> None:
    """Filled markers where the target was reached, with the range over the seeds; open ones where it was not."""
    limit, there = sweep.results.config.rounds, np.isfinite(points.median)
    ratio, median = points.ratio[there], points.median[there]
    spread = (median - points.fewest[there], np.minimum(points.most[there], limit) - median)
    line = "-" if sweep.one_number_varies else ""
    style = {"color": look.color, "marker": _marker(look), "markersize": 5}
    axes.errorbar(ratio, median, spread, linestyle=line, linewidth=1.6, capsize=2, elinewidth=0.8, **style)
    missing = points.ratio[~there]
    axes.plot(missing, np.full(len(missing), limit), linestyle="", markerfacecolor="none", **style)


def _draw_guide(axes: Axes, points: Points) -> None:
    """A line proportional to L_QM/L_AM through the variant's first point."""
    first = int(np.argmax(np.isfinite(points.median)))
    ends = points.ratio[[first, -1]]
    axes.plot(ends, points.median[first] * ends / ends[0], color=GUIDE, linewidth=4, solid_capstyle="round", zorder=1)


def _finish_target_axes(axes: Axes, sweep: Sweep) -> None:
    axes.set_xlabel("heterogeneity of the workers' smoothness constants, " + _typeset("L_QM / L_AM"))
    target = ScalarFormatter(useMathText=True).format_data(sweep.results.config.target)
    axes.set_ylabel(rf"rounds to $\|\nabla f(x^t)\|^2 \leq$ ${target}$ $\|\nabla f(x^0)\|^2$")
    axes.xaxis.set_major_locator(FixedLocator(_apart(sweep.runs.heterogeneity)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis, form in ((axes.xaxis, "{x:.3g}"), (axes.yaxis, "{x:,.0f}")):
        axis.set_major_formatter(StrMethodFormatter(form))
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(NullLocator())


def _apart(values: Iterable[float]) -> list[float]:
    """Those of the values that leave room for a label at each on a logarithmic axis."""
    chosen: list[float] = []
    ordered = sorted(set(values))
    for value in ordered:
        if not chosen or np.log(value / chosen[-1]) > 0.06 * np.log(ordered[-1] / ordered[0]):
            chosen.append(value)
    return chosen


def _target_handles(sweep: Sweep, reached: dict[Look, Points]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=look.color, marker=_marker(look), markersize=5, linewidth=1.6, label=look.label)
        for look in reached
    ]
    if sweep.one_number_varies:
        handles.append(Line2D([], [], color=GUIDE, linewidth=4, label="proportional to " + _typeset("L_QM/L_AM")))
    if any(np.isinf(points.median).any() for points in reached.values()):
        missed = f"target not reached in {sweep.results.config.rounds:,} rounds"
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="o", markerfacecolor="none", label=missed))
    return handles
