"""Local SGD, or federated averaging, with and without compressed differences and error feedback."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.inner_optimizers import SGD, InnerOptimizer
from simulator.keys import round_keys
from simulator.local_steps import LocalMethod
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["LocalSGD"]


class LocalSGDState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    memory: Any  # of the inner optimisers
    errors: Array  # e_i, what compression has withheld so far, [n, d]
    traffic: Traffic


@frozen_pytree
class LocalSGD(LocalMethod):
    """Local SGD: H local steps x_i <- x_i - gamma ghat_i(x_i) from x, D_i = x - x_i, x+ = x - (1/n) sum_i C(D_i + e_i).

    FedAvg with all workers (McMahan et al., arXiv 1602.05629); local SGD (Stich, arXiv 1805.09767). With a compressor
    and feedback 0 it is FedPAQ (arXiv 1909.13014), and with feedback 1, e_i+ = D_i + e_i - C(D_i + e_i), it is
    Qsparse-local-SGD (arXiv 1906.02367) with synchronous exchanges; both from memory.

    With H > 1 and workers that differ it does not stop at the minimiser of f, even with exact gradients: on quadratics
    f_i = (x - b_i)'A_i(x - b_i)/2 it stops where sum_i (I - (I - gamma A_i)^H) (x - b_i) = 0 (derived).

    Args:
        local_steps: H, in a round.
        feedback: how much of what the compressor has withheld joins the next difference: 0 nothing, 1 all of it.
        inner: the optimiser of the local steps; as published it is sgd.
    """

    compressor: Compressor = Identity()
    local_steps: int = static(default=10)
    feedback: float = 0.0
    inner: InnerOptimizer = SGD()
    oracle: GradientOracle = Exact()
    kind = "local-sgd"
    paper = papers.LOCAL_SGD
    theorems = ()
    no_theorem = (
        "the catalogue has none for several local steps; with one step of SGD on exact gradients it is GD, with a "
        "compressor C(c v) = c C(v) DCGD, and with feedback as well EF14, whose theorem nonconvex comes nearest"
    )

    def init(self, problem: Problem, x0: Array, key: Array) -> LocalSGDState:
        gradients = problem.worker_gradients(x0)
        zeros = jnp.zeros_like(gradients)
        return LocalSGDState(x0, gradients, self.inner.start(zeros), zeros, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: LocalSGDState, key: Array) -> LocalSGDState:
        keys = round_keys(key)
        workers = self.descend_from(problem, stepsize, state.x, state.memory, keys.sampling)
        sent = self.exchange(keys.compression, state.x, workers.models, state.errors)
        x = state.x - sent.mean
        gradients = problem.worker_gradients(x)
        return LocalSGDState(x, gradients, workers.memory, sent.errors, traffic(sent.size, dense(len(x))))
