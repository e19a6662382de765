"""One bit an entry, with the root mean square."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.norms import norm
from simulator.traffic import Size

__all__ = ["OneBit"]


@frozen_pytree
class OneBit(Compressor):
    """C(x) = (|x| / sqrt(d)) sign(x), with sign(0) = +1: the compressor of 1-bit Adam (arXiv 2102.02888).

    Not contractive: |C(x) - x|^2 = 2 (1 - |x|_1 / (sqrt(d) |x|)) |x|^2 (derived), up to 2 (1 - 1/sqrt(d)) |x|^2
    where one entry outweighs the others, more than |x|^2 for d > 4. Only d < 4 has an alpha, 2/sqrt(d) - 1. `sign` has
    the factor |x|_1 / d, with which the error is never larger than x.
    """

    kind = "one-bit"
    deterministic = True
    positively_homogeneous = True

    def compress(self, key: Array, x: Array) -> Array:
        return norm(x) / x.shape[-1] ** 0.5 * jnp.where(x < 0, -1, 1)

    def contraction(self, dim: int) -> float | None:
        return 2 / dim**0.5 - 1 if dim < 4 else None

    def variance(self, dim: int) -> float | None:
        return 0.0 if dim == 1 else None

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=1, bits=entries)
