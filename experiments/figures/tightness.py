"""Tightness: how much of its bound a theorem needs, a cell for every theorem on every problem."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from experiments.columns import column
from experiments.figures.frame import frame, sheet
from experiments.figures.sweep import Sweep, Table, method_of, problem_items
from experiments.words import wrapped

__all__ = ["draw_tightness", "tightness_table"]

LEAST = 1e-4  # of the colours
DARK = 0.05  # from where on they need white words
BEYOND, SILENT = "#D55E00", "#f2f2f2"  # the colours of what exceeds its bound, and of no theorem
ROW = 0.17  # inches


def tightness_table(sweep: Sweep) -> pd.DataFrame:
    """The largest measured / bound of every theorem (rows "method theorem") on every problem (columns, panels).

    Of runs that differ in the seed only it is the mean of their largest, as in a verdict; NaN where the theorem speaks
    of no run.
    """
    found: dict[str, pd.Series] = {}
    for kind, runs in sweep.runs.groupby("method.kind", sort=False):
        for theorem in method_of(str(kind)).theorems:
            name = column(theorem.name, "excess")
            if name in runs:
                spoken: Table = runs[runs[column(theorem.name, "applies")].eq(True)]
                seeds = spoken.groupby(["panel", "variant"])[name].mean()
                found[f"{kind} {theorem.name}"] = seeds.groupby("panel").max()
    table = pd.DataFrame(found).T.reindex(columns=range(int(sweep.runs.panel.max()) + 1))
    return table.dropna(how="all")


def draw_tightness(sweep: Sweep, panels: list[int], width: str) -> Figure:
    """A heat map of the table; 1 means that the bound is attained, more that it is wrong."""
    table, figure = tightness_table(sweep)[panels], sheet(width)
    axes = figure.subplots()
    colors: Any = axes.pcolormesh(
        np.clip(table.to_numpy(float), LEAST, None), norm=LogNorm(LEAST, 1.0), cmap=_colors(), edgecolor="white"
    )
    for (row, col), value in np.ndenumerate(table.to_numpy(float)):
        dark = np.isfinite(value) and DARK < value <= 1
        text = "" if np.isnan(value) else f"{value:.2g}"
        axes.text(col + 0.5, row + 0.5, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
    axes.set_yticks(np.arange(len(table)) + 0.5, table.index, fontsize=6.5)
    axes.set_xticks(np.arange(len(panels)) + 0.5, [_name(sweep, panel) for panel in panels], fontsize=6.5)
    if len(panels) > 3:
        axes.tick_params(axis="x", rotation=90)
    axes.invert_yaxis()
    axes.grid(False)
    axes.tick_params(length=0)
    figure.colorbar(colors, ax=axes, extend="max", label="largest measured / bound", fraction=0.04, aspect=30)
    frame(figure, sweep, [], 0.9 + ROW * len(table))
    return figure


def _colors() -> Any:
    return matplotlib.colormaps["Blues"].with_extremes(over=BEYOND, bad=SILENT)


def _name(sweep: Sweep, panel: int) -> str:
    runs = sweep.runs[sweep.runs.panel == panel]
    return wrapped(problem_items(sweep, runs, common=False), 28) or "the problem"
