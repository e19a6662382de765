"""Compiled evaluations of problems, and points to evaluate them at."""

import jax
import numpy as np

from problems import Problem

# Problems are arguments of these compiled functions, so that instances of one shape share their programs.
losses_at = jax.jit(lambda problem, x: problem.worker_losses(x))
gradients_at = jax.jit(lambda problem, x: problem.worker_gradients(x))
slopes_at = jax.jit(lambda problem, x: jax.jacrev(problem.worker_losses)(x))  # by automatic differentiation
bends_at = jax.jit(lambda problem, x: jax.hessian(problem.worker_losses)(x))  # likewise
difference = jax.jit(lambda problem, x, step: problem.loss_difference(x, step))
many_gradients = jax.jit(lambda problem, x: jax.vmap(problem.worker_gradients)(x))
many_differences = jax.jit(lambda problem, x, steps: jax.vmap(problem.loss_difference)(x, steps))
weighted_at = jax.jit(lambda problem, x, weights: problem.weighted_gradients(x, weights))
variances_at = jax.jit(lambda problem, x: problem.sample_variances(x))
many_losses = jax.jit(lambda problem, x: jax.vmap(problem.loss)(x))


def points(problem: Problem, count: int, seed: int = 0) -> np.ndarray:
    """Random points near and far, [count, d]."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, problem.dim)) * 10.0 ** rng.uniform(-2, 1, (count, 1))


def worker_hessians(problem: Problem, x: np.ndarray) -> np.ndarray:
    """By automatic differentiation of the losses, [n, d, d]."""
    return np.asarray(bends_at(problem, x))


def norms(hessians: np.ndarray) -> np.ndarray:
    return np.max(np.abs(np.linalg.eigvalsh(hessians)), axis=-1)
