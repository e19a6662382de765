"""Block-k: the block of largest norm."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.compressor import Compressor
from simulator.norms import norm
from simulator.parameters import check_whole
from simulator.selection import check_k_fits
from simulator.traffic import Size, index_bits

__all__ = ["BlockK"]


@frozen_pytree
class BlockK(Compressor):
    """Keeps, of the blocks of k consecutive coordinates, the one of largest norm; of equal ones, the first.

    There are b = ceil(d/k) blocks; the last may be shorter. alpha = 1/b (derived), attained where all have the same
    norm. One index names k entries.
    """

    k: int = static()
    kind = "block-k"
    deterministic = True
    positively_homogeneous = True
    sparsifier = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_whole("k", self.k)

    def compress(self, key: Array, x: Array) -> Array:
        *batch, dim = x.shape
        blocks = self._blocks(dim)
        padded = jnp.pad(x, [(0, 0)] * len(batch) + [(0, blocks * self.k - dim)])
        norms = norm(padded.reshape(*batch, blocks, self.k))[..., 0]
        chosen = jnp.argmax(norms, axis=-1)
        return jnp.where(jnp.repeat(jax.nn.one_hot(chosen, blocks, dtype=bool), self.k, axis=-1)[..., :dim], x, 0)

    def _blocks(self, dim: int) -> int:
        return -(-dim // self.k)

    def contraction(self, dim: int) -> float:
        return 1 / self._blocks(dim)

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.k >= dim else None

    def sparse_contraction(self, dim: int, support: int) -> float:
        return 1 / min(self._blocks(dim), max(support, 1))  # only blocks that meet the support compete

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=self.k, bits=index_bits(self._blocks(message.shape[-1])))

    def check(self, dim: int, workers: int) -> None:
        check_k_fits(self.k, dim)
