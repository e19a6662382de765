"""Norms of vectors of any size."""

import jax.numpy as jnp
from jax import Array

__all__ = ["norm", "scaled"]


def scaled(x: Array) -> tuple[Array, Array]:
    """x / m and m = max |x|, so that squares neither overflow nor vanish. [..., d] -> [..., d] and [..., 1].

    Where x is 0 or denormal, which XLA treats as 0, m is 1.
    """
    highest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    highest = jnp.where(highest < jnp.finfo(x.dtype).tiny, 1, highest)
    return x / highest, highest


def norm(x: Array) -> Array:
    """|x|. [..., d] -> [..., 1]."""
    unit, highest = scaled(x)
    return highest * jnp.sqrt(jnp.sum(unit**2, axis=-1, keepdims=True))
