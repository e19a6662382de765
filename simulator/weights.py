"""Weights w_i > 0 of the workers, summing to 1, as functions of their smoothness constants."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from problems import Problem

__all__ = ["FLOOR", "Weights", "clone_weights", "floored", "proportional_weights", "uniform_weights", "worker_scales"]

Weights = Callable[[Any], Any]  # L_i [n] -> w_i [n], on the host or traced

# A worker with a constant f_i has L_i = 0, and its weight would be 0. The floor moves L_w by at most this much,
# relatively; every formula uses the weights with the floor, so nothing is lost in rigour.
FLOOR = 1e-9


def uniform_weights(worker_smoothness: Any) -> Any:
    """w_i = 1/n. [n] -> [n]."""
    return 0 * worker_smoothness + 1 / len(worker_smoothness)


def floored(worker_smoothness: Any) -> Any:
    """L_i, but no smaller than FLOOR times the mean. [n] -> [n]."""
    return worker_smoothness.clip(FLOOR * worker_smoothness.mean())


def proportional_weights(worker_smoothness: Any) -> Any:
    """w_i = L_i / sum_j L_j, with L_i no smaller than FLOOR times the mean. [n] -> [n]."""
    positive = floored(worker_smoothness)
    return positive / positive.sum()


def clone_counts(worker_smoothness: Any) -> Any:
    """N_i = max{1, ceil(L_i / L_AM)}, how many clones of a worker Error Feedback Reloaded makes. [n] -> [n]."""
    # ratios that are whole numbers but for rounding stay what they are
    ratios = worker_smoothness / worker_smoothness.mean() * (1 - 1e-12)
    return (ratios - ratios % 1 + (ratios % 1 > 0)).clip(1)


def clone_weights(worker_smoothness: Any) -> Any:
    """w_i = N_i / N, the share of a worker's clones. [n] -> [n]."""
    counts = clone_counts(worker_smoothness)
    return counts / counts.sum()


def worker_scales(weights: Weights, problem: Problem) -> Any:
    """n w_i, by which worker i divides what it compresses and multiplies what it has compressed. -> [n, 1]."""
    smoothness = jnp.asarray(problem.worker_smoothness)
    return (len(smoothness) * weights(smoothness))[:, None]
