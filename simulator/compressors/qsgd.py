"""QSGD: random rounding to multiples of a fraction of the norm."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.compressor import Compressor
from simulator.norms import norm
from simulator.parameters import check_whole
from simulator.traffic import Size, index_bits

__all__ = ["QSGD"]


@frozen_pytree
class QSGD(Compressor):
    """Rounds every |x_i| to a neighbouring multiple of |x|/s at random, s = `levels`, so that C is unbiased.

    Alistarh et al. (arXiv 1610.02132) have omega <= min{d/s^2, sqrt(d)/s}. Sharper (derived):
        d >= 4 s^2: omega = sqrt(d)/s - 1, attained where all entries have the same magnitude;
        d < 4 s^2: omega = d/(4 s^2), attained where every |x_i| is in the middle between two levels, if such x exist.
    Where omega < 1, alpha = 1 - omega. The norm, signs and levels are sent, without a variable-length code.
    """

    levels: int = static()
    kind = "qsgd"
    deterministic = False
    positively_homogeneous = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_whole("levels", self.levels)

    def compress(self, key: Array, x: Array) -> Array:
        size = norm(x)
        steps = self.levels * (jnp.abs(x) / jnp.where(size == 0, 1, size))
        rounded = jnp.floor(steps + jax.random.uniform(key, x.shape, x.dtype))
        return size * (jnp.sign(x) * rounded / self.levels)

    def contraction(self, dim: int) -> float | None:
        omega = self.variance(dim)
        return 1 - omega if omega < 1 else None

    def variance(self, dim: int) -> float:
        s = self.levels
        return dim**0.5 / s - 1 if dim >= 4 * s**2 else dim / (4 * s**2)

    def sparse_contraction(self, dim: int, support: int) -> float | None:
        return self.contraction(max(support, 1))  # zeros stay

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=1, bits=entries * (1 + index_bits(self.levels + 1)))
