"""Convergence: a metric against rounds, bits, gradients or time, a panel a problem, each run beside its bound."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from experiments.figures.crowd import draw_crowd
from experiments.figures.curves import HORIZONTALS, METRICS, Curve, Metric, curves_of, visible_limits
from experiments.figures.frame import (
    frame,
    label_outer,
    look_handles,
    panel_columns,
    panel_grid,
    rows_height,
    sheet,
    title_panels,
)
from experiments.figures.style import COLORS, DASHED, DOTTED, GREY
from experiments.figures.sweep import Sweep, Table, own_stationarity
from experiments.words import MINUS

__all__ = ["draw_convergence"]

# Names and looks of the lines of bounds, by what they bound.
LINES = {
    "mean_grad_norm_sq": ("bound", DASHED),
    "min_grad_norm_sq": ("least-bound", DOTTED),
    "lyapunov": ("bound", DASHED),
}
BAND = {"alpha": 0.18, "linewidth": 0}
FORMATS = {
    "rounds": StrMethodFormatter("{x:,.0f}"),
    "bits": EngFormatter("bit", sep=" "),
    "gradients": StrMethodFormatter("{x:,.4g}"),
    "time": StrMethodFormatter("{x:,.4g}"),
    "elapsed": StrMethodFormatter("{x:,.4g}"),
}


def draw_convergence(sweep: Sweep, panels: list[int], width: str, metric_name: str, by: str) -> Figure:
    """One panel for each of the given problems: a metric (of METRICS) against one of HORIZONTALS."""
    metric, figure = METRICS[metric_name], sheet(width)
    columns = panel_columns(figure, len(panels), 2 if sweep.crowded else 3)
    grid = panel_grid(figure, len(panels), columns, sharex=by == "rounds")
    ends, drawn = [], []
    for axes, panel in zip(grid, panels, strict=True):
        curves = curves_of(sweep, panel, metric, HORIZONTALS[by])
        ends.append(_draw_panel(axes, curves, sweep))
        axes.set_ylabel(_vertical_label(metric_name, sweep.runs[sweep.runs.panel == panel]))
        drawn += curves
    most = 8 if columns == 1 and width == "double" else 4
    for axes, end in zip(grid, ends, strict=True):
        axes.set_xlim(0, (max(ends) if by == "rounds" else end) * 1.02 or 1)
        axes.xaxis.set_major_locator(MaxNLocator(most, integer=by == "rounds"))
        axes.xaxis.set_major_formatter(FORMATS[by])
    title_panels(grid, sweep, panels, 90 // columns)
    label_outer(grid, columns, HORIZONTALS[by].label)
    frame(figure, sweep, _handles(sweep, drawn, metric), rows_height(-(-len(panels) // columns)))
    return figure


def _vertical_label(metric: str, runs: Table) -> str:
    if metric == "lyapunov":
        return "Lyapunov function $V^t$"
    if metric == "gradient-norm":
        return "stationarity (squared norm)" if own_stationarity(runs) else r"$\|\nabla f(x^t)\|^2$"
    return r"$f(x^t) - f^\star$" if runs.minimum_known.all() else f"$f(x^t)$ {MINUS} lower bound"


def _draw_panel(axes: Axes, curves: list[Curve], sweep: Sweep) -> float:
    """Draw the runs of one problem; returns up to which x there is something to see."""
    axes.set_yscale("log", nonpositive="clip")  # an exact zero leaves at the bottom
    limits = visible_limits(curves, sweep.results.config.precision)
    if limits is None:
        return curves[0].x[-1] if curves else 0.0
    axes.set_ylim(limits)
    if sweep.crowded:
        return draw_crowd(axes, curves, limits)
    ends = [0.0]
    for curve, width in zip(curves, _widths(curves), strict=True):
        x, y = _visible(curve, limits)
        _draw_curve(axes, curve, x, y, width)
        ends.append(x[y > limits[0]].max(initial=0.0))
    return max(ends)


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
    if curve.band is not None:
        axes.fill_between(curve.x, *curve.band, color=look.color, gid=f"band-{curve.name}", **BAND)
    axes.plot(x, y, marker=look.marker, markevery=place, markeredgewidth=0, **style, gid=f"run-{curve.name}")
    for bounded, bound in curve.bounds.items():
        name, line = LINES[bounded]
        axes.plot(curve.x, bound, color=look.color, **line, gid=f"{name}-{curve.name}")
    if curve.diverged_at is not None:
        cross = {"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "clip_on": False, "zorder": 5}
        axes.plot(x[-1:], y[-1:], color=look.color, **cross, gid=f"diverged-{curve.name}")


def _handles(sweep: Sweep, curves: list[Curve], metric: Metric) -> list[Artist]:
    handles: list[Artist] = [*look_handles(curve.look for curve in curves)]
    if sweep.crowded:
        return handles
    for bounded, words in metric.words.items():
        if any(bounded in curve.bounds for curve in curves):
            handles.append(Line2D([], [], color=GREY, **LINES[bounded][1], label=words))
    if any(curve.band is not None for curve in curves):
        handles.append(Patch(color=GREY, **BAND, label="80% of the seeds, around their median"))
    if any(curve.diverged_at is not None for curve in curves):
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="x", markeredgewidth=1.6, label="diverged"))
    return handles
