"""Rounding to the nearest power of two."""

from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.powers_of_two import rounded_to_powers
from simulator.traffic import Size

__all__ = ["NearestPower"]


@frozen_pytree
class NearestPower(Compressor):
    """Rounds every entry to the nearest power of two, from the middle upwards.

    alpha = 8/9 (derived), attained where all |x_i| are 3/2 of a power of two. Signs and exponents are sent. Homogeneous
    for powers of two only.
    """

    kind = "nearest-power"
    deterministic = True
    positively_homogeneous = False
    keeps_zeros = True

    def compress(self, key: Array, x: Array) -> Array:
        return rounded_to_powers(x, lambda fraction: fraction >= 0.5)

    def contraction(self, dim: int) -> float:
        return 8 / 9

    def variance(self, dim: int) -> float | None:
        return None

    def size(self, message: Array, entries: int) -> Size:
        return Size(exponents=entries, bits=entries)
