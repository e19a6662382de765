"""EF21: error feedback by compressed differences."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator.compressor import FLOAT_BITS, Compressor
from simulator.constants import Constants, Scalar, theta, xi
from simulator.method import Bits, Initial, Method, check_initial, initial_bits, initial_estimates
from simulator.theorem import Contraction, Descent
from simulator.weights import Weights, proportional_weights, uniform_weights

__all__ = ["EF21", "EF21State", "contraction_theorem", "descent_theorem"]


class EF21State(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]
    estimates: Array  # g_i, what the server knows of the gradients; it moves along their mean, [n, d]


def weighted_smoothness(c: Constants, weights: Array) -> Scalar:
    """L_w = (1/n) sqrt(sum_i L_i^2 / w_i): L_QM for uniform weights, L_AM (the least) for w_i proportional to L_i."""
    return ((c.worker_smoothness**2 / weights).sum()) ** 0.5 / c.num_workers


def _distortion(factor: float, weights: Weights) -> Callable[[Constants, Scalar, Any], Array]:
    """factor gamma / theta times G_w = sum_i |g_i - grad f_i|^2 / (n^2 w_i)."""

    def potential(c: Constants, stepsize: Scalar, state: Any) -> Array:
        errors = jnp.sum((state.estimates - state.gradients) ** 2, axis=1)
        return factor * stepsize / theta(c.alpha) * jnp.sum(errors / weights(c.worker_smoothness)) / c.num_workers**2

    return potential


def descent_theorem(name: str, reference: str, formula: str, weights: Weights) -> Descent:
    """gamma <= 1/(L + L_w xi): V+ <= V - (gamma/2) |grad f|^2 for V = f - f_inf + gamma/(2 theta) G_w."""
    return Descent(
        name=name,
        reference=reference,
        formula=formula,
        max_stepsize=lambda c: 1 / (c.smoothness + weighted_smoothness(c, weights(c.worker_smoothness)) * xi(c.alpha)),
        assumptions=("contractive",),
        potential=_distortion(0.5, weights),
    )


def contraction_theorem(name: str, reference: str, formula: str, weights: Weights) -> Contraction:
    """gamma <= min{1/(L + sqrt2 L_w xi), theta/(2 mu)}: V+ <= (1 - gamma mu) V for V = f - f* + gamma/theta G_w."""

    def max_stepsize(c: Constants) -> Scalar:
        smooth = 1 / (c.smoothness + 2**0.5 * weighted_smoothness(c, weights(c.worker_smoothness)) * xi(c.alpha))
        return min(smooth, theta(c.alpha) / (2 * c.pl_constant))

    return Contraction(
        name=name,
        reference=reference,
        formula=formula,
        max_stepsize=max_stepsize,
        assumptions=("contractive", "pl"),
        rate=lambda c, stepsize: stepsize * c.pl_constant,
        potential=_distortion(1.0, weights),
    )


@frozen_pytree
class EF21(Method):
    """EF21: x+ = x - gamma (1/n) sum_i g_i, then g_i+ = g_i + C(grad f_i(x+) - g_i).

    Richtarik, Sokolov, Fatkhullin (arXiv 2106.05203). g_i^0 is grad f_i(x^0), its compression, or zero.

    Guarantees, with G_w = sum_i |g_i - grad f_i|^2 / (n^2 w_i) and L_w = (1/n) sqrt(sum_i L_i^2 / w_i):
        gamma <= 1/(L + L_w xi): V = f - f_inf + gamma/(2 theta) G_w falls by (gamma/2) |grad f|^2, so that
            avg_{t<T} |grad f|^2 <= 2 V^0 / (gamma T).
        PL, gamma <= min{1/(L + sqrt2 L_w xi), theta/(2 mu)}: V = f - f* + (gamma/theta) G_w shrinks by 1 - gamma mu.
    quadratic-mean has w_i = 1/n, so L_w = L_QM (the first paper's theorems). arithmetic-mean has w_i = L_i / sum_j L_j,
    so L_w = L_AM (arXiv 2402.10774); there the distortion must be weighted: with equal weights V can increase.
    """

    compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "ef21"
    theorems = (
        descent_theorem(
            "quadratic-mean",
            "EF21 (arXiv 2106.05203), nonconvex theorem",
            "1 / (L + L_QM xi)",
            uniform_weights,
        ),
        descent_theorem(
            "arithmetic-mean",
            "Error Feedback Reloaded (arXiv 2402.10774), EF21 by weighted analysis; derived",
            "1 / (L + L_AM xi)",
            proportional_weights,
        ),
        contraction_theorem(
            "quadratic-mean-pl",
            "EF21 (arXiv 2106.05203), PL theorem",
            "min(1 / (L + sqrt2 L_QM xi), theta / (2 mu))",
            uniform_weights,
        ),
        contraction_theorem(
            "arithmetic-mean-pl",
            "Error Feedback Reloaded (arXiv 2402.10774), EF21 by weighted analysis; derived",
            "min(1 / (L + sqrt2 L_AM xi), theta / (2 mu))",
            proportional_weights,
        ),
    )

    def __post_init__(self) -> None:
        check_initial(self.initial)

    def init(self, problem: Problem, x0: Array, key: Array) -> EF21State:
        gradients = problem.worker_gradients(x0)
        return EF21State(x0, gradients, initial_estimates(self.initial, self.compressor, gradients, key))

    def step(self, problem: Problem, stepsize: Array, state: EF21State, key: Array) -> EF21State:
        x = state.x - stepsize * jnp.mean(state.estimates, axis=0)
        gradients = problem.worker_gradients(x)
        messages = self.compressor.compress_rows(key, gradients - state.estimates)
        return EF21State(x, gradients, state.estimates + messages)

    def bits(self, dim: int) -> Bits:
        return Bits(
            initial=initial_bits(self.initial, self.compressor, dim),
            uplink=self.compressor.bits(dim),
            downlink=FLOAT_BITS * dim,
        )
