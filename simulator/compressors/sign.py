"""Signs, with the mean magnitude."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.traffic import Size

__all__ = ["Sign"]


@frozen_pytree
class Sign(Compressor):
    """C(x) = (|x|_1 / d) sign(x), with sign(0) = 0.

    Karimireddy, Rebjock, Stich, Jaggi (arXiv 1901.09847): alpha(x) = |x|_1^2 / (d |x|^2) at x, so that alpha = 1/d is
    guaranteed, and approached where one entry outweighs the others.
    """

    kind = "sign"
    deterministic = True
    positively_homogeneous = True
    keeps_zeros = True

    def compress(self, key: Array, x: Array) -> Array:
        return jnp.mean(jnp.abs(x), axis=-1, keepdims=True) * jnp.sign(x)

    def contraction(self, dim: int) -> float:
        return 1 / dim

    def variance(self, dim: int) -> float | None:
        return 0.0 if dim == 1 else None

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=1, bits=entries)
