"""Rand-k: entries drawn at random."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.compressor import FLOAT_BITS, Compressor, index_bits
from simulator.selection import check_k, check_k_fits, largest

__all__ = ["RandK"]


@frozen_pytree
class RandK(Compressor):
    """Keeps k entries drawn uniformly without replacement, times d/k if scaled.

    Biased (scaled=False): alpha = k/d. Scaled: unbiased with omega = d/k - 1, and contractive with alpha = 2 - d/k
    where k > d/2. All hold with equality for every x.
    """

    k: int
    scaled: bool = static(default=False)
    kind = "rand-k"
    deterministic = False
    positively_homogeneous = True

    def __post_init__(self) -> None:
        check_k(self.k)

    def compress(self, key: Array, x: Array) -> Array:
        kept = largest(jax.random.uniform(key, x.shape, x.dtype), self.k)
        return jnp.where(kept, x * (x.shape[-1] / self.k) if self.scaled else x, 0)

    def contraction(self, dim: int) -> float | None:
        alpha = 2 - dim / self.k if self.scaled else self.k / dim  # scaled: 1 - omega, where that is positive
        return alpha if alpha > 0 else None

    def variance(self, dim: int) -> float | None:
        return dim / self.k - 1 if self.scaled or self.k == dim else None

    def bits(self, dim: int) -> int:
        return self.k * (FLOAT_BITS + index_bits(dim))

    def check(self, dim: int) -> None:
        check_k_fits(self.k, dim)
