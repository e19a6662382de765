"""What surrounds the axes: a sheet of a paper's width, panels, title, legend, and the height that they need."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.figures.style import WIDTHS
from experiments.figures.sweep import Look, Sweep, problem_items, title
from experiments.words import folded, seen_length, wrapped
from problems.errors import unknown_name

__all__ = [
    "characters",
    "frame",
    "label_outer",
    "look_handles",
    "panel_columns",
    "panel_grid",
    "rows_height",
    "sheet",
    "title_panels",
]

MOST_LEGEND_ENTRIES = 24
LINE = 0.17  # inches
HANDLE = 11  # characters of a legend's entry that are not its label


def sheet(width: str) -> Figure:
    """An empty figure, "single" or "double" columns wide.

    Raises:
        InvalidInput: another width.
    """
    if width not in WIDTHS:
        raise unknown_name("width", width, WIDTHS)
    return Figure(figsize=(WIDTHS[width], 3.0), layout="constrained")


def characters(figure: Figure, on_two_columns: int) -> int:
    """How many characters fit where so many fit on two columns."""
    return int(on_two_columns * figure.get_figwidth() / WIDTHS["double"])


def panel_columns(figure: Figure, panels: int, most: int = 3) -> int:
    """In how many columns to arrange panels."""
    room = 1 if figure.get_figwidth() < WIDTHS["double"] else most
    return min(room, {1: 1, 2: 2, 4: 2}.get(panels, 3))


def panel_grid(figure: Figure, panels: int, columns: int, **options: Any) -> list[Axes]:
    """Axes for the panels, row by row; options are those of `Figure.subplots`."""
    grid = list(figure.subplots(-(-panels // columns), columns, squeeze=False, **options).flat)
    for axes in grid[panels:]:
        figure.delaxes(axes)
    return grid[:panels]


def title_panels(grid: Sequence[Axes], sweep: Sweep, panels: Sequence[int], width: int) -> None:
    """Say above each panel how its problem differs, in lines of `width` characters; not where there is one problem."""
    if len(sweep.pages[0]) > 1:
        for axes, panel in zip(grid, panels, strict=True):
            runs = sweep.runs[sweep.runs.panel == panel]
            axes.set_title(wrapped(problem_items(sweep, runs, common=False), width))


def label_outer(grid: Sequence[Axes], columns: int, label: str) -> None:
    """The horizontal axes' label where nothing is below, and no vertical label twice in a row."""
    for index, axes in reversed(list(enumerate(grid))):
        if index + columns >= len(grid):
            axes.set_xlabel(label)
            axes.tick_params(labelbottom=True)
        if index % columns and axes.get_ylabel() == grid[index - 1].get_ylabel():
            axes.set_ylabel("")


def look_handles(looks: Iterable[Look]) -> list[Line2D]:
    """Of the legend: a line for every look; in a crowd, for every group of them."""
    entries = dict.fromkeys((look.group or look.label, look.color, look.marker) for look in looks)
    style = {"linewidth": 1.6, "markeredgewidth": 0}
    return [Line2D([], [], color=color, marker=marker, label=label, **style) for label, color, marker in entries]


def rows_height(rows: int) -> float:
    """Of the panels, in inches."""
    return 3.2 if rows == 1 else 2.0 * rows


def frame(figure: Figure, sweep: Sweep, handles: Sequence[Artist], height: float) -> None:
    """Title, legend outside all axes, and room for them and `height` inches of panels."""
    hidden = len(handles) - MOST_LEGEND_ENTRIES
    more = [Line2D([], [], linestyle="", label=f"and {hidden} more")] if hidden > 0 else []
    handles = [*handles[:MOST_LEGEND_ENTRIES], *more]
    heading = title(sweep, characters(figure, 100))
    figure.suptitle(heading, x=0.01, ha="left")
    lines = heading.count("\n") + 1
    if handles:
        room = characters(figure, 112)
        labels = [folded(str(handle.get_label()), room - HANDLE) for handle in handles]
        longest = max(seen_length(line) for label in labels for line in label.splitlines())
        columns = max(1, room // (longest + HANDLE))
        figure.legend(handles=handles, labels=labels, loc="outside lower left", ncols=columns)
        lines += -(-sum(label.count("\n") + 1 for label in labels) // columns)
    figure.set_figheight(0.4 + LINE * lines + height)
    figure.draw_without_rendering()  # ticks are made in our style, whoever saves the figure
