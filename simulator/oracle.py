"""Stochastic gradients: what a worker gets when it asks for the gradient of its f_i."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from jax import Array

from problems import Problem

__all__ = ["GradientOracle", "NoiseConstants"]


class NoiseConstants(NamedTuple):
    """Constants of the ABC assumption (Khaled, Richtarik, arXiv 2002.03329), as a bound on the variance at every x:

        E|ghat_i(x) - grad f_i(x)|^2 <= 2 A_i (f_i(x) - f_i^inf) + C_i.

    It is that of the paper with B_i = 1. None stands for a constant that is not known.
    """

    expected_smoothness: Any  # A_i, [n]
    constant: Any  # C_i, [n]
    lower_bounds: Any  # f_i^inf, [n]
    uniform: Any  # sigma_i^2, a bound on the variance at every x, [n] or None
    difference_smoothness: Any  # l_i: one draw at two points, E|difference - its mean|^2 <= l_i^2 |x - y|^2, [n]


class GradientOracle(ABC):
    """Unbiased estimates of the worker gradients, independent between workers; subclasses are frozen pytrees.

    Attributes:
        deterministic: whether `draw` ignores its key.
    """

    kind: ClassVar[str]
    deterministic: bool

    @abstractmethod
    def draw(self, problem: Problem, x: Array, gradients: Array, key: Array) -> Array:
        """ghat_i(x) of every worker. x, or a point of every worker's own, [d] or [n, d], and the exact gradients there,
        [n, d] -> [n, d].

        The same key means the same samples, whatever x is.
        """

    @abstractmethod
    def variances(self, problem: Problem, x: Array) -> Array:
        """E|ghat_i(x) - grad f_i(x)|^2 of every worker, exactly. x [d] -> [n]."""

    @abstractmethod
    def constants(self, problem: Problem) -> NoiseConstants | None:
        """What holds at every x, or None where nothing is known."""

    def passes(self, problem: Problem) -> float:
        """Gradients of samples that a draw takes, over those of a full gradient, on average over the workers."""
        return 1.0

    def check(self, problem: Problem) -> None:  # noqa: B027  (most exist everywhere)
        """Raise InvalidInput where the oracle does not exist for the problem."""
