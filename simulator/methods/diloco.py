"""DiLoCo: local steps of AdamW, and Nesterov momentum on the averaged differences."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.inner_optimizers import AdamW, InnerOptimizer
from simulator.keys import round_keys
from simulator.local_steps import OuterMethod
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["DiLoCo"]


class DiLoCoState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    velocity: Array  # u, of the outer momentum, [d]
    memory: Any  # of the inner optimisers
    errors: Array  # e_i, what compression has withheld so far, [n, d]
    traffic: Traffic


@frozen_pytree
class DiLoCo(OuterMethod):
    """DiLoCo: H local steps of AdamW from x, D = (1/n) sum_i C(x - x_i + e_i), u+ = m u + D, x+ = x - eta (D + m u+).

    Douillard et al. (arXiv 2311.08105). The stepsize gamma is that of the local steps. The moments of AdamW stay with
    the workers when the models are exchanged (the paper's section 6.1, according to public code). eta = 0.7 and m = 0.9
    are the paper's, from memory. What is exchanged there is not compressed; compressor and feedback are an addition.

    With SGD inside, eta = 1 and m = 0 it is local SGD.

    Args:
        local_steps: H, in a round.
        outer_stepsize: eta > 0.
        outer_momentum: m, in [0, 1).
        feedback: how much of what the compressor has withheld joins the next difference: 0 nothing, 1 all of it.
        inner: the optimiser of the local steps.
    """

    compressor: Compressor = Identity()
    local_steps: int = static(default=10)
    outer_stepsize: float = 0.7
    outer_momentum: float = 0.9
    feedback: float = 0.0
    inner: InnerOptimizer = AdamW()
    oracle: GradientOracle = Exact()
    kind = "diloco"
    paper = papers.DILOCO
    theorems = ()
    no_theorem = (
        "none is known for AdamW inside; with one step of SGD inside, without outer momentum and with outer stepsize 1 "
        "it is GD, and with a compressor and feedback EF14, whose theorem nonconvex comes nearest"
    )

    def init(self, problem: Problem, x0: Array, key: Array) -> DiLoCoState:
        gradients = problem.worker_gradients(x0)
        zeros, still = jnp.zeros_like(gradients), jnp.zeros_like(x0)
        return DiLoCoState(x0, gradients, still, self.inner.start(zeros), zeros, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: DiLoCoState, key: Array) -> DiLoCoState:
        keys = round_keys(key)
        workers = self.descend_from(problem, stepsize, state.x, state.memory, keys.sampling)
        sent = self.exchange(keys.compression, state.x, workers.models, state.errors)
        x, velocity = self.nesterov(state.x, sent.mean, state.velocity)
        gradients = problem.worker_gradients(x)
        return DiLoCoState(x, gradients, velocity, workers.memory, sent.errors, traffic(sent.size, dense(len(x))))
