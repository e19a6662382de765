"""Slack along a run: the margin of a theorem's one-step inequality from record to record, a panel a theorem."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator, StrMethodFormatter

from experiments.columns import column
from experiments.figures.frame import frame, label_outer, look_handles, panel_columns, panel_grid, rows_height, sheet
from experiments.figures.style import DOTTED, GREY, MARKERS
from experiments.figures.sweep import Sweep, Table, applicable
from experiments.words import MINUS

__all__ = ["draw_slack", "judged_theorems"]

LINEAR_BELOW = 1e-2  # of the vertical axis; a slack of this size is a hundredth of what changes in a round
TICKS = (-1, -0.1, -0.01, 0, 0.01, 0.1, 1)
MOST_PANELS = 9


def judged_theorems(sweep: Sweep) -> list[str]:
    """Theorems whose inequality is judged round by round: those that name stepsizes, or else all that speak of runs."""
    runs = sweep.runs[sweep.runs.deterministic.astype(bool)]
    names = dict.fromkeys(theorem.name for _, run in runs.iterrows() for theorem in applicable(run))
    there = [name for name in names if column(name, "slack") in sweep.trace_names]
    ruling = [name for name in there if name in set(runs.rule)]
    return (ruling or there)[:MOST_PANELS]


def draw_slack(sweep: Sweep, panels: list[int], width: str) -> Figure:
    """The smallest slack since the record before, relative to what changes in a round, of deterministic methods.

    A marker is the smallest of a run, which may be in the rounds before it diverged, of which there is no record.

    Below 0 the inequality is broken. Dotted where the theorem does not speak of the stepsize: there it may be.
    """
    theorems, figure = judged_theorems(sweep), sheet(width)
    columns = panel_columns(figure, len(theorems))
    grid = panel_grid(figure, len(theorems), columns, sharex=True, sharey=True)
    runs = sweep.runs[sweep.runs.deterministic.astype(bool) & sweep.runs.panel.isin(panels)]
    for axes, theorem in zip(grid, theorems, strict=True):
        _draw_panel(axes, sweep, runs, theorem)
        axes.set_title(theorem)
        axes.set_ylabel("slack / what changes")
    label_outer(grid, columns, "round $t$")
    frame(figure, sweep, _handles(sweep, runs), rows_height(-(-len(theorems) // columns)))
    return figure


def _draw_panel(axes: Axes, sweep: Sweep, runs: Table, theorem: str) -> None:
    axes.axhline(0.0, color="black", linewidth=0.8, zorder=1)
    width = 0.6 if len(runs) > 12 else 1.0
    for _, run in runs.iterrows():
        applies, trace = run.get(column(theorem, "applies")), sweep.traces[run.run]
        if applies in (True, False):
            color, kind = sweep.looks[run.variant].color, "slack" if applies else "beyond"
            line: dict[str, Any] = {"linewidth": width} if applies else DOTTED | {"linewidth": width}
            axes.plot(trace["round"], trace[column(theorem, "slack")], color=color, **line, gid=f"{kind}-{run.run}")
            least = run[[column(theorem, "smallest_slack_round"), column(theorem, "smallest_slack")]]
            point = {"marker": sweep.looks[run.variant].marker or MARKERS[1], "markersize": 3.5, "clip_on": False}
            axes.plot(*([value] for value in least), color=color, **point, gid=f"least-{run.run}")
    axes.set_xscale("log")  # most happens in the first rounds
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW)
    axes.set_ylim(-1.0, 1.0)
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", MINUS)))


def _handles(sweep: Sweep, runs: Table) -> list[Line2D]:
    looks = (sweep.looks[variant] for variant in np.unique(runs.variant))
    beyond = Line2D([], [], color=GREY, **DOTTED, label="a stepsize of which the theorem does not speak")
    return [*look_handles(looks), beyond]
