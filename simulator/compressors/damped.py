"""Damped: an unbiased compressor made contractive."""

from jax import Array

from problems import InvalidInput, frozen_pytree
from simulator.compressor import Compressor
from simulator.traffic import Size

__all__ = ["Damped"]


@frozen_pytree
class Damped(Compressor):
    """C(x) = Q(x) / (1 + omega), for an unbiased compressor Q with omega.

    alpha = 1/(1 + omega) (e.g. arXiv 2002.12410), attained where Q attains omega. C has the bias omega/(1 + omega) x
    exactly, and the variance of Q divided by (1 + omega)^2.
    """

    compressor: Compressor
    kind = "damped"

    @property
    def deterministic(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.compressor.deterministic

    @property
    def positively_homogeneous(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.compressor.positively_homogeneous

    @property
    def shared_randomness(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.compressor.shared_randomness

    @property
    def keeps_zeros(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.compressor.keeps_zeros

    def compress(self, key: Array, x: Array) -> Array:
        return self._damped(self.compressor.compress(key, x))

    def compress_rows(self, key: Array, x: Array) -> Array:
        return self._damped(self.compressor.compress_rows(key, x))

    def _damped(self, message: Array) -> Array:
        return (message / self._factor(message.shape[-1])).astype(message.dtype)

    def _factor(self, dim: int) -> float:
        """1 + omega, also inside the engine, where Q's parameters are traced."""
        pair = self.compressor.bias_and_deviation(dim)
        return 1.0 if pair is None else 1 + pair[1]

    def contraction(self, dim: int) -> float | None:
        omega = self.compressor.variance(dim)
        return None if omega is None else 1 / (1 + omega)

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.compressor.variance(dim) == 0 else None

    def bias_and_deviation(self, dim: int) -> tuple[float, float] | None:
        pair = self.compressor.bias_and_deviation(dim)
        if pair is None:
            return None
        eta, omega = pair  # eta = 0, which may be a traced 0
        return (eta + omega) / (1 + omega), omega / (1 + omega) ** 2

    def averaged_deviation(self, dim: int, workers: int) -> float | None:
        deviation = self.compressor.averaged_deviation(dim, workers)
        return None if deviation is None else deviation / self._factor(dim) ** 2

    def size(self, message: Array, entries: int) -> Size:
        return self.compressor.size(message, entries)

    def check(self, dim: int, workers: int) -> None:
        self.compressor.check(dim, workers)
        if self.compressor.variance(dim) is None:
            raise InvalidInput(f"damped needs an unbiased compressor, which {self.compressor!r} is not")
