"""Gradient descent, the method without compression."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree
from simulator import papers
from simulator.compressors.identity import Identity
from simulator.constants import Constants, Scalar
from simulator.method import Method
from simulator.theorem import PL, STRONGLY_CONVEX, Contraction, Descent
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["GD"]


class GDState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]
    traffic: Traffic


def _tight_stepsize(c: Constants) -> Scalar:
    return 2 / (c.smoothness + c.strong_convexity)


def _tight_rate(c: Constants, stepsize: Scalar) -> Scalar:
    return 1 - ((c.smoothness - c.strong_convexity) / (c.smoothness + c.strong_convexity)) ** 2


@frozen_pytree
class GD(Method):
    """Gradient descent: x+ = x - gamma (1/n) sum_i grad f_i(x).

    Guarantees:
        smooth, gamma <= 1/L: f(x+) <= f(x) - (gamma/2) |grad f(x)|^2, so avg_{t<T} |grad f|^2 <= 2 (f(x^0) - f_inf) /
            (gamma T).
        smooth-pl, gamma <= 1/L: f(x+) - f* <= (1 - gamma mu) (f(x) - f*).
        tight, gamma = 2/(L + mu): |x+ - x*|^2 <= ((L - mu)/(L + mu))^2 |x - x*|^2 for strongly convex f.
    """

    kind = "gd"
    compressor = Identity()
    paper = papers.CAUCHY
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
            assumptions=(PL,),
            rate=lambda c, stepsize: stepsize * c.pl_constant,
        ),
        Contraction(
            name="tight",
            reference="Nesterov, Introductory Lectures on Convex Optimization (2004), Theorem 2.1.15",
            formula="2 / (L + mu)",
            max_stepsize=_tight_stepsize,
            min_stepsize=_tight_stepsize,
            assumptions=(STRONGLY_CONVEX,),
            rate=_tight_rate,
            potential=lambda c, stepsize, state: jnp.sum((state.x - c.minimizer) ** 2),
            units="squared-distance",
        ),
    )

    def init(self, problem: Problem, x0: Array, key: Array) -> GDState:
        return GDState(x0, problem.worker_gradients(x0), traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: GDState, key: Array) -> GDState:
        x = state.x - stepsize * jnp.mean(state.gradients, axis=0)
        return GDState(x, problem.worker_gradients(x), traffic(dense(len(x)), dense(len(x))))
