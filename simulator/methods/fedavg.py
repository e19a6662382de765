"""FedAvg, synchronous: the server waits for all workers."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import frozen_pytree
from simulator import papers
from simulator.asynchronous import AsynchronousMethod

__all__ = ["FedAvg"]


@frozen_pytree
class FedAvg(AsynchronousMethod):
    """FedAvg: x+ = x - (eta/n) sum_i C(e_i + Delta_i), Delta_i = x - y_i^H after H local steps.

    McMahan, Moore, Ramage, Hampson, Aguera y Arcas (arXiv 1602.05629), with all workers in every round; C and
    the error memory are additions. A round takes max_i T_i: the slowest worker is waited for.

    Args:
        local_steps: H.
        server_stepsize: eta.
        weighting: "unbiased" and "identical" are the same here.
    """

    kind = "fedavg"
    paper = papers.FEDAVG

    def span(self, remaining: Array) -> Array:
        return jnp.max(remaining)

    def arrival_chances(self, workers: int) -> np.ndarray:
        return np.ones(workers)
