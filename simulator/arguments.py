"""Checking what a user gives to `simulate`."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any, Literal, get_args

import jax
import numpy as np

from problems import InvalidInput
from problems.errors import unknown_name
from simulator.theorem import Theorem
from simulator.traffic import Payload

__all__ = [
    "Precision",
    "as_seeds",
    "as_starting_point",
    "as_stepsizes",
    "check_choice",
    "check_counts",
    "check_names",
    "check_pytrees",
    "check_start",
]

Precision = Literal["float64", "float32"]


def as_stepsizes(stepsize: Any) -> np.ndarray:
    """Stepsizes as an array, [] or [S].

    Raises:
        InvalidInput: one is not a finite number > 0, or there is none.
    """
    values = _numbers(stepsize)
    if values is None or values.ndim > 1 or values.size == 0 or not np.all((values > 0) & np.isfinite(values)):
        raise InvalidInput(f"stepsize must be a finite number > 0 or a list of them, not {_shown(stepsize)}")
    return values


def as_seeds(seed: Any) -> np.ndarray:
    """Seeds as an array, [] or [K].

    Raises:
        InvalidInput: one is not a whole number that fits into 32 bits, or there is none.
    """
    values = np.asarray(seed)
    whole = values.dtype.kind in "iu" and values.ndim <= 1 and values.size > 0
    if not (whole and np.all((values >= 0) & (values < 2**32))):
        raise InvalidInput(f"seed must be a whole number from 0 to 2^32 - 1 or a list of them, not {_shown(seed)}")
    return values


def as_starting_point(x0: Any, dim: int) -> np.ndarray:
    """x^0 as an array [d], the origin where None is given.

    Raises:
        InvalidInput: another shape, or an entry that is not a finite number.
    """
    start = np.zeros(dim) if x0 is None else _numbers(x0)
    if start is None:
        raise InvalidInput(f"x0 must be {dim} finite numbers, not {_shown(x0)}")
    if start.shape != (dim,) or not np.all(np.isfinite(start)):
        raise InvalidInput(f"x0 must be {dim} finite numbers, not an array of shape {start.shape}")
    return start


def check_counts(rounds: Any, record_every: Any) -> None:
    """Raise InvalidInput where the rounds or the rounds between records are not whole numbers of the right size."""
    if not (_is_whole(rounds) and _is_whole(record_every) and rounds >= 0 and record_every >= 1):
        raise InvalidInput(
            f"rounds must be >= 0 and record_every >= 1, whole numbers both, not {rounds!r} and {record_every!r}"
        )


def check_choice(target: Any, precision: Any, payload: Any) -> None:
    """Raise InvalidInput where the target is not a finite number >= 0 or precision or payload is unknown."""
    value = _numbers(target)
    if value is None or value.ndim or not (np.isfinite(value) and value >= 0):
        raise InvalidInput(f"target must be a finite number >= 0, not {_shown(target)}")
    if precision not in get_args(Precision):
        raise unknown_name("precision", str(precision), get_args(Precision))
    if payload not in get_args(Payload):
        raise InvalidInput(f"payload must be 32 or 64 (bits of a float), not {payload!r}")


def check_names(theorems: Iterable[Theorem]) -> None:
    """Raise InvalidInput where two theorems have one name, by which their verdicts are found."""
    names = [theorem.name for theorem in theorems]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InvalidInput(f"theorems must have names of their own; {repeated[0]!r} is given {len(repeated)} times")


def check_pytrees(*objects: Any) -> None:
    """Raise InvalidInput where JAX does not know the class of an object."""
    for thing in objects:
        if jax.tree_util.all_leaves([thing]):
            raise InvalidInput(f"the class {type(thing).__name__} must be decorated with frozen_pytree")


def check_start(loss: Any, grad_norm_sq: Any) -> None:
    """Raise InvalidInput where f or |grad f|^2 is not finite at the starting point. [B], [B]."""
    if not (np.all(np.isfinite(loss)) and np.all(np.isfinite(grad_norm_sq))):
        raise InvalidInput("x0 is too far out: f(x0) or |grad f(x0)|^2 is not a finite number")


def _numbers(given: Any) -> np.ndarray | None:
    """An array of floats, or None where that is not what it is."""
    try:
        return np.asarray(given, float)
    except (TypeError, ValueError):
        return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _shown(given: Any) -> str:
    return repr(given.tolist()) if isinstance(given, np.ndarray | np.generic) else repr(given)
