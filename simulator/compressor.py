"""The abstract compressor: a map C on R^d whose value costs few bits to send.

A contractive compressor has an alpha in (0, 1] with E|C(x) - x|^2 <= (1 - alpha) |x|^2 for every x; an unbiased one
has E C(x) = x and an omega with E|C(x) - x|^2 <= omega |x|^2. Bits count a float as 32, as the papers do, whatever
the precision of the simulation.
"""

from abc import ABC, abstractmethod
from math import ceil, log2
from typing import ClassVar

import jax
from jax import Array

__all__ = ["FLOAT_BITS", "Compressor", "index_bits"]

FLOAT_BITS = 32


def index_bits(dim: int) -> int:
    """Bits that name one of `dim` coordinates."""
    return ceil(log2(dim))


class Compressor(ABC):
    """A compressor; subclasses are frozen pytrees, and `kind` is the name that configs use.

    Attributes:
        deterministic: whether `compress` ignores its key.
        positively_homogeneous: whether C(s x) = s C(x) for every s > 0 (at the same randomness).
    """

    kind: ClassVar[str]
    deterministic: ClassVar[bool]
    positively_homogeneous: ClassVar[bool]

    @abstractmethod
    def compress(self, key: Array, x: Array) -> Array:
        """C(x), in decompressed form. A random key; x [..., d], one message a row -> [..., d]."""

    @abstractmethod
    def contraction(self, dim: int) -> float | None:
        """alpha on R^d, or None where the compressor is not contractive."""

    @abstractmethod
    def variance(self, dim: int) -> float | None:
        """omega on R^d, or None where the compressor is biased."""

    @abstractmethod
    def bits(self, dim: int) -> int:
        """Bits of one message, the indices included."""

    @abstractmethod
    def check(self, dim: int) -> None:
        """Raise InvalidInput where the compressor does not exist on R^d."""

    def compress_rows(self, key: Array, x: Array) -> Array:
        """C of the message of every worker, each with a key of its own. x [n, d] -> [n, d]."""
        if self.deterministic:
            return self.compress(key, x)
        return jax.vmap(self.compress)(jax.random.split(key, x.shape[0]), x)
