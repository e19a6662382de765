"""No compression."""

from jax import Array

from problems import frozen_pytree
from simulator.compressor import FLOAT_BITS, Compressor

__all__ = ["Identity"]


@frozen_pytree
class Identity(Compressor):
    """C(x) = x: no compression. alpha = 1, omega = 0."""

    kind = "identity"
    deterministic = True
    positively_homogeneous = True

    def compress(self, key: Array, x: Array) -> Array:
        return x

    def contraction(self, dim: int) -> float:
        return 1.0

    def variance(self, dim: int) -> float:
        return 0.0

    def bits(self, dim: int) -> int:
        return FLOAT_BITS * dim

    def check(self, dim: int) -> None:
        pass
