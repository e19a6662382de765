"""Checks of what users give as parameters of compressors, methods and their parts."""

from math import inf, nan
from numbers import Integral, Real

from jax import Array

from problems import InvalidInput

__all__ = ["check_matrix", "check_matrix_fits", "check_number", "check_whole"]


def check_whole(name: str, given: object) -> None:
    """Raise InvalidInput where the number is not a whole one >= 1."""
    if isinstance(given, Array):  # a traced number, as in a batch of different ones
        return
    if isinstance(given, bool) or not isinstance(given, Integral) or given < 1:
        raise InvalidInput(f"{name} must be a whole number >= 1, not {given!r}")


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


def check_matrix(rank: object, rows: object) -> None:
    """Raise InvalidInput where the rank or the number of rows of a matrix view is not a whole number >= 1."""
    check_whole("rank", rank)
    check_whole("rows", rows)


def check_matrix_fits(rank: int, rows: int, dim: int) -> None:
    """Raise InvalidInput where R^d has no view as a matrix of that many rows, or none of that rank."""
    if dim % rows:
        raise InvalidInput(f"rows = {rows} does not divide the dimension d = {dim}")
    if rank > min(rows, dim // rows):
        raise InvalidInput(f"rank = {rank} is larger than that of a matrix of {rows} x {dim // rows}")
