"""Regularisers r that a method handles through their proximal operator, in f + r."""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.parameters import check_number

__all__ = ["L0", "L1", "Box", "ProximalRegularizer"]


class ProximalRegularizer(ABC):
    """A closed function r >= 0 with a proximal operator in closed form; subclasses are frozen pytrees.

    Attributes:
        convex: whether r is convex.
    """

    kind: ClassVar[str]
    convex: ClassVar[bool]

    @abstractmethod
    def value(self, x: Array) -> Array:
        """r(x) where it is finite. [d] -> []."""

    @abstractmethod
    def prox(self, x: Array, stepsize: Array | float) -> Array:
        """argmin_y r(y) + |y - x|^2 / (2 stepsize); for stepsize 0 the nearest point where r is finite. [d] -> [d]."""


@frozen_pytree
class L1(ProximalRegularizer):
    """r(x) = strength |x|_1, whose proximal operator is soft thresholding."""

    strength: float
    kind = "l1-norm"
    convex = True

    def __post_init__(self) -> None:
        check_number("the strength of the l1 norm", self.strength, "(0, inf)")

    def value(self, x: Array) -> Array:
        return self.strength * jnp.sum(jnp.abs(x))

    def prox(self, x: Array, stepsize: Array | float) -> Array:
        return jnp.sign(x) * jnp.maximum(jnp.abs(x) - stepsize * self.strength, 0.0)


@frozen_pytree
class Box(ProximalRegularizer):
    """r(x) = 0 where every |x_j| <= radius and infinite elsewhere, whose proximal operator is the projection."""

    radius: float
    kind = "box"
    convex = True

    def __post_init__(self) -> None:
        check_number("the radius of the box", self.radius, "(0, inf)")

    def value(self, x: Array) -> Array:
        return jnp.zeros((), x.dtype)

    def prox(self, x: Array, stepsize: Array | float) -> Array:
        return jnp.clip(x, -self.radius, self.radius)


@frozen_pytree
class L0(ProximalRegularizer):
    """r(x) = strength times the number of nonzero entries: not convex; its proximal operator is hard thresholding."""

    strength: float
    kind = "l0-norm"
    convex = False

    def __post_init__(self) -> None:
        check_number("the strength of the l0 norm", self.strength, "(0, inf)")

    def value(self, x: Array) -> Array:
        return self.strength * jnp.sum(x != 0).astype(x.dtype)

    def prox(self, x: Array, stepsize: Array | float) -> Array:
        return jnp.where(x**2 > 2 * stepsize * self.strength, x, 0.0)
