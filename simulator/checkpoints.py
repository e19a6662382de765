"""Checkpoints: what a simulation needs to go on after an interruption, as plain arrays."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["Arrays", "Checkpoints", "as_arrays", "with_arrays"]

Arrays = list[np.ndarray]
T = TypeVar("T")


class Checkpoints(Protocol):
    """Where a simulation leaves its checkpoints.

    A name says which part of the runs a checkpoint is of, and of how many.
    """

    def load(self, name: str) -> Arrays | None:
        """The arrays of the last one of that name; None if there is none."""
        ...

    def offer(self, name: str, arrays: Callable[[], Arrays]) -> None:
        """Told after every chunk of rounds; whoever keeps one here asks for its arrays at once."""
        ...


def as_arrays(tree: Any) -> Arrays:
    """The leaves of a pytree, random keys as their data."""
    return [np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for leaf in jax.tree.leaves(tree)]


def with_arrays(tree: T, arrays: Arrays) -> T | None:
    """The pytree with these leaves, each of the kind of its own; None where they do not fit.

    A leaf may differ in the length of its axes: how many rounds are recorded and how many runs are left changes.
    """
    leaves, structure = jax.tree.flatten(tree)
    own = as_arrays(tree)
    kinds = [[(array.dtype, array.ndim) for array in each] for each in (own, arrays)]
    if kinds[0] != kinds[1]:
        return None
    return jax.tree.unflatten(structure, [_like(leaf, array) for leaf, array in zip(leaves, arrays, strict=True)])


def _like(leaf: Any, array: np.ndarray) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array))
    return jnp.asarray(array) if isinstance(leaf, Array) else array


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
