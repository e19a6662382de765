"""The numbers that theorems speak of, gathered from a problem and a compressor."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from problems import InvalidInput, Problem
from simulator.compressor import Compressor

__all__ = ["Constants", "Scalar", "beta", "constants_of", "theta", "xi"]

Scalar = Any  # a float on the host, a traced [] inside the engine: the formulas below serve both


def theta(alpha: Scalar) -> Scalar:
    """theta = 1 - sqrt(1 - alpha), the rate at which EF21's distortion contracts (arXiv 2106.05203)."""
    return alpha / (1 + (1 - alpha) ** 0.5)  # without the cancellation of 1 - sqrt(1 - alpha)


def beta(alpha: Scalar) -> Scalar:
    """beta = (1 - alpha) / theta, the weight of the model's movement in EF21's distortion (arXiv 2106.05203)."""
    return (1 - alpha) / theta(alpha)


def xi(alpha: Scalar) -> Scalar:
    """xi = sqrt(beta / theta) = sqrt(1 - alpha) / theta; 0 for alpha = 1, below 2 / alpha (arXiv 2402.10774)."""
    return (1 - alpha) ** 0.5 / theta(alpha)


class Constants(NamedTuple):
    """What theorems may use. A constant that does not exist is None, never 0: `Theorem.obstacle` says so in words."""

    smoothness: Scalar  # L
    worker_smoothness: Any  # L_i, [n]
    lower_bound: Scalar  # f_inf, certified
    pl_constant: Scalar  # mu of the Polyak-Lojasiewicz inequality
    strong_convexity: Scalar  # mu of strong convexity
    workers_convex: Scalar  # 1 where every f_i is convex
    minimizer: Any  # x*, [d]
    optimal_dissimilarity: Scalar  # (1/n) sum_i |grad f_i(x*)|^2
    alpha: Scalar  # of a contractive compressor
    omega: Scalar  # of an unbiased compressor

    @property
    def arithmetic_mean(self) -> Scalar:
        """L_AM = (1/n) sum_i L_i."""
        return self.worker_smoothness.mean()

    @property
    def quadratic_mean(self) -> Scalar:
        """L_QM = sqrt((1/n) sum_i L_i^2)."""
        return (self.worker_smoothness**2).mean() ** 0.5

    @property
    def smoothness_variance(self) -> Scalar:
        """L_var = (1/n) sum_i (L_i - L_AM)^2 = L_QM^2 - L_AM^2, computed without that cancellation."""
        return ((self.worker_smoothness - self.arithmetic_mean) ** 2).mean()

    @property
    def num_workers(self) -> int:
        return len(self.worker_smoothness)


def constants_of(problem: Problem, compressor: Compressor) -> Constants:
    """The constants of `problem` on the host in float64, with those of `compressor` on R^d.

    Raises:
        InvalidInput: the compressor does not exist on R^d, or L = 0, so that every stepsize is right.
    """
    compressor.check(problem.dim)
    if not problem.smoothness > 0:
        raise InvalidInput("L = 0: the gradient of f is constant, and no theorem says how to minimise f")
    minimizer = problem.minimizer
    return Constants(
        smoothness=float(problem.smoothness),
        worker_smoothness=np.asarray(problem.worker_smoothness, float),
        lower_bound=problem.lower_bound,
        pl_constant=problem.pl_constant,
        strong_convexity=problem.strong_convexity,
        workers_convex=1.0 if problem.workers_convex else None,
        minimizer=minimizer,
        optimal_dissimilarity=None if minimizer is None else _dissimilarity(problem, minimizer),
        alpha=compressor.contraction(problem.dim),
        omega=compressor.variance(problem.dim),
    )


def _dissimilarity(problem: Problem, x: np.ndarray) -> float:
    """(1/n) sum_i |grad f_i(x)|^2. x [d]."""
    gradients = np.asarray(problem.worker_gradients(jnp.asarray(x)))
    return float(np.mean(np.sum(gradients**2, axis=1)))
