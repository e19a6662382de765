"""Eigenvalues on the host, from which the exact constants come."""

import numpy as np

__all__ = ["largest_gram_eigenvalues", "smallest_nonzero"]


def largest_gram_eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """lambda_max(B_i' B_i) of every B_i, through the smaller of B_i' B_i and B_i B_i'. [n, m, d] -> [n]."""
    transposed = np.swapaxes(matrices, 1, 2)
    small = matrices @ transposed if matrices.shape[1] < matrices.shape[2] else transposed @ matrices
    return np.maximum(np.linalg.eigvalsh(small)[:, -1], 0.0)


def smallest_nonzero(values: np.ndarray) -> float | None:
    """The smallest eigenvalue (or singular value) above rounding error, None where all are zero. [d].

    They carry an error of about d eps times the largest one; whatever is below ten times that counts as zero.
    """
    noise = 10 * len(values) * np.finfo(float).eps * float(np.max(np.abs(values)))
    positive = values[values > noise]
    return float(positive.min()) if len(positive) else None
