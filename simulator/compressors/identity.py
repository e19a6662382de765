"""No compression."""

from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.traffic import Size

__all__ = ["Identity"]


@frozen_pytree
class Identity(Compressor):
    """C(x) = x: no compression. alpha = 1, omega = 0."""

    kind = "identity"
    deterministic = True
    positively_homogeneous = True
    sparsifier = True
    keeps_zeros = True

    def compress(self, key: Array, x: Array) -> Array:
        return x

    def contraction(self, dim: int) -> float:
        return 1.0

    def variance(self, dim: int) -> float:
        return 0.0

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=entries)
