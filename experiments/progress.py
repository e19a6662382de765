"""Progress bars for whatever takes longer than two seconds; none where standard error is not a terminal."""

from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

DELAY = 2.0  # seconds before a bar appears


def progress_bar(*iterable: Any, **options: Any) -> tqdm:
    """A bar over an iterable, or one to be updated by hand; options are those of tqdm."""
    return tqdm(*iterable, delay=DELAY, disable=None, **options)
