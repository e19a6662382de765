"""Linear least squares."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from jax import Array

from problems.datasets import Labels
from problems.linear_prediction import LinearPrediction, RegularizerKind
from problems.pytrees import frozen_pytree
from problems.shards import Shards, Stack
from problems.spectra import smallest_nonzero

__all__ = ["LeastSquares"]


@frozen_pytree
class LeastSquares(LinearPrediction):
    """f_i(x) = |A_i x - t_i|^2 / (2 m_i) + r(x).

    L_i = lambda_max(A_i'A_i) / m_i + sup r'' exactly. Without a regulariser f is PL with the smallest nonzero
    eigenvalue of the Hessian, strongly convex or not (exactly); with one, mu = lambda_min + inf r'' is a proven lower
    bound of the curvature where it is positive (exact for l2).
    """

    recipes: ClassVar = {"least-squares": "from_dataset"}
    curvature = 1.0
    label_kind: ClassVar[Labels] = "any"

    @classmethod
    def from_arrays(
        cls, features: Stack, targets: Stack, regularizer: RegularizerKind = "none", strength: float = 0.0
    ) -> "LeastSquares":
        """The problem on features [n, m, d] and targets [n, m], or on lists of n arrays [m_i, d] and [m_i].

        Raises:
            InvalidInput: shapes that do not fit, entries that are not finite, or an unknown regulariser.
        """
        return cls._from_shards(Shards.from_arrays(features, targets), regularizer, strength)

    @staticmethod
    def phi(predictions: Array, targets: Array) -> Array:
        return 0.5 * (predictions - targets) ** 2

    @staticmethod
    def phi_slope(predictions: Array, targets: Array) -> Array:
        return predictions - targets

    @staticmethod
    def phi_difference(predictions: Array, changes: Array, targets: Array) -> Array:
        return changes * (predictions - targets + changes / 2)

    def _rows(self) -> np.ndarray:
        """One matrix B with B'B the Hessian of the data term. [n m, d]."""
        return self.shards.weighted_rows().reshape(-1, self.dim) / np.sqrt(self.num_workers)

    def _guess(self) -> np.ndarray:
        # exact without a regulariser; through B rather than B'B, which would square the condition number
        weights = np.asarray(self.shards.weights) / self.num_workers
        targets = np.sqrt(weights) * np.asarray(self.shards.targets)
        return np.linalg.lstsq(self._rows(), targets.ravel())[0]

    @cached_property
    def _singular_values(self) -> np.ndarray:
        """Of B, descending; exact zeros where B has fewer rows than columns. [d]."""
        values = np.linalg.svd(np.linalg.qr(self._rows(), mode="r"), compute_uv=False)
        return np.pad(values, (0, self.dim - len(values)))

    @property
    def strong_convexity(self) -> float | None:
        lowest, positive = self._singular_values[-1], self._smallest_singular_value
        # a singular value at the level of rounding error is none
        curvature = (float(lowest) ** 2 if lowest == positive else 0.0) + self.regularizer.lowest_curvature
        return curvature if curvature > 0 else None

    @property
    def pl_constant(self) -> float | None:
        if self.regularizer.highest_curvature > 0:
            return self.strong_convexity
        positive = self._smallest_singular_value
        return None if positive is None else positive**2

    @property
    def _smallest_singular_value(self) -> float | None:
        return smallest_nonzero(self._singular_values, float(self._singular_values[0]))
