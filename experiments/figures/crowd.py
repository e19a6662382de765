"""Many lines in one panel: thin ones, the range of every group of them, and names at the ends of a few."""

from itertools import groupby

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.curves import Curve
from experiments.words import wrapped

__all__ = ["draw_crowd"]

NAMED = 5  # of the lines of a panel, from the lowest to the highest
LEAST_GAP = 0.11  # between their names, in parts of the axis
POINTER = {"arrowstyle": "-", "linewidth": 0.4, "relpos": (0.0, 0.5), "shrinkA": 0, "shrinkB": 0}  # to the left edge
GRID = 200  # points at which a range is drawn


def draw_crowd(axes: Axes, curves: list[Curve], limits: tuple[float, float]) -> float:
    """Draw them within the limits of the vertical axis; returns the last x. What diverges has no range and no name."""
    for curve in curves:
        style = {"color": curve.look.color, "linewidth": 0.5, "alpha": 0.6}
        axes.plot(curve.x, curve.y, **style, gid=f"run-{curve.name}")
    calm = [curve for curve in curves if curve.diverged_at is None]
    for color, members in groupby(sorted(calm, key=_color), _color):
        x, low, high = _range(list(members), limits)
        axes.fill_between(x, low, high, color=color, alpha=0.1, linewidth=0, gid=f"range-{color}")
    _name_some(axes, calm, limits)
    return max(curve.x[-1] for curve in curves)


def _color(curve: Curve) -> str:
    return curve.look.color


def _range(curves: list[Curve], limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least and the greatest value of the curves. -> x, low, high, [GRID] each."""
    x = np.linspace(0, max(curve.x[-1] for curve in curves), GRID)
    heights = [np.interp(x, curve.x, np.log(np.clip(curve.y, *limits)), right=np.nan) for curve in curves]
    there = ~np.isnan(heights).all(axis=0)
    lowest, highest = np.nanmin(np.array(heights)[:, there], axis=0), np.nanmax(np.array(heights)[:, there], axis=0)
    return x[there], np.exp(lowest), np.exp(highest)


def _name_some(axes: Axes, curves: list[Curve], limits: tuple[float, float]) -> None:
    """Names beside the axes, at the heights at which lines end, moved apart where they would overlap."""
    ends = [(float(curve.y[np.isfinite(curve.y)][-1]), curve) for curve in curves]
    ordered = [(_height(value, limits), curve) for value, curve in sorted(ends, key=lambda end: end[0])]
    places = np.linspace(0, len(ordered) - 1, min(NAMED, len(ordered))).astype(int)
    chosen = [ordered[index] for index in places]
    lowest = -LEAST_GAP
    for place, (height, curve) in enumerate(chosen):
        above = (len(chosen) - 1 - place) * LEAST_GAP  # room for those that follow
        lowest = min(max(height, lowest + LEAST_GAP), 1 - above)
        axes.annotate(
            wrapped(curve.look.label.split(", "), 24),
            (1.0, height),
            (1.02, lowest),
            "axes fraction",
            color=curve.look.color,
            fontsize=5.5,
            va="center",
            annotation_clip=False,
            arrowprops=POINTER | {"color": curve.look.color},
            gid=f"name-{curve.name}",
        )


def _height(value: float, limits: tuple[float, float]) -> float:
    """Where a value is on the logarithmic axis, from 0 to 1."""
    low, high = np.log(limits)
    return float(np.clip((np.log(np.clip(value, *limits)) - low) / (high - low), 0, 1))
