"""Composition: one compressor after another."""

import jax
from jax import Array

from problems import frozen_pytree
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.traffic import Size, added

__all__ = ["Composition"]


@frozen_pytree
class Composition(Compressor):
    """C(x) = outer(inner(x)), with independent randomness: Top-k then natural, say.

    omega = (1 + omega_outer)(1 + omega_inner) - 1 where both are unbiased. alpha (derived):
        alpha_outer alpha_inner, where the inner one keeps entries and the outer one zeros: their errors lie on disjoint
            sets of coordinates, and |y|^2 = |x|^2 - |x - y|^2 for y = inner(x). Attained if both are at one x;
        1 - omega, where both are unbiased and omega < 1;
        1 - s^2 with s = s_outer + s_inner + s_outer s_inner and s_. = sqrt(1 - alpha_.), where s < 1, otherwise.
    """

    outer: Compressor
    inner: Compressor
    kind = "composition"

    @property
    def deterministic(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.outer.deterministic and self.inner.deterministic

    @property
    def positively_homogeneous(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.outer.positively_homogeneous and self.inner.positively_homogeneous

    @property
    def shared_randomness(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.outer.shared_randomness or self.inner.shared_randomness  # then workers are not independent

    @property
    def sparsifier(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.outer.sparsifier and self.inner.sparsifier

    @property
    def keeps_zeros(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.outer.keeps_zeros and self.inner.keeps_zeros

    @property
    def _disjoint(self) -> bool:
        """Whether the two errors are on disjoint sets of coordinates."""
        return self.inner.sparsifier and self.outer.keeps_zeros

    def compress(self, key: Array, x: Array) -> Array:
        first, second = jax.random.split(key)
        return self.outer.compress(second, self.inner.compress(first, x))

    def compress_rows(self, key: Array, x: Array) -> Array:
        first, second = jax.random.split(key)
        return self.outer.compress_rows(second, self.inner.compress_rows(first, x))

    def contraction(self, dim: int) -> float | None:
        outer, inner, omega = self.outer.contraction(dim), self.inner.contraction(dim), self.variance(dim)
        found = [1 - omega] if omega is not None else []
        if outer is not None and inner is not None:
            s, t = (1 - outer) ** 0.5, (1 - inner) ** 0.5
            found.append(outer * inner if self._disjoint else 1 - (s + t + s * t) ** 2 if s + t + s * t < 1 else 0.0)
        return max((alpha for alpha in found if alpha > 0), default=None)

    def variance(self, dim: int) -> float | None:
        outer, inner = self.outer.variance(dim), self.inner.variance(dim)
        return None if outer is None or inner is None else outer + inner + outer * inner

    def sparse_contraction(self, dim: int, support: int) -> float | None:
        if not (self._disjoint and self.inner.keeps_zeros):
            return self.contraction(dim)
        outer, inner = (part.sparse_contraction(dim, support) for part in (self.outer, self.inner))
        return self.contraction(dim) if outer is None or inner is None else outer * inner

    def bias_and_deviation(self, dim: int) -> tuple[float, float] | None:
        outer, inner = self.outer.bias_and_deviation(dim), self.inner.bias_and_deviation(dim)
        if outer is None or inner is None:
            return None
        return self._bias(outer[0], *inner), self._deviation(outer, inner, outer[1], inner[1], spread=1.0)

    def averaged_deviation(self, dim: int, workers: int) -> float | None:
        outer, inner = self.outer.bias_and_deviation(dim), self.inner.bias_and_deviation(dim)
        averaged = self.outer.averaged_deviation(dim, workers), self.inner.averaged_deviation(dim, workers)
        if outer is None or inner is None or averaged[0] is None or averaged[1] is None:
            return None
        spread = 1.0 if self.inner.shared_randomness else 1 / workers
        return self._deviation(outer, inner, averaged[0], averaged[1], spread)

    def _bias(self, outer: float, inner: float, deviation: float) -> float:
        """eta: the mean of outer's bias at y is at most eta_outer sqrt(E|y|^2), beside inner's; see `contraction`."""
        if self._disjoint and self.inner.deterministic:
            room = 1 - outer**2
            return (outer**2 + (room + abs(room)) / 2 * inner**2) ** 0.5  # max{room, 0}, traced or not
        return inner + outer * self._growth(inner, deviation) ** 0.5

    def _deviation(self, outer, inner, outer_deviation: float, inner_deviation: float, spread: float) -> float:
        """omega, or omega_av: outer's at y, and that of E outer(y) = y + its bias, which is 0 for a fixed y."""
        growth = self._growth(*inner)
        fixed = 0.0 if self.inner.deterministic else 1.0
        moved = (inner_deviation**0.5 + outer[0] * (spread * growth) ** 0.5) ** 2
        return outer_deviation * growth + fixed * moved

    def _growth(self, bias: float, deviation: float) -> float:
        """A bound of E|y|^2 / |x|^2."""
        return 1.0 if self.inner.sparsifier else (1 + bias) ** 2 + deviation

    def size(self, message: Array, entries: int) -> Size:
        named = self.inner.sparsifier and not isinstance(self.inner, Identity)
        names_itself = self.outer.sparsifier and not isinstance(self.outer, Identity)
        if not named or names_itself or not self.outer.keeps_zeros:
            return self.outer.size(message, entries)
        first = self.inner.size(message, entries)
        return added(self.outer.size(message, first.floats), Size(bits=first.bits))

    def check(self, dim: int, workers: int) -> None:
        self.inner.check(dim, workers)
        self.outer.check(dim, workers)
