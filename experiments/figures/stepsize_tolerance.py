"""Stepsize tolerance: how far runs come at multiples of a theorem's stepsize, and from where on they diverge."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from experiments.columns import differs, named
from experiments.figures.frame import frame, label_outer, panel_columns, panel_grid, rows_height, sheet, title_panels
from experiments.figures.style import COLORS, GREY, MARKERS
from experiments.figures.sweep import Sweep, Table, numbered
from experiments.words import said

__all__ = ["draw_stepsize_tolerance", "tries_stepsizes"]

DIVERGED = 1.0  # where diverged runs are drawn: where they began


def tries_stepsizes(sweep: Sweep) -> bool:
    """Whether a method is run at several multiples of a stepsize, or at several stepsizes."""
    return bool(_lines(sweep).groupby(["line", "panel"]).along.nunique().max() > 1)


def draw_stepsize_tolerance(sweep: Sweep, panels: list[int], width: str) -> Figure:
    """The smallest |grad f|^2 of each run, relative to the start, against its stepsize: a panel a problem, a line a
    method and rule, the median over seeds with their range; crosses where runs diverged."""
    runs, figure = _lines(sweep), sheet(width)
    runs = runs.assign(reached=[_reached(sweep, run) for run in runs.run])  # how far they came
    columns = panel_columns(figure, len(panels))
    grid = panel_grid(figure, len(panels), columns, sharey=True)
    for axes, panel in zip(grid, panels, strict=True):
        _draw_panel(axes, runs[runs.panel == panel])
        axes.set_ylabel(r"smallest $\|\nabla f(x^t)\|^2$ / at the start")
    title_panels(grid, sweep, panels, 90 // columns)
    label_outer(grid, columns, _label(runs))
    frame(figure, sweep, _handles(runs), rows_height(-(-len(panels) // columns)))
    return figure


def _lines(sweep: Sweep) -> Table:
    """The runs with `along`, the stepsize on the axis, and `line`, a number of the line.

    The axis has multiples of the rule's stepsize where all runs have one, else gamma L.
    """
    runs = sweep.runs
    along = runs.multiple if runs.rule.notna().all() else runs.stepsize * runs.L
    line = numbered(runs, [*named(runs, "method."), "rule"])
    return runs.assign(along=along, line=line)


def _reached(sweep: Sweep, run: str) -> float:
    values = sweep.traces[run].grad_norm_sq.to_numpy()
    return float(np.nanmin(values) / values[0])


def _look(line: int) -> dict[str, Any]:
    return {"color": COLORS[line % len(COLORS)], "marker": MARKERS[1 + line % (len(MARKERS) - 1)], "markersize": 4}


def _draw_panel(axes: Axes, runs: Table) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for line, own in runs.groupby("line"):
        calm, lost = own[own.diverged_round.isna()], own[own.diverged_round.notna()]
        middle = calm.groupby("along").reached.agg(["median", "min", "max"])
        spread = (middle["median"] - middle["min"], middle["max"] - middle["median"])
        style = {"linewidth": 1.2, "elinewidth": 0.8, "capsize": 2, **_look(int(line))}
        axes.errorbar(middle.index, middle["median"], spread, gid=f"line-{line}", **style)
        crosses = {"marker": "x", "linestyle": "", "markersize": 6, "markeredgewidth": 1.4}
        axes.plot(lost.along.unique(), [DIVERGED] * lost.along.nunique(), **(_look(int(line)) | crosses))
    axes.xaxis.set_major_locator(LogLocator(base=2 if _by_rule(runs) else 10, numticks=8))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def _by_rule(runs: Table) -> bool:
    return bool(runs.rule.notna().all())


def _label(runs: Table) -> str:
    return "stepsize / the theorem's" if _by_rule(runs) else r"stepsize, $\gamma L$"


def _handles(runs: Table) -> list[Line2D]:
    factors = [name for name in named(runs, "method.") if differs(runs, name, "method.kind")]
    handles = []
    for line, own in runs.groupby("line"):
        row = own.iloc[0]
        rule = [] if pd.isna(row.rule) or runs.rule.nunique() == 1 else [row.rule]
        label = ", ".join([*said(row, factors), *rule]) or "all runs"
        handles.append(Line2D([], [], linewidth=1.2, label=label, **_look(int(line))))
    if runs.diverged_round.notna().any():
        handles.append(Line2D([], [], color=GREY, linestyle="", marker="x", markeredgewidth=1.4, label="diverged"))
    return handles
