"""Progress bars for whatever takes longer than two seconds; none where standard error is not a terminal."""

from shutil import get_terminal_size
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

DELAY = 2.0  # seconds before a bar appears


def progress_bar(*iterable: Any, **options: Any) -> tqdm:
    """A bar over an iterable, or one to be updated by hand; options are those of tqdm.

    It says how much is done, in which time, how much is left, and the rate.
    """
    size = get_terminal_size()  # a guess where the terminal does not know: tqdm would take it for one without columns
    return tqdm(*iterable, delay=DELAY, disable=None, ncols=size.columns, nrows=size.lines, **options)
