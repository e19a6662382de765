"""TernGrad: signs at random, with the largest magnitude."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.traffic import Size

__all__ = ["TernGrad"]


@frozen_pytree
class TernGrad(Compressor):
    """C(x)_i = |x|_inf sign(x_i) with probability |x_i| / |x|_inf, else 0; unbiased.

    Wen et al. (arXiv 1705.07878). omega = (sqrt(d) - 1)/2 (derived), attained where one |x_i| is 1 and the others are
    1/(1 + sqrt(d)). Where omega < 1, which is d < 9, alpha = 1 - omega.
    """

    kind = "terngrad"
    deterministic = False
    positively_homogeneous = True
    keeps_zeros = True

    def compress(self, key: Array, x: Array) -> Array:
        highest = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        chance = jnp.abs(x) / jnp.where(highest == 0, 1, highest)
        return jnp.where(jax.random.uniform(key, x.shape, x.dtype) < chance, highest, 0 * highest) * jnp.sign(x)

    def contraction(self, dim: int) -> float | None:
        omega = self.variance(dim)
        return 1 - omega if omega < 1 else None

    def variance(self, dim: int) -> float:
        return (dim**0.5 - 1) / 2

    def sparse_contraction(self, dim: int, support: int) -> float | None:
        return self.contraction(max(support, 1))  # zeros stay

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=1, bits=2 * entries)
