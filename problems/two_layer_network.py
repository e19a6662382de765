"""A network with one hidden layer: nonconvex, with smoothness constants that are only estimated."""

from dataclasses import replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems.arrays import check_size
from problems.curvature import hessian_norm
from problems.datasets import load_dataset
from problems.partition import Remainder, Split, partition
from problems.problem import FiniteSum, Sparsity
from problems.pytrees import frozen_pytree, static
from problems.ranges import check_count
from problems.scaling import Scaling, scale_features
from problems.shards import Shards, Stack, deal

__all__ = ["TwoLayerNetwork", "estimation_points", "tanh_difference"]

# Standard deviations of the normal parameters at which curvatures are looked at, as often as POINTS_PER_SCALE says.
SCALES = (0.1, 0.3, 1.0)
POINTS_PER_SCALE = 4
NUM_POINTS = 2 * len(SCALES) * POINTS_PER_SCALE + 1  # with the origin and the midpoints
ESTIMATE_SEED = 0


@frozen_pytree
class TwoLayerNetwork(FiniteSum):
    """f_i(x) = (1/m_i) sum_j (a'tanh(W u_ij + b) + b_0 - t_ij)^2 / 2, with x = (W by rows, b, a, b_0).

    W is [h, p] for h hidden units and p features, so that d = h (p + 2) + 1. The gradient has no Lipschitz constant on
    all of R^d: L, L_i and what follows from them are ESTIMATES (`certified` is False, no theorem applies). They are the
    largest norm of the Hessian (by power iteration, from below) at the origin, at random points with parameters of
    standard deviation 0.1, 0.3 and 1, and at the midpoints of the segments between successive points, with no safety
    factor. Further out the curvature is larger. The origin is a stationary point up to the bias b_0: start elsewhere.
    """

    recipes: ClassVar = {"two-layer-network": "from_dataset"}
    certified = False

    shards: Shards
    smoothness: Array  # []
    worker_smoothness: Array  # [n]
    sample_smoothness_estimates: Array  # of every f_ij, 0 for padding, [n, m]
    hidden: int = static()

    @classmethod
    def from_arrays(cls, features: Stack, targets: Stack, hidden: int = 8) -> "TwoLayerNetwork":
        """The problem on features [n, m, p] and targets [n, m], or on lists of n arrays [m_i, p] and [m_i].

        Raises:
            InvalidInput: shapes that do not fit, entries that are not finite, or fewer than one hidden unit.
        """
        check_count("hidden", hidden, 1)
        shards = Shards.from_arrays(features, targets)
        check_size("values of the hidden units", *shards.weights.shape, hidden)
        check_size("points at which curvatures are looked at,", NUM_POINTS, hidden, shards.features.shape[2] + 2)
        unknown = cls(shards, jnp.zeros(()), jnp.zeros(len(shards.weights)), jnp.zeros_like(shards.weights), hidden)
        mean, own, samples = _largest_curvatures(unknown, estimation_points(unknown.dim))
        return cls(shards, mean, own, samples, hidden)

    @classmethod
    def from_dataset(
        cls,
        dataset: str,
        workers: int,
        hidden: int = 8,
        scaling: Scaling = "none",
        split: Split = "contiguous",
        remainder: Remainder = "drop",
        concentration: float = 1.0,
        split_seed: int = 0,
    ) -> "TwoLayerNetwork":
        """The problem on a data set, dealt to n workers. Two label values become the targets -1 and +1.

        Args:
            dataset: a name or a path, see `load_dataset`.
            workers: n.
            hidden: h, the number of hidden units.
            scaling: of the features, see `scale_features`; before the split.
            split, remainder, concentration, split_seed: who gets which sample, see `partition`.

        Raises:
            InvalidInput: any of these names or numbers is not acceptable, or the data are not.
        """
        data = load_dataset(dataset, "any")
        owners = partition(data.labels, workers, split, remainder, split_seed, concentration)
        return cls.from_arrays(*deal(scale_features(data.features, scaling), data.labels, owners), hidden)

    @property
    def dim(self) -> int:
        return self.hidden * (self.shards.features.shape[2] + 2) + 1

    @property
    def num_workers(self) -> int:
        return self.shards.features.shape[0]

    def _split(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """W [h, p], b [h], a [h] and b_0 [] from x [d]."""
        h = self.hidden
        weights, biases, outer = jnp.split(x[:-1], (len(x) - 1 - 2 * h, len(x) - 1 - h))
        return weights.reshape(h, -1), biases, outer, x[-1]

    def _inputs(self, x: Array) -> Array:
        """W u_ij + b, or with a step as x its change. [d] -> [n, m, h]."""
        weights, biases, _, _ = self._split(x)
        return self.shards.features @ weights.T + biases[None, None, :]

    def _residuals(self, x: Array) -> Array:
        """Predictions less targets. [d] -> [n, m]."""
        _, _, outer, offset = self._split(x)
        return jnp.tanh(self._inputs(x)) @ outer + offset - self.shards.targets

    def worker_losses(self, x: Array) -> Array:
        return self.shards.average(0.5 * self._residuals(x) ** 2)

    def worker_gradients(self, x: Array) -> Array:
        return self.weighted_gradients(x, self.shards.weights)

    def weighted_gradients(self, x: Array, weights: Array) -> Array:
        if x.ndim == 2:
            return jax.vmap(self._gradient_of_one)(self.shards, x, weights)
        _, _, outer, _ = self._split(x)
        active = jnp.tanh(self._inputs(x))
        pulls = weights * (active @ outer + x[-1] - self.shards.targets)  # w_ij residual_ij, [n, m]
        behind = pulls[:, :, None] * outer[None, None, :] * (1 - active**2)  # [n, m, h]
        by_weights = jnp.einsum("nmh,nmp->nhp", behind, self.shards.features)
        parts = (
            by_weights.reshape(len(pulls), -1),
            jnp.sum(behind, axis=1),
            jnp.einsum("nm,nmh->nh", pulls, active),
            jnp.sum(pulls, axis=1, keepdims=True),
        )
        return jnp.concatenate(parts, axis=1)

    def _gradient_of_one(self, shard: Shards, x: Array, weights: Array) -> Array:
        """The gradient of one worker, whose samples the shard holds without the axis of the workers. -> [d]."""
        alone = replace(self, shards=jax.tree.map(lambda leaf: leaf[None], shard))
        return alone.weighted_gradients(x, weights[None])[0]

    def loss_difference(self, x: Array, step: Array) -> Array:
        # (r + c)^2/2 - r^2/2 = c (r + c/2), where the change c of a prediction is formed without cancellation
        _, _, outer, _ = self._split(x)
        _, _, outer_step, offset_step = self._split(step)
        inputs, changes = self._inputs(x), self._inputs(step)
        moved = tanh_difference(inputs, changes) @ outer + jnp.tanh(inputs + changes) @ outer_step + offset_step
        return self.shards.mean(moved * (self._residuals(x) + moved / 2))

    @property
    def lower_bound(self) -> float:
        return 0.0

    @property
    def pl_constant(self) -> None:
        return None

    @property
    def strong_convexity(self) -> None:
        return None

    @property
    def worker_strong_convexity(self) -> None:
        return None

    @property
    def workers_convex(self) -> bool:
        return False

    @property
    def minimizer(self) -> None:
        return None

    @property
    def mean_squared_smoothness(self) -> float:
        """L_QM, an estimate as the L_i are."""
        return float(np.sqrt(np.mean(np.asarray(self.worker_smoothness, float) ** 2)))

    @property
    def sparsity(self) -> Sparsity:
        return Sparsity(float(self.num_workers), float(self.dim), float(np.sum(np.asarray(self.worker_smoothness))))

    @property
    def sample_counts(self) -> Array:
        return jnp.sum(self.shards.weights > 0, axis=1)

    @property
    def most_samples(self) -> int:
        return self.shards.features.shape[1]

    def sample_variances(self, x: Array) -> Array:
        squares = self._residuals(x) ** 2 * self._slope_squares(x)
        means = jnp.sum(self.worker_gradients(x) ** 2, axis=1)
        return jnp.maximum(self.shards.average(squares) - means, 0.0)

    @property
    def sample_smoothness(self) -> np.ndarray:
        """max_j L_ij, with L_ij a bound of the Hessian norm of f_ij at the points of the estimate only."""
        return np.asarray(self.sample_smoothness_estimates, float).max(axis=1)

    @property
    def sample_difference_smoothness(self) -> np.ndarray:
        """sqrt((1/m_i) sum_j L_ij^2): a variance is at most the second moment. An estimate as the L_ij are."""
        squares = np.asarray(self.sample_smoothness_estimates, float) ** 2
        return np.sqrt(np.sum(np.asarray(self.shards.weights) * squares, axis=1))

    def _slope_squares(self, x: Array) -> Array:
        """|derivative of the prediction of sample j in x|^2. [d] -> [n, m]."""
        _, _, outer, _ = self._split(x)
        active = jnp.tanh(self._inputs(x))
        behind = (1 - active**2) * outer[None, None, :]
        lengths = 1 + jnp.sum(self.shards.features**2, axis=2)
        return lengths * jnp.sum(behind**2, axis=2) + jnp.sum(active**2, axis=2) + 1

    def _sample_curvatures(self, x: Array) -> Array:
        """A bound of the Hessian norm of every f_ij at x; 0 for padding. [d] -> [n, m].

        The Hessian is s s' + residual B with the slope s and the Hessian B of the prediction, whose blocks, one a
        hidden unit, have the eigenvalues of [[a tanh'' l^2, tanh' l], [tanh' l, 0]] with l^2 = |u|^2 + 1.
        """
        _, _, outer, _ = self._split(x)
        active = jnp.tanh(self._inputs(x))
        slopes = 1 - active**2
        squares = (1 + jnp.sum(self.shards.features**2, axis=2))[:, :, None]
        half = jnp.abs(outer[None, None, :] * active * slopes) * squares  # |a tanh''| l^2 / 2
        blocks = half + jnp.sqrt(half**2 + slopes**2 * squares)
        norms = self._slope_squares(x) + jnp.abs(self._residuals(x)) * jnp.max(blocks, axis=2)
        return jnp.where(self.shards.weights > 0, norms, 0.0)


def estimation_points(dim: int) -> Array:
    """Where the curvature is looked at: the origin, random points, and midpoints of successive ones. -> [25, d]."""
    rng = np.random.default_rng(ESTIMATE_SEED)
    scales = np.repeat(SCALES, POINTS_PER_SCALE)
    ends = np.concatenate([np.zeros((1, dim)), scales[:, None] * rng.standard_normal((len(scales), dim))])
    return jnp.asarray(np.concatenate([ends, (ends[1:] + ends[:-1]) / 2]))


@jax.jit
def _largest_curvatures(problem: TwoLayerNetwork, points: Array) -> tuple[Array, Array, Array]:
    """The largest over the points [k, d] of the Hessian norms of f [], of the f_i [n], and of the f_ij [n, m]."""

    def at(x: Array) -> tuple[Array, Array, Array]:
        workers = jax.tree.map(lambda array: array[:, None], problem.shards)  # n problems of a single worker
        own = jax.vmap(lambda shards: hessian_norm(replace(problem, shards=shards).gradient, x))(workers)
        return hessian_norm(problem.gradient, x), own, problem._sample_curvatures(x)

    return jax.tree.map(lambda found: jnp.max(found, axis=0), jax.lax.map(at, points))


def tanh_difference(z: Array, change: Array) -> Array:
    """tanh(z + change) - tanh(z), accurate relative to itself where |change| < 1, else to 1. -> the shape of z."""
    small = jnp.abs(change) < 1
    step = jnp.where(small, change, 0.0)
    # sinh(c) / (cosh(z) cosh(z + c)) cannot overflow where |c| < 1
    return jnp.where(small, jnp.sinh(step) * _sech(z) * _sech(z + step), jnp.tanh(z + change) - jnp.tanh(z))


def _sech(z: Array) -> Array:
    tail = jnp.exp(-jnp.abs(z))
    return 2 * tail / (1 + tail**2)
