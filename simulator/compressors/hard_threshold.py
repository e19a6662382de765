"""Hard threshold: the entries that are large."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.parameters import check_number
from simulator.traffic import Size, index_bits

__all__ = ["HardThreshold", "named_entries"]


def named_entries(message: Array) -> Size:
    """The nonzero entries with their indices, and how many they are. [..., d] -> leaves [...]."""
    bits, nonzeros = index_bits(message.shape[-1]), jnp.sum(message != 0, axis=-1)
    return Size(floats=nonzeros, bits=bits * (nonzeros + 1))


@frozen_pytree
class HardThreshold(Compressor):
    """Keeps the entries with |x_i| >= level.

    Neither contractive nor unbiased: a small x is lost altogether. The error is bounded absolutely, |C(x) - x|^2 <=
    d level^2 (Sahu et al., arXiv 2108.00951). How much is sent depends on x.
    """

    level: float
    kind = "hard-threshold"
    deterministic = True
    positively_homogeneous = False
    sparsifier = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_number("level", self.level, "(0, inf)")

    def compress(self, key: Array, x: Array) -> Array:
        # "not below", so that NaN is kept: a diverging run must not be made finite again
        return jnp.where(jnp.abs(x) < self.level, 0, x)

    def contraction(self, dim: int) -> float | None:
        return None

    def variance(self, dim: int) -> float | None:
        return None

    def size(self, message: Array, entries: int) -> Size:
        return named_entries(message)
