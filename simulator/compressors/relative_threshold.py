"""Relative threshold: the entries that are large beside the largest."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.compressors.hard_threshold import named_entries
from simulator.parameters import check_number
from simulator.traffic import Size

__all__ = ["RelativeThreshold"]


@frozen_pytree
class RelativeThreshold(Compressor):
    """Keeps the entries with |x_i| >= tau max_j |x_j|.

    alpha = 1/(1 + (d - 1) tau^2) (derived), approached where all entries but one are just below the threshold. How much
    is sent depends on x.
    """

    tau: float
    kind = "relative-threshold"
    deterministic = True
    positively_homogeneous = True
    sparsifier = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_number("tau", self.tau, "(0, 1]")

    def compress(self, key: Array, x: Array) -> Array:
        magnitudes = jnp.abs(x)
        # "not below", so that NaN is kept: a diverging run must not be made finite again
        lowest = jnp.asarray(self.tau, x.dtype) * jnp.max(magnitudes, axis=-1, keepdims=True)
        return jnp.where(magnitudes < lowest, 0, x)

    def contraction(self, dim: int) -> float:
        return 1 / (1 + (dim - 1) * self.tau**2)

    def variance(self, dim: int) -> float | None:
        return 0.0 if dim == 1 else None

    def sparse_contraction(self, dim: int, support: int) -> float:
        return self.contraction(max(support, 1))  # zeros stay

    def size(self, message: Array, entries: int) -> Size:
        return named_entries(message)
