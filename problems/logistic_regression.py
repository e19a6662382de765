"""Logistic regression with labels -1 and +1."""

from math import factorial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems.arrays import check_size
from problems.datasets import Labels
from problems.errors import InvalidInput
from problems.linear_prediction import LinearPrediction, RegularizerKind
from problems.profiles import Profile
from problems.pytrees import frozen_pytree
from problems.regularizers import make_regularizer
from problems.sample_recipes import curvatures_beside, rare_features, shared_features
from problems.shards import Shards, Stack

__all__ = ["LogisticRegression"]

# Changes of a prediction below this are small: _expm1 is exact to rounding there.
SMALL_CHANGE = 0.25
# Below this, the Euler-Maclaurin formula with two terms is.
SHORT_CHANGE = 0.1


@frozen_pytree
class LogisticRegression(LinearPrediction):
    """f_i(x) = (1/m_i) sum_j log(1 + exp(-y_ij a_ij'x)) + r(x), with labels y_ij in {-1, +1}.

    L_i = lambda_max(A_i'A_i) / (4 m_i) + sup r'' exactly. Strongly convex with the strength of the l2 regulariser, and
    bounded below by 0 where the minimum is not known. The features are stored with the labels folded in (y_ij a_ij).
    """

    recipes: ClassVar = {
        "logistic-regression": "from_dataset",
        "rare-features-logistic": "rare_features",
        "shared-features-logistic": "shared_features",
    }
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
        return cls._from_shards(shards.scaled(shards.targets), regularizer, strength)

    @classmethod
    def rare_features(
        cls,
        workers: int,
        dim: int,
        features_per_worker: int,
        samples: int = 10,
        mean_smoothness: float = 1.0,
        smoothness_ratio: float = 1.0,
        profile: Profile = "one-large",
        seed: int = 0,
    ) -> "LogisticRegression":
        """Sparse logistic regression without a regulariser, for the theory of rare features (arXiv 2305.15264).

        Worker i uses exactly r = features_per_worker of the d coordinates, and every coordinate belongs to floor or
        ceil of n r / d workers, so that c = ceil(n r / d). The nonzero features are normal and the labels drawn from
        a logistic model; then the rows of every worker are scaled, so that L_AM = mean_smoothness and
        L_QM / L_AM = smoothness_ratio hold to rounding error. L follows; it is at most c L_max / n.

        Args:
            workers: n.
            dim: d; where n r < d, some coordinates belong to no worker and f does not depend on them.
            features_per_worker: r <= d.
            samples: m of every worker.
            mean_smoothness: L_AM > 0.
            smoothness_ratio: L_QM / L_AM >= 1, below sqrt(n) (slightly less for "geometric").
            profile: how the L_i differ: "one-large" (one large worker, the others equal), "geometric" or
                "power-law".
            seed: of the random draw.

        Raises:
            InvalidInput: a number out of its range.
        """
        curvature = mean_smoothness / cls.curvature
        made = rare_features(workers, dim, features_per_worker, samples, curvature, smoothness_ratio, profile, seed)
        return cls.from_arrays(*made)

    @classmethod
    def shared_features(
        cls,
        workers: int,
        dim: int,
        samples: int = 10,
        mean_smoothness: float = 1.0,
        smoothness_ratio: float = 1.0,
        profile: Profile = "one-large",
        regularizer: RegularizerKind = "l2",
        strength: float = 0.05,
        seed: int = 0,
    ) -> "LogisticRegression":
        """Logistic regression whose workers differ in scale: L_AM = L, while L_QM / L_AM is as prescribed.

        Worker i holds the features s_i B, with a standard normal B [m, d] that all share, and labels of its own by
        fair coins. The Hessians at 0 are multiples of one matrix, so that L = L_AM = mean_smoothness and
        L_QM / L_AM = smoothness_ratio hold to rounding error. Elsewhere f bends less than L, and a worker with a
        large s_i less than others: the local curvature may change with the ratio although L does not.

        Args:
            workers: n.
            dim: d.
            samples: m of every worker.
            mean_smoothness: L_AM, above the regulariser's largest curvature (l2: strength, nonconvex: 2 strength).
            smoothness_ratio: L_QM / L_AM >= 1; at most sqrt(n) without a regulariser, less with one.
            profile: how the scales differ, in terms of L_i without the regulariser: "one-large" (one large worker,
                the others equal), "geometric" or "power-law".
            regularizer, strength: "none", "l2" (strength |x|^2/2) or "nonconvex" (strength sum_j x_j^2/(1+x_j^2)).
            seed: of the random draw.

        Raises:
            InvalidInput: a number out of its range, or constants that no such problem has.
        """
        check_size("features", workers, samples, dim)
        offset = make_regularizer(regularizer, strength).highest_curvature
        curvatures = curvatures_beside(offset, workers, mean_smoothness, smoothness_ratio, profile)
        made = shared_features(workers, dim, samples, curvatures / cls.curvature, seed)
        return cls.from_arrays(*made, regularizer, strength)

    @staticmethod
    def phi(predictions: Array, targets: Array) -> Array:
        return _log_loss(predictions)

    @staticmethod
    def phi_slope(predictions: Array, targets: Array) -> Array:
        # one chain of operations, which XLA computes in one pass; accurate relative to itself until exp overflows
        return -1 / (1 + jnp.exp(predictions))

    @staticmethod
    def phi_difference(predictions: Array, changes: Array, targets: Array) -> Array:
        # With p = sigmoid(-z) and q = sigmoid(z), phi(z + c) - phi(z) = log(q + p exp(-c)) = log(1 + p (exp(-c) - 1)).
        # The second form is exact to rounding for small changes c, where the first cancels. For large ones the first
        # is used, with exp(-c) taken out of the logarithm where it might overflow. XLA's expm1 and log1p are several
        # times slower on a CPU than these forms, and this function is the larger part of what checking costs.
        p, q = _sigmoids(predictions)
        size = jnp.abs(changes)
        small, decay = size < SMALL_CHANGE, jnp.exp(-size)
        growth = p * _expm1(jnp.where(small, -changes, 0))
        argument = jnp.where(small, 1 + growth, jnp.where(changes > 0, q + p * decay, p + q * decay))
        representable = argument > jnp.finfo(argument.dtype).tiny
        logarithm = jnp.log(jnp.where(representable, argument, 1))
        # Kahan's log1p: the rounding of 1 + growth cancels in the quotient
        rounded = argument - 1
        precise = jnp.where(rounded == 0, growth, logarithm * growth / jnp.where(rounded == 0, 1, rounded))
        # where all of this underflows, both ends are so far out that phi(z) = max(-z, 0) there
        far_out = jnp.maximum(-predictions - changes, 0) - jnp.maximum(-predictions, 0)
        large = jnp.where(representable, logarithm + jnp.maximum(-changes, 0), far_out)
        return jnp.where(small, precise, large)

    def remember(self, x: Array) -> Array:
        """The predictions, [n, m]."""
        return self.shards.predictions(x)

    def data_rest(self, start: Array, end: Array) -> Array:
        # The rest of the trapezoidal rule is of third order in the change c of a prediction, so that it does not suffer
        # from the rounding of c = end - start, as a loss difference made of c would. Small c: the Euler-Maclaurin
        # formula with the derivatives v = p q and v (1 - 6 v) of the slope -p; its next term is below 1e-9 c^2. Large
        # c: phi(z) = max(-z, 0) - log m with m = max(p, q).
        slope, slope_end = (self.phi_slope(z, self.shards.targets) for z in (start, end))
        change = end - start
        v, v_end = -slope * (1 + slope), -slope_end * (1 + slope_end)
        fourth = v_end * (1 - 6 * v_end) - v * (1 - 6 * v)
        small = change**2 * (change**2 * fourth / 720 - (v_end - v) / 12)
        larger, larger_end = jnp.maximum(-slope, 1 + slope), jnp.maximum(-slope_end, 1 + slope_end)
        kinks = jnp.maximum(-end, 0) - jnp.maximum(-start, 0)
        large = kinks + jnp.log(larger / larger_end) - (slope + slope_end) * change / 2
        return self.shards.mean(jnp.where(jnp.abs(change) < SHORT_CHANGE, small, large))

    def _guess(self) -> np.ndarray:
        return np.zeros(self.dim)

    @property
    def strong_convexity(self) -> float | None:
        curvature = self.regularizer.lowest_curvature
        return curvature if curvature > 0 else None

    @property
    def pl_constant(self) -> float | None:
        return self.strong_convexity

    @property
    def worker_strong_convexity(self) -> float | None:
        return self.strong_convexity


@jax.custom_jvp
def _log_loss(z: Array) -> Array:
    """log(1 + exp(-z)) without overflow, several times faster on a CPU than logaddexp."""
    return jnp.log(1 + jnp.exp(-jnp.abs(z))) + jnp.maximum(-z, 0)


@_log_loss.defjvp
def _log_loss_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # by hand, because abs and maximum have a kink at z = 0 that the function does not have
    return _log_loss(*primals), -_sigmoids(*primals)[0] * tangents[0]


@jax.custom_jvp
def _sigmoids(z: Array) -> tuple[Array, Array]:
    """sigmoid(-z) and sigmoid(z), both accurate relative to themselves."""
    tail = jnp.exp(-jnp.abs(z))
    larger = 1 / (1 + tail)
    smaller = tail * larger
    return jnp.where(z > 0, smaller, larger), jnp.where(z > 0, larger, smaller)


@_sigmoids.defjvp
def _sigmoids_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    p, q = _sigmoids(*primals)
    change = p * q * tangents[0]
    return (p, q), (-change, change)


def _expm1(x: Array) -> Array:
    """exp(x) - 1 for |x| <= SMALL_CHANGE, by its Taylor polynomial of degree 11, with an error below 1e-15 |x|."""
    value = jnp.zeros_like(x)
    for k in range(11, 0, -1):
        value = value * x + 1 / factorial(k)
    return value * x
