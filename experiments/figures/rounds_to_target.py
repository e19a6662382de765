"""What heterogeneity costs: rounds to the target against L_QM/L_AM."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, ScalarFormatter, StrMethodFormatter

from experiments.figures.frame import frame, look_handles, rows_height, sheet
from experiments.figures.style import COLORS, GREY, GUIDE, MARKERS
from experiments.figures.sweep import Look, Sweep
from experiments.words import typeset

__all__ = ["draw_rounds_to_target"]


class Points(NamedTuple):
    """What a variant needed on every problem, in order of heterogeneity; P problems, figures over the seeds."""

    ratio: np.ndarray  # L_QM/L_AM, [P]
    median: np.ndarray  # rounds to the target, inf where half of the seeds did not reach it, [P]
    fewest: np.ndarray  # likewise, inf where none did, [P]
    most: np.ndarray  # likewise, inf where not all did, [P]


def draw_rounds_to_target(sweep: Sweep, panels: list[int], width: str) -> Figure:
    """Rounds to |grad f|^2 <= target |grad f(x^0)|^2 against L_QM/L_AM, on logarithmic axes, a line a variant."""
    figure = sheet(width)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    reached = {look: _points(sweep, variant) for variant, look in enumerate(sweep.looks)}
    if sweep.one_number_varies:
        _draw_guide(axes, next(points for points in reached.values() if np.isfinite(points.median).any()))
    for look, points in reached.items():
        _draw_points(axes, look, points, sweep)
    _finish_target_axes(axes, sweep)
    frame(figure, sweep, _target_handles(sweep, reached), rows_height(1))
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
    axes.set_xlabel("heterogeneity of the workers' smoothness constants, " + typeset("L_QM / L_AM"))
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
    handles = look_handles(look if sweep.crowded else look._replace(marker=_marker(look)) for look in reached)
    if sweep.one_number_varies:
        handles.append(Line2D([], [], color=GUIDE, linewidth=4, label="proportional to " + typeset("L_QM/L_AM")))
    if any(np.isinf(points.median).any() for points in reached.values()):
        missed = f"target not reached in {sweep.results.config.rounds:,} rounds"
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="o", markerfacecolor="none", label=missed))
    return handles
