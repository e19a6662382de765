"""Selecting k entries of every row, without sorting."""

import jax.numpy as jnp
from jax import Array, lax

from problems import InvalidInput

__all__ = ["check_k_fits", "largest"]


def largest(x: Array, k: int | Array) -> Array:
    """A mask of the k entries of largest magnitude in every row; of equal ones, those with the lower index.

    [..., d] -> [..., d].

    The k-th largest value is found by bisection on the bit patterns, which order non-negative floats as integers.
    That takes passes over the data instead of a sort, which XLA does not vectorise on a CPU in float64, and lets k be
    traced. Bisection stops early once every row has a threshold that exactly k entries reach.
    """
    integer = jnp.iinfo(f"int{x.dtype.itemsize * 8}")
    # without the sign bit; XLA's abs would flush some denormals to zero and not others
    patterns = lax.bitcast_convert_type(x, integer.dtype) & integer.max

    def open_interval(bounds: tuple[Array, Array]) -> Array:
        low, high = bounds
        return jnp.any(high - low > 1)

    def halve(bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        reached = jnp.sum(patterns >= middle, axis=-1, keepdims=True, dtype=jnp.int32)
        low = jnp.where(reached >= k, middle, low)
        return low, jnp.where(reached == k, middle + 1, jnp.where(reached > k, high, middle))

    # invariant: at least k entries reach `low`, fewer than k reach `high` (or exactly k reach low = high - 1);
    # a row with at most k nonzeros, frequent in sparse data, is settled at once
    highest = jnp.max(patterns, axis=-1, keepdims=True)
    nonzeros = jnp.sum(patterns > 0, axis=-1, keepdims=True, dtype=jnp.int32)
    high = jnp.where(nonzeros <= k, 1, highest + 1)
    threshold, _ = lax.while_loop(open_interval, halve, (jnp.zeros_like(highest), high))
    above, equal = patterns > threshold, patterns == threshold
    room = k - jnp.sum(above, axis=-1, keepdims=True, dtype=jnp.int32)
    return above | (equal & (jnp.cumsum(equal, axis=-1, dtype=jnp.int32) <= room))


def check_k_fits(k: int, dim: int) -> None:
    """Raise InvalidInput where there are fewer than k coordinates."""
    if k > dim:
        raise InvalidInput(f"k = {k} is larger than the dimension d = {dim}")
