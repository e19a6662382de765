"""Convergence: a metric against rounds or bits, a panel a problem, each run beside its theorem's bound."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from experiments.columns import column
from experiments.figures.frame import frame
from experiments.figures.style import COLORS, DASHED, DOTTED, GREY
from experiments.figures.sweep import Look, Sweep, Table, method_of, problem_items
from experiments.figures.words import MINUS, wrapped
from simulator import Method, Theorem
from simulator.theorem import at_model

__all__ = ["HORIZONTALS", "METRICS", "draw_convergence"]

DIVERGING = 1e3  # growth over the start beyond which a curve leaves its axes


class Metric(NamedTuple):
    """What the vertical axis shows, and the theorems' bounds that belong there."""

    column: str
    bounds: dict[str, str]  # what their theorems bound (`Theorem.bounded`), with the words for their lines


METRICS = {
    "gradient-norm": Metric(
        "grad_norm_sq",
        {
            "mean_grad_norm_sq": r"theorem's bound on the mean of $\|\nabla f(x^s)\|^2$ over $s < t$",
            "min_grad_norm_sq": r"theorem's bound on the smallest $\|\nabla f(x^s)\|^2$ over $s < t$",
        },
    ),
    "loss-gap": Metric("loss_gap", {"lyapunov": "theorem's bound on its Lyapunov value, at least the loss gap"}),
}
# Names and looks of the lines, by what they bound.
LINES = {
    "mean_grad_norm_sq": ("bound", DASHED),
    "min_grad_norm_sq": ("least-bound", DOTTED),
    "lyapunov": ("bound", DASHED),
}
HORIZONTALS = {"rounds": "round", "bits": "bits_per_worker"}
HORIZONTAL_LABELS = {"round": "round $t$", "bits_per_worker": "bits sent by each worker"}


class Curve(NamedTuple):
    """One run in one panel."""

    run: str
    look: Look
    x: np.ndarray  # rounds or bits, [R]
    y: np.ndarray  # measured; NaN from where the run diverged, [R]
    bounds: dict[str, np.ndarray]  # on the same axis, by what they bound, [R] each
    diverged_at: float | None  # in units of x


def _bounds(run: Any, trace: pd.DataFrame, metric: Metric) -> dict[str, np.ndarray]:
    """The bounds to draw, one for everything that a theorem which applies bounds."""
    found = {bounded: _bound(run, trace, bounded) for bounded in metric.bounds}
    return {bounded: bound for bounded, bound in found.items() if bound is not None}


def _bound(run: Any, trace: pd.DataFrame, bounded: str) -> np.ndarray | None:
    """The bound of the theorem that named the stepsize, else the smallest; None where no theorem applies."""
    bounds = {
        theorem.name: trace[column(theorem.name, "bound")].to_numpy()
        for theorem in method_of(run["method.kind"]).theorems
        if theorem.bounded == bounded and _on_axis(theorem) and run.get(column(theorem.name, "applies")) == True  # noqa: E712
    }
    smallest = min(bounds, key=lambda name: bounds[name][-1], default=None)
    return bounds[run.rule] if run.rule in bounds else bounds.get(smallest or "")


def _on_axis(theorem: Theorem) -> bool:
    """Whether a bound on V is one on the loss gap: not where V looks at another point, or at distances only."""
    return theorem.bounded != "lyapunov" or (theorem.uses_loss and theorem.point is at_model)


def _curve(sweep: Sweep, run: Any, metric: Metric, horizontal: str) -> Curve:
    trace = sweep.traces[run.run]
    x = trace[horizontal].to_numpy(float)
    diverged_at = None if pd.isna(run.diverged_round) else float(np.interp(run.diverged_round, trace["round"], x))
    y, bounds = trace[metric.column].to_numpy(), _bounds(run, trace, metric)
    return Curve(run.run, sweep.looks[run.variant], x, y, bounds, diverged_at)


def _limits(curves: list[Curve], precision: str) -> tuple[float, float] | None:
    """Of the vertical axis; None where nothing is positive.

    Curves that grow far above the start leave at the top, those that fall to rounding error at the bottom.
    """
    start = max(curve.y[0] for curve in curves)
    calm = [curve for curve in curves if curve.diverged_at is None]
    measured = np.concatenate([[start], *(curve.y for curve in calm)])
    bounds = np.concatenate([[start], *(bound for curve in calm for bound in curve.bounds.values())])
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


def draw_convergence(sweep: Sweep, panels: list[int], metric: Metric, horizontal: str) -> Figure:
    """One panel for each of the given problems: a metric against rounds or bits."""
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=horizontal == "round").flat)
    ends, drawn = [], []
    for axes, panel in zip(grid, panels, strict=False):
        runs = sweep.runs[sweep.runs.panel == panel]
        curves = [_curve(sweep, run, metric, horizontal) for _, run in runs.iterrows()]
        ends.append(_draw_panel(axes, curves, sweep.results.config.precision))
        axes.set_ylabel(_vertical_label(metric, runs))
        if len(sweep.pages[0]) > 1:
            axes.set_title(wrapped(problem_items(sweep, runs, common=False), 90 // columns))
        drawn += curves
    _finish_grid(figure, grid, ends, columns, horizontal)
    frame(figure, sweep, _convergence_handles(sweep, drawn, metric), rows)
    return figure


def _vertical_label(metric: Metric, runs: Table) -> str:
    if metric.column == "grad_norm_sq":
        own = any(method_of(kind).stationarity is not Method.stationarity for kind in runs["method.kind"].unique())
        return "stationarity (squared norm)" if own else r"$\|\nabla f(x^t)\|^2$"
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
    for bounded, bound in curve.bounds.items():
        name, line = LINES[bounded]
        axes.plot(curve.x, bound, color=look.color, **line, gid=f"{name}-{curve.run}")
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
    for bounded, words in metric.bounds.items():
        if any(bounded in curve.bounds for curve in curves):
            handles.append(Line2D([], [], color=GREY, **LINES[bounded][1], label=words))
    if any(curve.diverged_at is not None for curve in curves):
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="x", markeredgewidth=1.6, label="diverged"))
    return handles
