"""EF21-PAGE: EF21 on variance-reduced gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants, Scalar, theta, xi
from simulator.distortion import ARITHMETIC_MEAN, QUADRATIC_MEAN, Distortion, cautious
from simulator.estimates import follow, start_following
from simulator.keys import round_keys
from simulator.method import Initial, Method, check_initial
from simulator.oracle import GradientOracle
from simulator.parameters import check_number
from simulator.theorem import CONTRACTIVE, Assumption, Descent
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["EF21PAGE"]

DIFFERENCES = Assumption(
    "difference-smoothness",
    lambda c: c.noise is not None and c.noise.difference_smoothness is not None,
    "stochastic gradients whose differences have a known variance l_i^2 |x - y|^2",
)


class PageState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    corrected: Array  # v_i, the variance-reduced gradients, [n, d]
    estimates: Array  # g_i, which follow the v_i, [n, d]
    traffic: Traffic


def _theorem(distortion: Distortion, reference: str) -> Descent:
    def max_stepsize(c: Constants) -> Scalar:
        p, square = c.method.probability, xi(c.alpha) ** 2
        noise = (distortion.coefficients(c) * c.noise.difference_smoothness**2).sum()
        compression = 2 * square * ((1 + p) * distortion.smoothness(c) ** 2 + (1 - p) * noise)
        return cautious(c.smoothness, compression + 2 * (1 - p) * (1 / p + 2 * square) * noise)

    def potential(c: Constants, stepsize: Scalar, state: PageState) -> Array:
        compression = distortion.of(c, state.estimates - state.corrected) / theta(c.alpha)
        sampling = distortion.of(c, state.corrected - state.gradients)
        return stepsize * (compression + (1 / c.method.probability + 2 * xi(c.alpha) ** 2) * sampling)

    return Descent(
        name=distortion.prefix,
        reference=reference,
        formula=f"1 / (L + sqrt(2 xi^2 ((1 + p) {distortion.constant}^2 + (1 - p) l^2) + "
        "2 (1 - p) (1/p + 2 xi^2) l^2))",
        max_stepsize=max_stepsize,
        assumptions=(CONTRACTIVE, DIFFERENCES),
        potential=potential,
        noise_weight=lambda c, stepsize: 1 / theta(c.alpha) + 1 / c.method.probability + 2 * xi(c.alpha) ** 2,
    )


@frozen_pytree
class EF21PAGE(Method):
    """EF21-PAGE: v_i+ = grad f_i(x+) with probability p, else v_i + ghat_i(x+) - ghat_i(x); g_i+ = g_i + C(v_i+ - g_i).

    Fatkhullin, Sokolov, Gorbunov, Li, Richtarik (arXiv 2110.03294), after PAGE (arXiv 2008.10898). One coin for all
    workers; ghat_i has the same samples at both points; v_i^0 = grad f_i(x^0).

    Guarantees (derived), where one draw at two points has a difference of variance at most l_i^2 |x - y|^2, and l^2 =
    sum_i a_i l_i^2, for V = f - f_inf + (gamma/theta) G(g_i - v_i) + gamma (1/p + 2 xi^2) G(v_i - grad f_i):
        gamma <= 1/(L + sqrt(2 xi^2 ((1 + p) L_a^2 + (1 - p) l^2) + 2 (1 - p) (1/p + 2 xi^2) l^2)):
            E V+ <= V - (gamma/2) |grad f|^2.
    """

    compressor: Compressor
    oracle: GradientOracle
    probability: float
    initial: Initial = static(default="gradient")
    kind = "ef21-page"
    paper = papers.BELLS
    random = True
    theorems = (
        _theorem(QUADRATIC_MEAN, "EF21-PAGE (arXiv 2110.03294); derived"),
        _theorem(ARITHMETIC_MEAN, "EF21-PAGE (arXiv 2110.03294) by weighted analysis; derived"),
    )

    def __post_init__(self) -> None:
        check_initial(self.initial)
        check_number("probability", self.probability, "(0, 1]")

    def gradient_passes(self, problem: Problem) -> float:
        return self.probability + (1 - self.probability) * 2 * self.oracle.passes(problem)

    def init(self, problem: Problem, x0: Array, key: Array) -> PageState:
        gradients = problem.worker_gradients(x0)
        estimates, size = start_following(self.initial, self.compressor, round_keys(key).compression, gradients)
        return PageState(x0, gradients, gradients, estimates, traffic(size, nothing))

    def step(self, problem: Problem, stepsize: Array, state: PageState, key: Array) -> PageState:
        keys = round_keys(key)
        x = state.x - stepsize * jnp.mean(state.estimates, axis=0)
        gradients = problem.worker_gradients(x)
        here, there = (
            self.oracle.draw(problem, point, exact, keys.sampling)
            for point, exact in ((x, gradients), (state.x, state.gradients))
        )
        full = jax.random.uniform(keys.coin, dtype=float) < self.probability
        corrected = jnp.where(full, gradients, state.corrected + (here - there))
        estimates, size = follow(self.compressor, keys.compression, state.estimates, corrected)
        return PageState(x, gradients, corrected, estimates, traffic(size, dense(len(x))))
