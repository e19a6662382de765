"""Arrays from what users give."""

from math import prod
from typing import Any

import numpy as np

from problems.errors import InvalidInput

__all__ = ["DENSE_LIMIT", "as_floats", "check_size"]

DENSE_LIMIT = 4 * 2**30  # bytes of one array


def as_floats(name: str, given: Any) -> np.ndarray:
    """`given` as an array of floats.

    Raises:
        InvalidInput: it is ragged, or not of numbers.
    """
    try:
        return np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be read as an array of numbers: {error}") from error


def check_size(what: str, *shape: int) -> None:
    """Raise InvalidInput where an array of floats of that shape would be larger than DENSE_LIMIT."""
    size = 8 * prod(shape)
    if size > DENSE_LIMIT:
        limit = f"the limit of {DENSE_LIMIT / 2**30:g} GiB"
        raise InvalidInput(
            f"{what} of {' x '.join(map(str, shape))} numbers take {size / 2**30:.3g} GiB, above {limit}"
        )
