"""Full gradients with added noise."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import Problem, frozen_pytree
from simulator.oracle import GradientOracle, NoiseConstants
from simulator.parameters import check_number

__all__ = ["GaussianNoise"]


@frozen_pytree
class GaussianNoise(GradientOracle):
    """ghat_i = grad f_i + noise, Gaussian with E|noise|^2 = variance exactly, the same for every worker and point."""

    variance: float
    kind = "gaussian-noise"
    deterministic = False

    def __post_init__(self) -> None:
        check_number("the variance of the noise", self.variance, "[0, inf)")

    def draw(self, problem: Problem, x: Array, gradients: Array, key: Array) -> Array:
        keys = jax.random.split(key, len(gradients))
        dim = gradients.shape[1]
        noise = jax.vmap(lambda worker_key: jax.random.normal(worker_key, (dim,), x.dtype))(keys)
        return gradients + jnp.sqrt(self.variance / dim) * noise

    def variances(self, problem: Problem, x: Array) -> Array:
        return self.variance * jnp.ones(problem.num_workers, x.dtype)

    def constants(self, problem: Problem) -> NoiseConstants:
        zeros = np.zeros(problem.num_workers)
        level = zeros + float(self.variance)
        return NoiseConstants(zeros, level, zeros, level, zeros)
