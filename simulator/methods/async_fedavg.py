"""Asynchronous FedAvg: the server aggregates at every arrival."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import frozen_pytree
from simulator import papers
from simulator.arrivals import chances_among_first
from simulator.asynchronous import AsynchronousMethod

__all__ = ["AsyncFedAvg"]


@frozen_pytree
class AsyncFedAvg(AsynchronousMethod):
    """Asynchronous FedAvg: x+ = x - eta w_i C(e_i + Delta_i) as soon as a worker i arrives, which then begins at x+.

    Fraboni, Vidal, Kameni, Lorenzi (arXiv 2206.10189), from memory; C and the error memory are additions. A round takes
    min_i T_i, T_i the time that worker i still needs. P_i is proportional to 1/tau_i, the rate of arrivals.

    Args:
        local_steps: H.
        server_stepsize: eta.
        weighting: "unbiased", w_i = 1/(n P_i), so that all f_i count alike in expectation; or "identical", w_i = 1
            (less where several arrive at once, so that sum_i P_i > 1): the fast workers pull x to their minimisers.
    """

    kind = "async-fedavg"
    paper = papers.ASYNCHRONOUS

    def span(self, remaining: Array) -> Array:
        return jnp.min(remaining)

    def arrival_chances(self, workers: int) -> np.ndarray:
        return chances_among_first(self.times, 1, workers)
