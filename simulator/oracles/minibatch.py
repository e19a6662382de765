"""Gradients on a few samples."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import FiniteSum, InvalidInput, Problem, frozen_pytree, static
from simulator.oracle import GradientOracle, NoiseConstants
from simulator.parameters import check_whole
from simulator.selection import largest

__all__ = ["Minibatch"]


@frozen_pytree
class Minibatch(GradientOracle):
    """ghat_i = the mean of the gradients at `size` of the worker's m_i samples, drawn with or without replacement.

    Its variance is the variance of one sample's gradient times 1/b, or (m_i - b) / (b (m_i - 1)) without replacement.
    Where the losses of the samples are not negative and L_ij-smooth, A_i = max_j L_ij times that factor and C_i = 0
    (with f_i^inf = 0); derived.
    """

    size: int = static()
    replacement: bool = static(default=False)
    kind = "minibatch"
    deterministic = False

    def __post_init__(self) -> None:
        check_whole("the size of a minibatch", self.size)

    def sample_weights(self, counts: Array, width: int, key: Array) -> Array:
        """How much every sample counts: its number of draws over b. m_i [n]; m, the most a worker has -> [n, m]."""

        def of_worker(key: Array, count: Array) -> Array:
            if self.replacement:
                drawn = jax.random.randint(key, (self.size,), 0, count)
                return jnp.sum(jax.nn.one_hot(drawn, width), axis=0)
            scores = jax.random.uniform(key, (width,), float, 1.0, 2.0)
            return 1.0 * largest(jnp.where(jnp.arange(width) < count, scores, 0.0), self.size)

        return jax.vmap(of_worker)(jax.random.split(key, len(counts)), counts) / self.size

    def draw(self, problem: Problem, x: Array, gradients: Array, key: Array) -> Array:
        assert isinstance(problem, FiniteSum)
        counts, width = problem.sample_counts, problem.most_samples
        return problem.weighted_gradients(x, self.sample_weights(counts, width, key).astype(x.dtype))

    def variances(self, problem: Problem, x: Array) -> Array:
        assert isinstance(problem, FiniteSum)
        return self._factors(problem.sample_counts).astype(x.dtype) * problem.sample_variances(x)

    def _factors(self, counts: Array) -> Array:
        """The variance of a minibatch's mean over that of one sample. m_i [n] -> [n]."""
        if self.replacement:
            return jnp.ones(counts.shape) / self.size
        return (counts - self.size) / (self.size * jnp.maximum(counts - 1, 1))

    def constants(self, problem: Problem) -> NoiseConstants:
        assert isinstance(problem, FiniteSum)
        factors, zeros = np.asarray(self._factors(problem.sample_counts)), np.zeros(problem.num_workers)
        return NoiseConstants(
            expected_smoothness=factors * problem.sample_smoothness,
            constant=zeros,
            lower_bounds=zeros,
            uniform=None,
            difference_smoothness=np.sqrt(factors) * problem.sample_difference_smoothness,
        )

    def passes(self, problem: Problem) -> float:
        assert isinstance(problem, FiniteSum)
        return float(np.mean(self.size / np.asarray(problem.sample_counts)))

    def check(self, problem: Problem) -> None:
        if not isinstance(problem, FiniteSum):
            raise InvalidInput(f"minibatches need a problem with samples, not a {type(problem).__name__}")
        fewest = int(np.min(np.asarray(problem.sample_counts)))
        if not self.replacement and self.size > fewest:
            raise InvalidInput(
                f"minibatches of {self.size} samples without replacement need as many; a worker has {fewest}"
            )
