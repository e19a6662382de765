"""Numbers from what users give."""

from typing import Any

import numpy as np

from problems.errors import InvalidInput

__all__ = ["check_count", "check_not_negative", "check_positive"]


def check_count(name: str, given: Any, least: int = 0) -> None:
    """Raise InvalidInput unless `given` is a whole number of at least `least`."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
        raise InvalidInput(f"{name} must be a whole number >= {least}, not {given}")


def check_positive(name: str, given: float) -> None:
    """Raise InvalidInput unless `given` is positive and finite."""
    if not 0 < given < np.inf:
        raise InvalidInput(f"{name} must be positive and finite, not {given:g}")


def check_not_negative(name: str, given: float) -> None:
    """Raise InvalidInput unless `given` is finite and not negative."""
    if not 0 <= given < np.inf:
        raise InvalidInput(f"{name} must be finite and >= 0, not {given:g}")
