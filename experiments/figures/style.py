"""How figures look: one style for all, whatever the user's own settings are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style

__all__ = ["COLORS", "DASHED", "DOTTED", "GREY", "GUIDE", "MARKERS", "WIDTHS", "figure_style"]

WIDTHS = {"single": 3.4, "double": 7.0}  # inches, of one and of two columns of a paper; fonts are as printed at these

# Okabe and Ito's palette, distinct for every kind of colour vision; without yellow, which is too light for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHED: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 0.9}
DOTTED: dict[str, Any] = {"linestyle": (0, (1, 1.5)), "linewidth": 1.1}
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
    "pdf.fonttype": 42,  # embedded as TrueType, which journals ask for
    "svg.hashsalt": "efsim",  # else ids in an SVG are random
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Our settings on matplotlib's own defaults, whatever the user's are, and only for the block."""
    with matplotlib.style.context(["default", STYLE]):
        yield
