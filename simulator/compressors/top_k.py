"""Top-k: the entries of largest magnitude."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import FLOAT_BITS, Compressor, index_bits
from simulator.selection import check_k, check_k_fits, largest

__all__ = ["TopK"]


@frozen_pytree
class TopK(Compressor):
    """Keeps the k entries of largest magnitude; of equal ones, those with the lower index.

    alpha = k/d, attained where all entries have the same magnitude. k is data, not program: a batch of runs, or two
    batches that differ in k only, share one compilation.
    """

    k: int
    kind = "top-k"
    deterministic = True
    positively_homogeneous = True

    def __post_init__(self) -> None:
        check_k(self.k)

    def compress(self, key: Array, x: Array) -> Array:
        return jnp.where(largest(x, self.k), x, 0)

    def contraction(self, dim: int) -> float:
        return self.k / dim

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.k == dim else None

    def bits(self, dim: int) -> int:
        return self.k * (FLOAT_BITS + index_bits(dim))

    def check(self, dim: int) -> None:
        check_k_fits(self.k, dim)
