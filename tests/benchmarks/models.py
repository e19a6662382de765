"""The problems of the benchmark, in the forms that the engine, NumPy users and JAX users give them."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import LogisticRegression, Problem, Quadratic

__all__ = ["DenseQuadratic", "DiagonalQuadratic", "Logistic", "Model"]

STRENGTH = 1e-3  # of the nonconvex regulariser
DENSITY = 0.2  # of the features
MEAN_SMOOTHNESS = 1.0  # L_AM of the quadratics


class Model(ABC):
    """f = (1/n) sum_i f_i for the engine, and the same gradients in NumPy and in JAX."""

    problem: Problem
    arrays: tuple[Array, ...]  # the data that `traced_gradients` takes
    traced_gradients: Callable[[tuple[Array, ...], Array], Array]  # of all workers in JAX: data, [d] -> [n, d]
    flops: float  # of the matrix products in one gradient of every worker, a multiply-add counting as two

    @property
    def workers(self) -> int:
        return self.problem.num_workers

    @property
    def dim(self) -> int:
        return self.problem.dim

    @property
    def data_bytes(self) -> float:
        """Of the data in float64, each number once."""
        return float(sum(array.nbytes for array in self.arrays))

    @abstractmethod
    def worker_gradient(self, worker: int, x: np.ndarray) -> np.ndarray:
        """grad f_i(x). [d] -> [d]."""

    @abstractmethod
    def gradients(self, x: np.ndarray) -> np.ndarray:
        """Those of all workers. [d] -> [n, d]."""

    @abstractmethod
    def batch_gradients(self, points: np.ndarray) -> np.ndarray:
        """Those of all workers at many points. [d, S] -> [n, d, S]."""


class Logistic(Model):
    """Logistic regression with the nonconvex regulariser, on features of which a fifth is nonzero, and normal."""

    def __init__(self, workers: int, samples: int, dim: int) -> None:
        rng = np.random.default_rng(0)
        shape = (workers, samples, dim)
        features = rng.standard_normal(shape) * (rng.random(shape) < DENSITY)
        labels = rng.choice([-1.0, 1.0], shape[:2])
        self.problem = LogisticRegression.from_arrays(features, labels, "nonconvex", STRENGTH)
        self.signed = features * labels[:, :, None]  # [n, m, d]
        self.rows = self.signed.reshape(workers * samples, dim)
        self.columns = np.swapaxes(self.signed, 1, 2).copy()  # [n, d, m], for which the batched product is faster
        self.arrays = (jnp.asarray(self.signed),)
        self.traced_gradients = _logistic_gradients
        self.flops = 4.0 * workers * samples * dim

    def worker_gradient(self, worker: int, x: np.ndarray) -> np.ndarray:
        signed = self.signed[worker]
        return _slopes(signed @ x, len(signed)) @ signed + _regularizer_gradient(x)

    def gradients(self, x: np.ndarray) -> np.ndarray:
        n, m, _ = self.signed.shape
        slopes = _slopes(self.rows @ x, m).reshape(n, 1, m)
        return (slopes @ self.signed)[:, 0] + _regularizer_gradient(x)

    def batch_gradients(self, points: np.ndarray) -> np.ndarray:
        n, m, _ = self.signed.shape
        slopes = _slopes(self.rows @ points, m).reshape(n, m, -1)
        return self.columns @ slopes + _regularizer_gradient(points)


def _slopes(predictions: np.ndarray, samples: int) -> np.ndarray:
    return -1 / (1 + np.exp(predictions)) / samples


def _regularizer_gradient(x: np.ndarray) -> np.ndarray:
    return 2 * STRENGTH * x / (1 + x**2) ** 2


def _logistic_gradients(arrays: tuple[Array, ...], x: Array) -> Array:
    (signed,) = arrays
    slopes = -jax.nn.sigmoid(-jnp.einsum("nmd,d->nm", signed, x)) / signed.shape[1]
    return jnp.einsum("nmd,nm->nd", signed, slopes) + (2 * STRENGTH * x / (1 + x**2) ** 2)[None, :]


class DenseQuadratic(Model):
    """f_i(x) = x'A_i x / 2 - b_i'x with dense A_i, whose gradient is one product."""

    def __init__(self, workers: int, dim: int) -> None:
        self.problem = Quadratic.random(workers, dim, MEAN_SMOOTHNESS, structure="dense")
        self.matrices = np.array(self.problem.matrices)  # [n, d, d]
        self.vectors = np.array(self.problem.vectors)  # [n, d]
        self.rows = self.matrices.reshape(workers * dim, dim)
        self.arrays = (jnp.asarray(self.matrices), jnp.asarray(self.vectors))
        self.traced_gradients = _dense_gradients
        self.flops = 2.0 * workers * dim**2

    def worker_gradient(self, worker: int, x: np.ndarray) -> np.ndarray:
        return self.matrices[worker] @ x - self.vectors[worker]

    def gradients(self, x: np.ndarray) -> np.ndarray:
        return (self.rows @ x).reshape(self.vectors.shape) - self.vectors

    def batch_gradients(self, points: np.ndarray) -> np.ndarray:
        return (self.rows @ points).reshape(*self.vectors.shape, -1) - self.vectors[:, :, None]


def _dense_gradients(arrays: tuple[Array, ...], x: Array) -> Array:
    matrices, vectors = arrays
    return jnp.einsum("nij,j->ni", matrices, x) - vectors


class DiagonalQuadratic(Model):
    """f_i(x) = x'A_i x / 2 - b_i'x with diagonal A_i, whose gradient costs one multiply-add a coordinate."""

    def __init__(self, workers: int, dim: int) -> None:
        self.problem = Quadratic.random(workers, dim, MEAN_SMOOTHNESS, structure="diagonal")
        self.diagonals = np.array(self.problem.matrices)  # [n, d]
        self.vectors = np.array(self.problem.vectors)  # [n, d]
        self.arrays = (jnp.asarray(self.diagonals), jnp.asarray(self.vectors))
        self.traced_gradients = _diagonal_gradients
        self.flops = 0.0  # there is no matrix product

    def worker_gradient(self, worker: int, x: np.ndarray) -> np.ndarray:
        return self.diagonals[worker] * x - self.vectors[worker]

    def gradients(self, x: np.ndarray) -> np.ndarray:
        return self.diagonals * x - self.vectors

    def batch_gradients(self, points: np.ndarray) -> np.ndarray:
        return self.diagonals[:, :, None] * points - self.vectors[:, :, None]


def _diagonal_gradients(arrays: tuple[Array, ...], x: Array) -> Array:
    diagonals, vectors = arrays
    return diagonals * x[None, :] - vectors
