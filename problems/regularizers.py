"""Separable regularisers r(x) = sum_j r(x_j), added to every f_i."""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from problems.errors import InvalidInput
from problems.pytrees import frozen_pytree
from problems.registry import look_up, registered

__all__ = ["L2", "NoRegularizer", "Nonconvex", "Regularizer", "make_regularizer"]


class Regularizer(ABC):
    """A twice differentiable separable function whose curvature is largest at x = 0.

    That makes `L_i = lambda_max(Hessian of the data term at 0) + highest_curvature` exact for the problems here.
    """

    kind: ClassVar[str]
    highest_curvature_factor: ClassVar[float]
    lowest_curvature_factor: ClassVar[float]
    strength: Array | float  # []

    @property
    def highest_curvature(self) -> float:
        """sup of r''; reached at 0."""
        return self.highest_curvature_factor * float(self.strength)

    @property
    def lowest_curvature(self) -> float:
        """inf of r''; r is convex where it is not negative."""
        return self.lowest_curvature_factor * float(self.strength)

    @abstractmethod
    def value(self, x: Array) -> Array:
        """r(x) >= 0. [d] -> []."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """The gradient of r. [..., d] -> [..., d]."""

    @abstractmethod
    def difference(self, x: Array, step: Array) -> Array:
        """r(x + step) - r(x) without cancellation. [d], [d] -> []."""


@frozen_pytree
class NoRegularizer(Regularizer):
    """r = 0."""

    strength: Array | float = 0.0
    kind = "none"
    highest_curvature_factor = 0.0
    lowest_curvature_factor = 0.0

    def value(self, x: Array) -> Array:
        return jnp.zeros((), x.dtype)

    def gradient(self, x: Array) -> Array:
        return jnp.zeros_like(x)

    def difference(self, x: Array, step: Array) -> Array:
        return jnp.zeros((), x.dtype)


@frozen_pytree
class L2(Regularizer):
    """r(x) = strength |x|^2 / 2."""

    strength: Array | float
    kind = "l2"
    highest_curvature_factor = 1.0
    lowest_curvature_factor = 1.0

    def value(self, x: Array) -> Array:
        return self.strength / 2 * jnp.sum(x**2)

    def gradient(self, x: Array) -> Array:
        return self.strength * x

    def difference(self, x: Array, step: Array) -> Array:
        return self.strength / 2 * jnp.sum(step * (2 * x + step))


@frozen_pytree
class Nonconvex(Regularizer):
    """r(x) = strength sum_j x_j^2 / (1 + x_j^2), with r'' from -strength/2 (at |x_j| = 1) to 2 strength (at 0)."""

    strength: Array | float
    kind = "nonconvex"
    highest_curvature_factor = 2.0
    lowest_curvature_factor = -0.5

    def value(self, x: Array) -> Array:
        return self.strength * jnp.sum(x**2 / (1 + x**2))

    def gradient(self, x: Array) -> Array:
        return self.strength * 2 * x / (1 + x**2) ** 2

    def difference(self, x: Array, step: Array) -> Array:
        # a/(1+a) - b/(1+b) = (a-b) / ((1+a)(1+b)), with a - b = step (2x + step)
        change = step * (2 * x + step) / ((1 + (x + step) ** 2) * (1 + x**2))
        return self.strength * jnp.sum(change)


def make_regularizer(kind: str, strength: float) -> Regularizer:
    """The regulariser called `kind`.

    Raises:
        InvalidInput: an unknown kind, a strength that is not positive, or a strength given to "none".
    """
    cls = look_up("regularizer", kind, registered(Regularizer))
    if cls is NoRegularizer:
        if strength:
            raise InvalidInput(f"strength {strength!r} is given, but the regularizer is 'none'; choose l2 or nonconvex")
        return NoRegularizer()
    if isinstance(strength, str) or not 0 < strength < float("inf"):
        raise InvalidInput(f"the {kind} regularizer needs a finite strength > 0, not {strength!r}")
    return cls(strength)
