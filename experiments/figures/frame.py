"""What surrounds the axes: title, legend, and the size that they need."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.figures.style import WIDTH
from experiments.figures.sweep import Sweep, title
from experiments.figures.words import seen_length

__all__ = ["frame"]

MOST_LEGEND_ENTRIES = 60


def frame(figure: Figure, sweep: Sweep, handles: list[Line2D], rows: int) -> None:
    """Title, legend outside all axes, and the size that they need."""
    if len(handles) > MOST_LEGEND_ENTRIES:
        more = Line2D([], [], linestyle="", label=f"and {len(handles) - MOST_LEGEND_ENTRIES} more")
        handles = [*handles[:MOST_LEGEND_ENTRIES], more]
    heading = title(sweep)
    figure.suptitle(heading, x=0.01, ha="left")
    longest = max(seen_length(str(handle.get_label())) for handle in handles)
    columns = max(1, 120 // (longest + 8))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns)
    lines = -(-len(handles) // columns)
    figure.set_size_inches(WIDTH, 0.4 + 0.17 * (heading.count("\n") + 1 + lines) + (3.2 if rows == 1 else 2.0 * rows))
    figure.draw_without_rendering()  # ticks are made in our style, whoever saves the figure
