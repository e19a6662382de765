"""Gradient descent, the method without compression."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree
from simulator.compressor import FLOAT_BITS
from simulator.compressors.identity import Identity
from simulator.method import Bits, Method
from simulator.theorem import Contraction, Descent

__all__ = ["GD", "GDState"]


class GDState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]


@frozen_pytree
class GD(Method):
    """Gradient descent: x+ = x - gamma (1/n) sum_i grad f_i(x).

    Guarantees, both for gamma <= 1/L:
        smooth: f(x+) <= f(x) - (gamma/2) |grad f(x)|^2, so avg_{t<T} |grad f|^2 <= 2 (f(x^0) - f_inf) / (gamma T).
        smooth-pl: f(x+) - f* <= (1 - gamma mu) (f(x) - f*).
    """

    kind = "gd"
    compressor = Identity()
    theorems = (
        Descent(
            name="smooth",
            reference="descent lemma for smooth f (Nesterov, Introductory Lectures on Convex Optimization, 2004)",
            formula="1 / L",
            max_stepsize=lambda c: 1 / c.smoothness,
        ),
        Contraction(
            name="smooth-pl",
            reference="Karimi, Nutini, Schmidt (arXiv 1608.04636), Theorem 1",
            formula="1 / L",
            max_stepsize=lambda c: 1 / c.smoothness,
            assumptions=("pl",),
            rate=lambda c, stepsize: stepsize * c.pl_constant,
        ),
    )

    def init(self, problem: Problem, x0: Array, key: Array) -> GDState:
        return GDState(x0, problem.worker_gradients(x0))

    def step(self, problem: Problem, stepsize: Array, state: GDState, key: Array) -> GDState:
        x = state.x - stepsize * jnp.mean(state.gradients, axis=0)
        return GDState(x, problem.worker_gradients(x))

    def bits(self, dim: int) -> Bits:
        return Bits(initial=0, uplink=FLOAT_BITS * dim, downlink=FLOAT_BITS * dim)
