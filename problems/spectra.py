"""Eigenvalues on the host, from which the exact constants come."""

import numpy as np

__all__ = ["eigenvalues", "largest_gram_eigenvalues", "rounding_level", "smallest_nonzero"]


def eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """Of symmetric matrices [n, d, d], or diagonals [n, d]. -> [n, d]."""
    return np.linalg.eigvalsh(matrices) if matrices.ndim == 3 else matrices


def largest_gram_eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """lambda_max(B_i' B_i) of every B_i, through the smaller of B_i' B_i and B_i B_i'. [n, m, d] -> [n]."""
    transposed = np.swapaxes(matrices, 1, 2)
    small = matrices @ transposed if matrices.shape[1] < matrices.shape[2] else transposed @ matrices
    return np.maximum(np.linalg.eigvalsh(small)[:, -1], 0.0)


def rounding_level(dim: int, scale: float) -> float:
    """What rounding may do to an eigenvalue (or singular value) of a d x d matrix summed from parts of size `scale`.

    About d eps times the scale, taken ten times.
    """
    return 10 * dim * float(np.finfo(float).eps) * scale


def smallest_nonzero(values: np.ndarray, scale: float) -> float | None:
    """The smallest value above the rounding level, None where there is none. [d]."""
    positive = values[values > rounding_level(len(values), scale)]
    return float(positive.min()) if len(positive) else None
