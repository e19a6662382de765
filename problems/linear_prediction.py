"""Problems on samples whose loss sees x only through the predictions a_ij'x."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems.datasets import Labels, load_dataset
from problems.newton import minimize_to_rounding
from problems.partition import Remainder, Split, partition
from problems.problem import Evaluation, FiniteSum, Sparsity, trapezoid
from problems.pytrees import frozen_pytree
from problems.regularizers import Regularizer, make_regularizer
from problems.scaling import Scaling, scale_features
from problems.shards import Shards, Stack, deal
from problems.sparsity import sparsity_of
from problems.spectra import largest_gram_eigenvalues

__all__ = ["LinearPrediction", "RegularizerKind"]

RegularizerKind = Literal["none", "l2", "nonconvex"]


@frozen_pytree
class LinearPrediction(FiniteSum):
    """f_i(x) = (1/m_i) sum_j phi(a_ij'x, t_ij) + r(x), where worker i holds the m_i samples (a_ij, t_ij).

    f is the mean of the f_i, so that samples of a worker with few of them weigh more. A subclass brings phi, convex in
    the prediction, with phi'' at most `curvature` and equal to it at x = 0. Since the regularisers bend most at 0 too,
    L_i = curvature lambda_max(A_i'A_i) / m_i + sup r'' is the norm of the Hessian of f_i at 0: exact, and so is L.
    """

    shards: Shards
    regularizer: Regularizer
    smoothness: Array  # []
    worker_smoothness: Array  # [n]

    curvature: ClassVar[float]
    label_kind: ClassVar[Labels]

    @classmethod
    @abstractmethod
    def from_arrays(
        cls, features: Stack, targets: Stack, regularizer: RegularizerKind = "none", strength: float = 0.0
    ) -> Self:
        """The problem on the given samples."""

    @classmethod
    def from_dataset(
        cls,
        dataset: str,
        workers: int,
        scaling: Scaling = "none",
        split: Split = "contiguous",
        remainder: Remainder = "drop",
        concentration: float = 1.0,
        split_seed: int = 0,
        intercept: bool = False,
        regularizer: RegularizerKind = "none",
        strength: float = 0.0,
    ) -> Self:
        """The problem on a data set, dealt to n workers.

        Args:
            dataset: a name or a path, see `load_dataset`.
            workers: n.
            scaling: of the features, see `scale_features`; before the split and before the column of ones.
            split, remainder, concentration, split_seed: who gets which sample, see `partition`.
            intercept: whether to append a column of ones to the features.
            regularizer, strength: "none", "l2" (strength |x|^2/2) or "nonconvex" (strength sum_j x_j^2/(1+x_j^2)).

        Raises:
            InvalidInput: any of these names or numbers is not acceptable, or the data are not.
        """
        data = load_dataset(dataset, cls.label_kind)
        features = scale_features(data.features, scaling)
        if intercept:
            features = np.column_stack([features, np.ones(len(features))])
        owners = partition(data.labels, workers, split, remainder, split_seed, concentration)
        return cls.from_arrays(*deal(features, data.labels, owners), regularizer, strength)

    @classmethod
    def _from_shards(cls, shards: Shards, regularizer: RegularizerKind, strength: float) -> Self:
        r, rows = make_regularizer(regularizer, strength), shards.weighted_rows()
        together = rows.reshape(1, -1, rows.shape[2]) / np.sqrt(len(rows))
        return cls(
            shards=shards,
            regularizer=r,
            smoothness=jnp.asarray(cls.curvature * largest_gram_eigenvalues(together)[0] + r.highest_curvature),
            worker_smoothness=jnp.asarray(cls.curvature * largest_gram_eigenvalues(rows) + r.highest_curvature),
        )

    @staticmethod
    @abstractmethod
    def phi(predictions: Array, targets: Array) -> Array:
        """The loss of every sample, >= 0. [n, m], [n, m] -> [n, m]."""

    @staticmethod
    @abstractmethod
    def phi_slope(predictions: Array, targets: Array) -> Array:
        """The derivative of phi in the prediction. [n, m], [n, m] -> [n, m]."""

    @staticmethod
    @abstractmethod
    def phi_difference(predictions: Array, changes: Array, targets: Array) -> Array:
        """phi(prediction + change) - phi(prediction) without cancellation. Three times [n, m] -> [n, m]."""

    @property
    def dim(self) -> int:
        return self.shards.features.shape[2]

    @property
    def num_workers(self) -> int:
        return self.shards.features.shape[0]

    def worker_losses(self, x: Array) -> Array:
        losses = self.phi(self.shards.predictions(x), self.shards.targets)
        return self.shards.average(losses) + self.regularizer.value(x)

    def worker_gradients(self, x: Array) -> Array:
        slopes = self.phi_slope(self.shards.predictions(x), self.shards.targets)
        return self.shards.average_pull(slopes) + self.regularizer.gradient(jnp.atleast_2d(x))

    def loss_difference(self, x: Array, step: Array) -> Array:
        changes = self.phi_difference(self.shards.predictions(x), self.shards.predictions(step), self.shards.targets)
        return self.shards.mean(changes) + self.regularizer.difference(x, step)

    def loss_change(self, start: Evaluation, end: Evaluation) -> Array:
        # the trapezoidal rule on the gradients, and what it leaves: of the data term, and of the regulariser
        slopes = self.regularizer.gradient(start.x) + self.regularizer.gradient(end.x)
        step = end.x - start.x
        rest = self.regularizer.difference(start.x, step) - slopes @ step / 2
        return trapezoid(start, end) + rest + self.data_rest(start.memory, end.memory)

    @abstractmethod
    def data_rest(self, start: Any, end: Any) -> Array | float:
        """What the trapezoidal rule leaves of the change of the data term between two remembered points. -> []."""

    @property
    def minimizer(self) -> np.ndarray | None:
        return None if self.pl_constant is None else self._minimizer

    @cached_property
    def _minimizer(self) -> np.ndarray:
        return minimize_to_rounding(self, self._guess())

    @abstractmethod
    def _guess(self) -> np.ndarray:
        """Where to start looking for a minimiser. [d]."""

    @property
    def lower_bound(self) -> float:
        # phi and r are not negative, so 0 is certified where the minimum is not known
        return 0.0 if self.minimum is None else self.minimum

    @property
    def workers_convex(self) -> bool:
        return self.regularizer.lowest_curvature >= 0

    @property
    def mean_squared_smoothness(self) -> float:
        """A bound of L_+: sqrt(max_j (1/n) sum_{i uses coordinate j} L_i^2) <= min{L_QM, sqrt(c/n) L_max}.

        For sum_i |grad f_i(x) - grad f_i(y)|^2 <= sum_i L_i^2 sum_{j in J_i} (x_j - y_j)^2; sum over i first.
        """
        squares = np.asarray(self.worker_smoothness, float) ** 2
        return float(np.sqrt(np.max(squares @ self._used) / self.num_workers))

    @property
    def sparsity(self) -> Sparsity:
        return sparsity_of(self._used, np.asarray(self.worker_smoothness))

    @cached_property
    def _used(self) -> np.ndarray:
        """Whether f_i depends on coordinate j. [n, d]."""
        return np.any(np.asarray(self.shards.features) != 0, axis=1) | (self.regularizer.highest_curvature > 0)

    @property
    def sample_counts(self) -> Array:
        return jnp.sum(self.shards.weights > 0, axis=1)

    @property
    def most_samples(self) -> int:
        return self.shards.features.shape[1]

    def weighted_gradients(self, x: Array, weights: Array) -> Array:
        slopes = self.phi_slope(self.shards.predictions(x), self.shards.targets)
        return self.shards.pull_back(weights * slopes) + self.regularizer.gradient(jnp.atleast_2d(x))

    def sample_variances(self, x: Array) -> Array:
        slopes = self.phi_slope(self.shards.predictions(x), self.shards.targets)
        lengths = jnp.sum(self.shards.features**2, axis=2)
        squares = self.shards.average(slopes**2 * lengths)
        return jnp.maximum(squares - jnp.sum(self.shards.average_pull(slopes) ** 2, axis=1), 0.0)

    @property
    def sample_smoothness(self) -> np.ndarray:
        rows = np.sum(np.asarray(self.shards.features, float) ** 2, axis=2)
        return self.curvature * rows.max(axis=1) + self.regularizer.highest_curvature

    @property
    def sample_difference_smoothness(self) -> np.ndarray:
        # |D_ij| <= curvature |a_ij| |a_ij'(x - y)|, and a variance is at most the second moment
        lengths = np.linalg.norm(np.asarray(self.shards.features, float), axis=2, keepdims=True)
        return self.curvature * np.sqrt(largest_gram_eigenvalues(lengths * self.shards.weighted_rows()))
