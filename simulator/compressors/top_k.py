"""Top-k: the entries of largest magnitude."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.parameters import check_whole
from simulator.selection import check_k_fits, largest
from simulator.traffic import Size, index_bits

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
    sparsifier = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_whole("k", self.k)

    def compress(self, key: Array, x: Array) -> Array:
        return jnp.where(largest(x, self.k), x, 0)

    def contraction(self, dim: int) -> float:
        return self.k / dim

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.k == dim else None

    def bias_and_deviation(self, dim: int) -> tuple[float, float]:
        return (1 - self.k / dim) ** 0.5, 0.0

    def sparse_contraction(self, dim: int, support: int) -> float:
        # only the entries of the support compete, and where k of them are kept nothing is lost
        return 1.0 if self.k >= support else self.k / support

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=self.k, bits=self.k * index_bits(message.shape[-1]))

    def check(self, dim: int, workers: int) -> None:
        check_k_fits(self.k, dim)
