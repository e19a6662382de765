"""Rand-k: entries drawn at random."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.compressor import Compressor
from simulator.parameters import check_whole
from simulator.selection import check_k_fits, largest
from simulator.traffic import Size, index_bits

__all__ = ["RandK"]


@frozen_pytree
class RandK(Compressor):
    """Keeps k entries drawn uniformly without replacement, times d/k if scaled.

    Biased (scaled=False): alpha = k/d, and a bias of exactly (1 - k/d) x with variance (k/d)(1 - k/d) |x|^2.
    Scaled: unbiased with omega = d/k - 1, and contractive with alpha = 2 - d/k where k > d/2. All with equality for
    every x. With shared randomness all workers keep the same entries, and no indices are sent: both ends know the seed.
    """

    k: int
    scaled: bool = static(default=False)
    shared_randomness: bool = static(default=False)
    kind = "rand-k"
    deterministic = False
    positively_homogeneous = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_whole("k", self.k)

    @property
    def sparsifier(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return not self.scaled

    def compress(self, key: Array, x: Array) -> Array:
        kept = largest(jax.random.uniform(key, x.shape, x.dtype), self.k)
        # a traced k is an int64, of which a quotient would be a float64
        return jnp.where(kept, x * jnp.asarray(x.shape[-1] / self.k, x.dtype) if self.scaled else x, 0)

    def contraction(self, dim: int) -> float | None:
        alpha = 2 - dim / self.k if self.scaled else self.k / dim  # scaled: 1 - omega, where that is positive
        return alpha if alpha > 0 else None

    def variance(self, dim: int) -> float | None:
        return dim / self.k - 1 if self.scaled or self.k == dim else None

    def bias_and_deviation(self, dim: int) -> tuple[float, float]:
        kept = self.k / dim
        return (0.0, 1 / kept - 1) if self.scaled else (1 - kept, kept * (1 - kept))

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=self.k, bits=0 if self.shared_randomness else self.k * index_bits(message.shape[-1]))

    def check(self, dim: int, workers: int) -> None:
        check_k_fits(self.k, dim)
