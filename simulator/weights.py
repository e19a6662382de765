"""Weights w_i > 0 of the workers, summing to 1, as functions of their smoothness constants."""

from collections.abc import Callable
from typing import Any

__all__ = ["Weights", "proportional_weights", "uniform_weights"]

Weights = Callable[[Any], Any]  # L_i [n] -> w_i [n], on the host or traced

# A worker with a constant f_i has L_i = 0, and its weight would be 0. The floor moves L_w by at most this much,
# relatively; every formula uses the weights with the floor, so nothing is lost in rigour.
FLOOR = 1e-9


def uniform_weights(worker_smoothness: Any) -> Any:
    """w_i = 1/n. [n] -> [n]."""
    return 0 * worker_smoothness + 1 / len(worker_smoothness)


def proportional_weights(worker_smoothness: Any) -> Any:
    """w_i = L_i / sum_j L_j, with L_i no smaller than FLOOR times the mean. [n] -> [n]."""
    floored = worker_smoothness.clip(FLOOR * worker_smoothness.mean())
    return floored / floored.sum()
