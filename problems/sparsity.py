"""Which workers use which coordinates."""

import numpy as np

from problems.problem import Sparsity

__all__ = ["sparsity_of"]


def sparsity_of(used: np.ndarray, worker_smoothness: np.ndarray) -> Sparsity:
    """The constants of a sparsity pattern: whether worker i uses coordinate j [n, d], and L_i [n]."""
    return Sparsity(
        spread=float(used.sum(axis=0).max()),
        support=float(used.sum(axis=1).max()),
        load=float((used.T @ worker_smoothness).max()),
    )
