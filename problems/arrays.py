"""Arrays from what users give."""

from typing import Any

import numpy as np

from problems.errors import InvalidInput

__all__ = ["as_floats"]


def as_floats(name: str, given: Any) -> np.ndarray:
    """`given` as an array of floats.

    Raises:
        InvalidInput: it is ragged, or not of numbers.
    """
    try:
        return np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be read as an array of numbers: {error}") from error
