"""Selecting k entries of every row, without sorting."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from problems import InvalidInput

__all__ = ["check_k_fits", "largest"]

# The first guess of a threshold, in powers of two below the largest magnitude of the row.
FIRST_GUESS = 8
# In one turn of the loop: whether all rows are settled, on all devices, takes as long to find out as several of them.
HALVINGS = 4


def largest(x: Array, k: int | Array) -> Array:
    """A mask of the k entries of largest magnitude in every row; of equal ones, those with the lower index.

    [..., d] -> [..., d]. In a row with fewer than k entries that are not zero, zeros are left out (for k > 1). XLA does
    not vectorise a sort of float64 on a CPU. Passes over the data take its place, k may be traced, and the result is
    exact: the bit patterns of non-negative floats order them as integers do.
    """
    integer = jnp.iinfo(f"int{x.dtype.itemsize * 8}")
    # without the sign bit; XLA's abs would flush some denormals to zero and not others
    patterns = lax.bitcast_convert_type(x, integer.dtype) & integer.max
    return lax.cond(jnp.asarray(k) == 1, _first_largest, lambda patterns: _k_largest(patterns, k, x.dtype), patterns)


def _first_largest(patterns: Array) -> Array:
    positions = lax.broadcasted_iota(jnp.int32, patterns.shape, patterns.ndim - 1)
    equal = patterns == jnp.max(patterns, axis=-1, keepdims=True)
    first = jnp.min(jnp.where(equal, positions, patterns.shape[-1]), axis=-1, keepdims=True)
    return positions == first


def _k_largest(patterns: Array, k: int | Array, dtype: jnp.dtype) -> Array:
    """First a threshold, then, in rows where more than k entries reach it, a last position among the equal ones."""
    highest = jnp.max(patterns, axis=-1, keepdims=True)
    guess = jnp.maximum(highest - (FIRST_GUESS << jnp.finfo(dtype).nmant), 1)
    # a row with at most k nonzeros, frequent in sparse data, is settled at once: just these reach 1
    bound = jnp.where(_count(patterns > 0) <= k, 2, highest + 1)
    threshold = _bisect(lambda middle: _count(patterns >= middle), k, jnp.ones_like(highest), bound, guess)
    reached = patterns >= threshold
    excess = _count(reached) - k
    equal = reached & (patterns == threshold)
    # of the equal ones, the last `excess` are left out: those from this position on
    positions = lax.broadcasted_iota(jnp.int32, patterns.shape, patterns.ndim - 1)
    start, size = jnp.zeros_like(excess), jnp.full_like(excess, patterns.shape[-1])
    cut = _bisect(
        lambda middle: _count(equal & (positions >= middle)), excess, start, jnp.where(excess > 0, size, 1), size // 2
    )
    return reached & ~(equal & (positions >= jnp.where(excess > 0, cut, size)))


def _bisect(reaching: Callable[[Array], Array], wanted: int | Array, low: Array, high: Array, guess: Array) -> Array:
    """The largest bound that at least `wanted` entries reach, or one that just as many reach. [..., 1] each.

    `low` is reached by so many, `high` is not, or is low + 1. `guess` is where to look first.
    """

    def is_open(bounds: tuple[Array, Array, Array]) -> Array:
        low, high, _ = bounds
        return jnp.any(high - low > 1)

    def halve(bounds: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, middle = bounds
        reached = reaching(middle)
        low = jnp.where(reached >= wanted, jnp.maximum(low, middle), low)
        high = jnp.where(reached == wanted, low + 1, jnp.where(reached > wanted, high, jnp.minimum(high, middle)))
        return low, high, low + (high - low) // 2

    def turn(bounds: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        for _ in range(HALVINGS):
            bounds = halve(bounds)
        return bounds

    return lax.while_loop(is_open, turn, (low, high, guess))[0]


def _count(mask: Array) -> Array:
    return jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.int32)


def check_k_fits(k: int, dim: int) -> None:
    """Raise InvalidInput where there are fewer than k coordinates."""
    if k > dim:
        raise InvalidInput(f"k = {k} is larger than the dimension d = {dim}")
