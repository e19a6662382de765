"""Adam on the mean of the workers' gradients, which are sent in full."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressors.identity import Identity
from simulator.keys import round_keys
from simulator.moments import MomentMethod, Moments, no_moments
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["Adam"]


class AdamState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    moments: Moments
    rounds: Array  # made so far, int32 []
    traffic: Traffic


@frozen_pytree
class Adam(MomentMethod):
    """Adam: m+ = b1 m + (1 - b1) g, v+ = b2 v + (1 - b2) g^2, x+ = x - gamma m+/(sqrt(v+) + epsilon), g = <ghat_i(x)>.

    Kingma, Ba (arXiv 1412.6980). In round t = 1, 2, ... the bias correction divides m+ by 1 - b1^t and v+ by 1 - b2^t
    in the step; the Adam that 1-bit Adam begins with has none. With b1 = b2 = 0 x moves by gamma times the signs of g,
    up to epsilon.

    Args:
        oracle: what a worker knows of its gradient.
        beta1, beta2: b1 and b2.
        epsilon: what keeps the quotient finite.
        bias_correction: whether m and v are divided by what is missing of their weights.
    """

    oracle: GradientOracle = Exact()
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    bias_correction: bool = static(default=True)
    kind = "adam"
    compressor = Identity()
    paper = papers.ADAM
    theorems = ()
    no_theorem = (
        "Adam need not converge even where f is convex (Reddi, Kale, Kumar, arXiv 1904.09237); the nearest is gd's "
        "smooth, for the same messages without momentum and scaling"
    )

    def init(self, problem: Problem, x0: Array, key: Array) -> AdamState:
        rounds = jnp.zeros((), jnp.int32)
        return AdamState(x0, problem.worker_gradients(x0), no_moments(x0), rounds, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: AdamState, key: Array) -> AdamState:
        observed = self.oracle.draw(problem, state.x, state.gradients, round_keys(key).sampling)
        moments, rounds = self.advanced(state.moments, jnp.mean(observed, axis=0)), state.rounds + 1
        unbiased = moments.corrected(self.beta1, self.beta2, rounds) if self.bias_correction else moments
        x = state.x - stepsize * unbiased.direction(self.epsilon)
        return AdamState(x, problem.worker_gradients(x), moments, rounds, traffic(dense(len(x)), dense(len(x))))
