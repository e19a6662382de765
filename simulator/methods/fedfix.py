"""FedFix: the server aggregates at fixed intervals."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import frozen_pytree
from simulator import papers
from simulator.asynchronous import AsynchronousMethod
from simulator.parameters import check_number

__all__ = ["FedFix"]


@frozen_pytree
class FedFix(AsynchronousMethod):
    """FedFix: x+ = x - eta sum_i w_i C(e_i + Delta_i) over those who have arrived by the end of an interval.

    Fraboni, Vidal, Kameni, Lorenzi (arXiv 2206.10189), from memory; C and the error memory are additions. A worker that
    has arrived waits for the end of the interval and then begins at x+, so that P_i = 1/E ceil(T_i / interval).

    Args:
        interval: the time between two aggregations; 1 is the mean time of a local work.
        local_steps: H.
        server_stepsize: eta.
        weighting: "unbiased", w_i = 1/(n P_i), so that all f_i count alike in expectation; or "identical", one over how
            many arrive in a round, on average.
    """

    interval: float
    kind = "fedfix"
    paper = papers.ASYNCHRONOUS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("the interval", self.interval, "(0, inf)")

    def span(self, remaining: Array) -> Array:
        return jnp.asarray(self.interval, remaining.dtype)

    def arrival_chances(self, workers: int) -> np.ndarray:
        return 1 / self.times.whole_intervals(float(self.interval), workers)
