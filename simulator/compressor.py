"""The abstract compressor: a map C on R^d whose value costs few bits to send.

A contractive compressor has an alpha in (0, 1] with E|C(x) - x|^2 <= (1 - alpha) |x|^2 for every x; an unbiased one
has E C(x) = x and an omega with E|C(x) - x|^2 <= omega |x|^2.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax
from jax import Array

from simulator.traffic import Size

__all__ = ["Compressor"]


class Compressor(ABC):
    """A compressor; subclasses are frozen pytrees, and `kind` is the name that configs use.

    A subclass brings the abstract methods; the others are defaults that it may sharpen.

    Attributes:
        deterministic: whether `compress` ignores its key.
        positively_homogeneous: whether C(s x) = s C(x) for every s > 0 (at the same randomness).
        shared_randomness: whether all workers use the same key in a round; otherwise each has its own.
        sparsifier: whether every entry of C(x) is that of x or 0.
        keeps_zeros: whether C(x) is 0 where x is.
    """

    kind: ClassVar[str]
    deterministic: bool
    positively_homogeneous: bool
    shared_randomness: bool = False
    sparsifier: bool = False
    keeps_zeros: bool = False

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
    def size(self, message: Array, entries: int) -> Size:
        """The size of a message C(x) [..., d]; leaves are numbers, or arrays [...] where it depends on the message.

        `entries` is how many entries have to be encoded: d, or fewer after a sparsifier that has named them already.
        """

    def check(self, dim: int, workers: int) -> None:  # noqa: B027  (most exist everywhere)
        """Raise InvalidInput where the compressor does not exist for n workers on R^d."""

    def compress_rows(self, key: Array, x: Array) -> Array:
        """C of the message of every worker, each with a key of its own unless they share one. x [n, d] -> [n, d]."""
        if self.deterministic:
            return self.compress(key, x)
        keys = jax.random.split(key, x.shape[0])
        return jax.vmap(self.compress, in_axes=(None if self.shared_randomness else 0, 0))(
            key if self.shared_randomness else keys, x
        )

    def sparse_contraction(self, dim: int, support: int) -> float | None:
        """alpha on the vectors of R^d with at most `support` nonzero entries, always in the same places."""
        return self.contraction(dim)

    def bias_and_deviation(self, dim: int) -> tuple[float, float] | None:
        """(eta, omega) with |E C(x) - x| <= eta |x| and E|C(x) - E C(x)|^2 <= omega |x|^2, or None where unknown."""
        alpha, omega = self.contraction(dim), self.variance(dim)
        if omega is not None:
            return 0.0, omega
        if alpha is None:
            return None
        return (1 - alpha) ** 0.5, 0.0 if self.deterministic else 1 - alpha

    def averaged_deviation(self, dim: int, workers: int) -> float | None:
        """omega_av with E|<C(x_i) - E C(x_i)>|^2 <= omega_av <|x_i|^2>, where <> is the mean over the workers."""
        pair = self.bias_and_deviation(dim)
        return None if pair is None else pair[1] / (1 if self.shared_randomness else workers)
