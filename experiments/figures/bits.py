"""What is sent: the bits of every variant until the target is reached, by direction, a panel a problem."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from experiments.figures.frame import frame, label_outer, panel_columns, panel_grid, sheet, title_panels
from experiments.figures.style import COLORS, GREY
from experiments.figures.sweep import Sweep

__all__ = ["draw_bits"]

BAR = 0.2  # inches
UNFINISHED = {"hatch": "////", "alpha": 0.55}  # the whole run, where the target was not reached


class Part(NamedTuple):
    """A part of what is sent, and how it is told."""

    color: str
    words: str


PARTS = {
    "begin": Part(COLORS[6], "by a worker before the first round"),
    "up": Part(COLORS[0], "by a worker in the rounds"),
    "down": Part(COLORS[4], "to a worker"),
}


def draw_bits(sweep: Sweep, panels: list[int], width: str) -> Figure:
    """Stacked bars, a bar a variant: the median over seeds of the bits to the target; hatched where it was missed."""
    figure = sheet(width)
    columns = panel_columns(figure, len(panels), 2)
    grid = panel_grid(figure, len(panels), columns, sharey=True)
    for axes, panel in zip(grid, panels, strict=True):
        _draw_panel(axes, sweep, panel)
    title_panels(grid, sweep, panels, 60 // columns)
    grid[0].invert_yaxis()  # shared
    label_outer(grid, columns, "bits until the target is reached")
    rows = -(-len(panels) // columns)
    frame(figure, sweep, _handles(), rows * (0.7 + BAR * len(sweep.looks)))
    return figure


def _draw_panel(axes: Axes, sweep: Sweep, panel: int) -> None:
    runs = sweep.runs[sweep.runs.panel == panel]
    for variant, own in runs.groupby("variant"):
        sent = [_sent(run, sweep.traces[run.run]) for _, run in own.iterrows()]
        missed = own.target_round.isna().any()
        left = 0.0
        for part, bits in zip(PARTS.values(), np.median(sent, axis=0), strict=True):
            style = UNFINISHED if missed else {}
            axes.barh(variant, bits, left=left, color=part.color, edgecolor="white", linewidth=0, **style)
            left += bits
    labels = [look.label for look in sweep.looks]
    axes.set_yticks(range(len(labels)), labels, fontsize=6.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(EngFormatter("bit", sep=" "))
    axes.grid(visible=False, axis="y")


def _sent(run: Any, trace: pd.DataFrame) -> tuple[float, float, float]:
    """The bits of PARTS up to the target, or to the end of the run where it is missed."""
    rounds = trace["round"].to_numpy(float)
    end = rounds[-1] if pd.isna(run.target_round) else run.target_round
    up, down = (np.interp([0.0, end], rounds, trace[name]) for name in ("bits_per_worker", "downlink_bits_per_worker"))
    return float(up[0]), float(up[1] - up[0]), float(down[1])


def _handles() -> list[Patch]:
    parts = [Patch(color=part.color, label=part.words) for part in PARTS.values()]
    return [*parts, Patch(facecolor=GREY, label="target not reached", **UNFINISHED)]
