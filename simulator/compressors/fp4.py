"""Four bits an entry: floats of a sign and three bits of exponent."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.norms import scaled
from simulator.powers_of_two import rounded_to_powers
from simulator.traffic import Size

__all__ = ["FP4"]

LOWEST = 2.0**-6  # the seven magnitudes are 1, 1/2, ..., 1/64; the eighth exponent is zero


@frozen_pytree
class FP4(Compressor):
    """Rounds every x_i / m, m = max_j |x_j|, to the nearest of 0, +-1, +-1/2, ..., +-1/64: a sign and three bits, E3M0.

    The exchange of Streaming DiLoCo (arXiv 2501.18512) has 4 bits of this form, from memory; how the paper scales them
    is not known to us. m is sent as a float. With d - 1 = k, 1 - alpha = max{k / (9 k + 16), k / (k + 2^14)} (derived):
    attained where one |x_i| is m and the others are 3/4 m, or m/128 if d > 2047.
    """

    kind = "fp4"
    deterministic = True
    positively_homogeneous = True
    keeps_zeros = True

    def compress(self, key: Array, x: Array) -> Array:
        shares, highest = scaled(x)
        rounded = rounded_to_powers(shares, lambda fraction: fraction >= 0.5)
        low = jnp.where(jnp.abs(shares) < LOWEST / 2, 0, LOWEST) * jnp.sign(shares)
        return highest * jnp.where(jnp.abs(shares) < LOWEST, low, rounded)

    def contraction(self, dim: int) -> float:
        others = dim - 1
        return 1 - max(others / (9 * others + 16), others / (others + 2**14))

    def variance(self, dim: int) -> float | None:
        return 0.0 if dim == 1 else None

    def sparse_contraction(self, dim: int, support: int) -> float:
        return self.contraction(max(support, 1))  # zeros stay

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=1, bits=4 * entries)
