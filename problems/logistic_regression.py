"""Logistic regression with labels -1 and +1."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems.datasets import Labels
from problems.errors import InvalidInput
from problems.linear_prediction import LinearPrediction, RegularizerKind
from problems.pytrees import frozen_pytree
from problems.shards import Shards, Stack

__all__ = ["LogisticRegression"]


@frozen_pytree
class LogisticRegression(LinearPrediction):
    """f_i(x) = (1/m_i) sum_j log(1 + exp(-y_ij a_ij'x)) + r(x), with labels y_ij in {-1, +1}.

    L_i = lambda_max(A_i'A_i) / (4 m_i) + sup r'' exactly. Strongly convex with the strength of the l2 regulariser, and
    bounded below by 0 where the minimum is not known. The features are stored with the labels folded in (y_ij a_ij).
    """

    recipes: ClassVar = {"logistic-regression": "from_dataset"}
    curvature = 0.25
    label_kind: ClassVar[Labels] = "binary"

    @classmethod
    def from_arrays(
        cls, features: Stack, targets: Stack, regularizer: RegularizerKind = "none", strength: float = 0.0
    ) -> "LogisticRegression":
        """The problem on features [n, m, d] and labels [n, m] in {-1, +1}, or on lists of n arrays [m_i, d] and [m_i].

        Raises:
            InvalidInput: shapes that do not fit, other labels, entries that are not finite, or an unknown regulariser.
        """
        shards = Shards.from_arrays(features, targets)
        labels = np.asarray(shards.targets)
        odd = labels[(np.abs(labels) != 1) & (np.asarray(shards.weights) > 0)]
        if odd.size:
            raise InvalidInput(f"labels must be -1 or +1, not {odd[0]:g}")
        folded = shards._replace(features=shards.features * shards.targets[:, :, None])
        return cls._from_shards(folded, regularizer, strength)

    @staticmethod
    def phi(predictions: Array, targets: Array) -> Array:
        # log(1 + exp(-z)) without overflow, and several times faster on a CPU than logaddexp
        return jnp.log(1 + jnp.exp(-jnp.abs(predictions))) + jnp.maximum(-predictions, 0)

    @staticmethod
    def phi_slope(predictions: Array, targets: Array) -> Array:
        return -jax.nn.sigmoid(-predictions)

    @staticmethod
    def phi_difference(predictions: Array, changes: Array, targets: Array) -> Array:
        # (1 + exp(-z-c)) / (1 + exp(-z)) = 1 + sigmoid(-z) (exp(-c) - 1): exact to rounding for small changes c, where
        # subtracting would cancel; for large ones subtracting loses nothing and the other form might overflow.
        phi = LogisticRegression.phi
        small = jnp.abs(changes) < 1
        bounded = jnp.where(small, changes, 0)
        precise = jnp.log1p(jax.nn.sigmoid(-predictions) * jnp.expm1(-bounded))
        return jnp.where(small, precise, phi(predictions + changes, targets) - phi(predictions, targets))

    @property
    def strong_convexity(self) -> float | None:
        curvature = self.regularizer.lowest_curvature
        return curvature if curvature > 0 else None

    @property
    def pl_constant(self) -> float | None:
        return self.strong_convexity
