"""Steps that are scaled, coordinate by coordinate, with moments of the gradients: those of Adam and its relatives."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from simulator.method import Method
from simulator.oracle import GradientOracle
from simulator.parameters import check_number

__all__ = ["MomentMethod", "Moments", "averaged", "check_moments", "no_moments"]


class Moments(NamedTuple):
    """Exponential averages of what a method takes for the mean gradient [d], or of the workers' own [n, d]."""

    first: Array  # m, the momentum
    second: Array  # v, of the squares of its entries ("variance")

    def advanced(self, beta1: float, beta2: float, gradients: Array) -> "Moments":
        """Both after further gradients, of their shape."""
        return Moments(averaged(beta1, self.first, gradients), averaged(beta2, self.second, gradients**2))

    def corrected(self, beta1: float, beta2: float, steps: Array) -> "Moments":
        """Divided by 1 - b^t, the total weight of an average of t steps that began with 0."""
        return Moments(self.first / (1 - beta1**steps), self.second / (1 - beta2**steps))

    def direction(self, epsilon: float) -> Array:
        """m / (sqrt(v) + epsilon)."""
        return self.first / (jnp.sqrt(self.second) + epsilon)


def averaged(beta: float, average: Array, values: Array) -> Array:
    """b average + (1 - b) values, of one shape or, where the average is [1, d], that of the values [n, d]."""
    return beta * average + (1 - beta) * values


class MomentMethod(Method):
    """x+ = x - gamma m / (sqrt(v) + epsilon), with m+ = b1 m + (1 - b1) g and v+ = b2 v + (1 - b2) g^2; m^0 = v^0 = 0.

    Products, quotients and roots are taken entry by entry.
    """

    oracle: GradientOracle
    beta1: float
    beta2: float
    epsilon: float

    def __post_init__(self) -> None:
        check_moments(self)

    def advanced(self, moments: Moments, gradient: Array) -> Moments:
        """Both moments after a gradient [d]."""
        return moments.advanced(self.beta1, self.beta2, gradient)


def check_moments(optimizer: Any) -> None:
    """Raise InvalidInput where its beta1, beta2 or epsilon are not those of moments."""
    check_number("beta1", optimizer.beta1, "[0, 1)")
    check_number("beta2", optimizer.beta2, "[0, 1)")
    check_number("epsilon", optimizer.epsilon, "(0, inf)")


def no_moments(x: Array) -> Moments:
    """Those of round 0, at a point or at the workers' models."""
    return Moments(jnp.zeros_like(x), jnp.zeros_like(x))
