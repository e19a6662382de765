"""Plain text tables for the terminal."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np

from experiments.colour import visible

__all__ = ["WIDTH", "markdown", "number", "render", "render_noted", "wrapped"]

WIDTH = 110


def number(value: Any, digits: int = 4) -> str:
    """A number to read; "-" where there is none."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "-"
    return f"{value:.{digits}g}" if isinstance(value, float | np.floating) else str(value)


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header; columns of numbers are aligned to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(visible, column)) for column in columns]
    right = [bool(rows) and all(_is_numeric(cell) for cell in column[1:]) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (
            _blank(cell, width) + cell if to_right else cell + _blank(cell, width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def _blank(cell: str, width: int) -> str:
    return " " * (width - visible(cell))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, as a Markdown table."""
    cells = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def render_noted(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose rows have one cell more than the header: a note, on lines of its own below the row."""
    head, line, *body = render(header, [row[:-1] for row in rows]).splitlines()
    notes = [wrapped(row[-1], "    ", "    ") for row in rows]
    return "\n".join([head, line, *(f"{row}\n{note}" for row, note in zip(body, notes, strict=True))])


def wrapped(text: str, first: str, indent: str) -> str:
    """The text in lines of at most WIDTH characters where words allow it; `first` begins the first, `indent` others."""
    return fill(text, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)


def _is_numeric(cell: str) -> bool:
    return (
        cell in ("-", "")
        or cell.lstrip("+-").replace(".", "").replace("e", "").replace("-", "").replace("+", "").isdigit()
    )
