"""Linear least squares."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jax import Array

from problems.datasets import Labels
from problems.linear_prediction import LinearPrediction, RegularizerKind
from problems.profiles import Profile
from problems.pytrees import frozen_pytree
from problems.regularizers import make_regularizer
from problems.sample_recipes import regression_samples
from problems.shards import Shards, Stack
from problems.spectra import rounding_level, smallest_nonzero

__all__ = ["LeastSquares"]


@frozen_pytree
class LeastSquares(LinearPrediction):
    """f_i(x) = |A_i x - t_i|^2 / (2 m_i) + r(x).

    L_i = lambda_max(A_i'A_i) / m_i + sup r'' exactly. Without a regulariser f is PL with the smallest nonzero
    eigenvalue of the Hessian, strongly convex or not (exactly); with one, mu = lambda_min + inf r'' is a proven lower
    bound of the curvature where it is positive (exact for l2).
    """

    recipes: ClassVar = {"least-squares": "from_dataset", "nonconvex-regression": "nonconvex_regression"}
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

    @classmethod
    def nonconvex_regression(
        cls,
        workers: int = 2000,
        dim: int = 10,
        samples: int = 10,
        mean_smoothness: float = 50.0,
        smoothness_variance: float = 5e3,
        strength: float = 0.1,
        profile: Profile = "one-large",
        seed: int = 0,
    ) -> "LeastSquares":
        """Synthetic regression with the nonconvex regulariser, after Error Feedback Reloaded (arXiv 2402.10774).

        f_i(x) = |A_i x - t_i|^2 / (2 m) + strength sum_j x_j^2 / (1 + x_j^2), with normal A_i and t_i. Each A_i is
        scaled, so that L_i = lambda_max(A_i'A_i) / m + 2 strength have the mean L_AM and the variance L_var as given,
        to rounding error. The paper has n = 2000, d = 10, m = 10 and L_var from about 5e3 to 4e6; how it draws and
        scales its data is not repeated here, nor is its factor before the squares. An f_i with few samples, or with
        strength large beside L_i, is not convex; the mean f may still be strongly convex, see `strong_convexity`.

        Args:
            workers: n.
            dim: d.
            samples: m of every worker.
            mean_smoothness: L_AM > 0.
            smoothness_variance: L_var = L_QM^2 - L_AM^2, from 0 to L_AM^2 (n - 1) (less for "geometric").
            strength: of the regulariser, > 0; 2 strength is at most the smallest L_i.
            profile: how the L_i differ: "one-large" (one large worker, the others equal), "geometric" or
                "power-law".
            seed: of the random draw.

        Raises:
            InvalidInput: a number out of its range, or constants that no such problem has.
        """
        offset = make_regularizer("nonconvex", strength).highest_curvature
        made = regression_samples(workers, dim, samples, mean_smoothness, smoothness_variance, offset, profile, seed)
        return cls.from_arrays(*made, "nonconvex", strength)

    @staticmethod
    def phi(predictions: Array, targets: Array) -> Array:
        return 0.5 * (predictions - targets) ** 2

    @staticmethod
    def phi_slope(predictions: Array, targets: Array) -> Array:
        return predictions - targets

    @staticmethod
    def phi_difference(predictions: Array, changes: Array, targets: Array) -> Array:
        return changes * (predictions - targets + changes / 2)

    def data_rest(self, start: Any, end: Any) -> float:
        return 0.0

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
    def worker_strong_convexity(self) -> float | None:
        curvature = self._least_worker_eigenvalue + self.regularizer.lowest_curvature
        return curvature if curvature > 0 else None

    @cached_property
    def _least_worker_eigenvalue(self) -> float:
        """The smallest eigenvalue of all A_i'A_i / m_i, 0 where it is at the level of rounding."""
        rows = self.shards.weighted_rows()
        lowest = np.linalg.eigvalsh(np.swapaxes(rows, 1, 2) @ rows)[:, 0]
        return float(
            np.where(lowest > rounding_level(self.dim, float(np.max(self.worker_smoothness))), lowest, 0.0).min()
        )

    @property
    def pl_constant(self) -> float | None:
        if self.regularizer.highest_curvature > 0:
            return self.strong_convexity
        positive = self._smallest_singular_value
        return None if positive is None else positive**2

    @property
    def _smallest_singular_value(self) -> float | None:
        return smallest_nonzero(self._singular_values, float(self._singular_values[0]))
