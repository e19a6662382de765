"""Natural compression: random rounding to powers of two."""

import jax
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.powers_of_two import rounded_to_powers
from simulator.traffic import Size

__all__ = ["Natural"]


@frozen_pytree
class Natural(Compressor):
    """Rounds every entry to one of its two neighbours among the powers of two, at random, so that C is unbiased.

    Horvath et al. (arXiv 1905.10988): omega = 1/8, attained where all |x_i| are 4/3 of a power of two; hence also
    alpha = 7/8 (`damped` has 8/9). Signs and exponents are sent. Homogeneous for powers of two only.
    """

    kind = "natural"
    deterministic = False
    positively_homogeneous = False
    keeps_zeros = True

    def compress(self, key: Array, x: Array) -> Array:
        chance = jax.random.uniform(key, x.shape, x.dtype)
        return rounded_to_powers(x, lambda fraction: chance < fraction)

    def contraction(self, dim: int) -> float:
        return 7 / 8

    def variance(self, dim: int) -> float:
        return 1 / 8

    def size(self, message: Array, entries: int) -> Size:
        return Size(exponents=entries, bits=entries)
