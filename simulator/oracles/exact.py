"""Full gradients."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import Problem, frozen_pytree
from simulator.oracle import GradientOracle, NoiseConstants

__all__ = ["Exact"]


@frozen_pytree
class Exact(GradientOracle):
    """ghat_i = grad f_i: no noise."""

    kind = "exact"
    deterministic = True

    def draw(self, problem: Problem, x: Array, gradients: Array, key: Array) -> Array:
        return gradients

    def variances(self, problem: Problem, x: Array) -> Array:
        return jnp.zeros(problem.num_workers, x.dtype)

    def constants(self, problem: Problem) -> NoiseConstants:
        zeros = np.zeros(problem.num_workers)
        return NoiseConstants(zeros, zeros, zeros, zeros, zeros)
