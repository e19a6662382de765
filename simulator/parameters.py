"""Checks of what users give as parameters of compressors, methods and their parts."""

from math import inf, nan
from numbers import Integral, Real

from jax import Array

from problems import InvalidInput

__all__ = ["check_number", "check_whole"]


def check_whole(name: str, given: object, least: int = 1) -> None:
    """Raise InvalidInput where the number is not a whole one >= 1, or >= `least`."""
    if isinstance(given, Array):  # a traced number, as in a batch of different ones
        return
    if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
        raise InvalidInput(f"{name} must be a whole number >= {least}, not {given!r}")


def check_number(name: str, given: object, interval: str) -> None:
    """Raise InvalidInput where the number is not in the interval, written as "(0, 1]" or "[0, inf)"."""
    if isinstance(given, Array):
        return
    low, high = (float(end) for end in interval[1:-1].split(","))
    number = float(given) if isinstance(given, Real) and not isinstance(given, bool) else nan
    at_end = (number == low and interval[0] == "[") or (number == high and interval[-1] == "]")
    if not (low < number < high or at_end):
        finite = f"a finite number {'>=' if interval[0] == '[' else '>'} {low:g}"
        raise InvalidInput(f"{name} must be {finite if high == inf else f'a number in {interval}'}, not {given!r}")
