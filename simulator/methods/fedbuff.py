"""FedBuff: the server aggregates when its buffer of arrivals is full."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import InvalidInput, Problem, frozen_pytree, static
from simulator import papers
from simulator.arrivals import chances_among_first
from simulator.asynchronous import AsynchronousMethod
from simulator.parameters import check_whole

__all__ = ["FedBuff"]


@frozen_pytree
class FedBuff(AsynchronousMethod):
    """FedBuff: x+ = x - eta sum_i w_i C(e_i + Delta_i) as soon as m workers have arrived, which then begin at x+.

    Nguyen et al. (arXiv 2106.06639): the mean of m changes, w_i = 1/m, which is the weighting "identical". In the
    authors' code (FLSim) a worker drawn at random begins at every arrival; here the n workers are always the same, and
    those who have arrived wait for the aggregation, as in arXiv 2206.10189 (from memory). Weights for staleness, a
    power of 1 + age there, are left out; C and the error memory are additions. A round takes the m-th smallest T_i,
    T_i the time that worker i still needs.

    Args:
        buffer: m, at most n.
        local_steps: H.
        server_stepsize: eta.
        weighting: "unbiased", w_i = 1/(n P_i), so that all f_i count alike in expectation; or "identical", w_i = 1/m
            (less where several arrive at once, so that sum_i P_i > m).
    """

    buffer: int = static()
    kind = "fedbuff"
    paper = papers.FEDBUFF

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("the size of the buffer", self.buffer)

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if self.buffer > problem.num_workers:
            raise InvalidInput(f"a buffer of {self.buffer} is never full where there are {problem.num_workers} workers")

    def span(self, remaining: Array) -> Array:
        return jnp.sort(remaining)[self.buffer - 1]

    def arrival_chances(self, workers: int) -> np.ndarray:
        return chances_among_first(self.times, self.buffer, workers)
