"""Quadratics with heterogeneous smoothness."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from problems.arrays import as_floats
from problems.errors import InvalidInput
from problems.problem import Evaluation, Problem, Sparsity, trapezoid
from problems.profiles import Profile
from problems.pytrees import frozen_pytree
from problems.quadratic_recipes import (
    Curvature,
    Minimizers,
    Structure,
    check_quadratic,
    nonconvex_arrays,
    quadratic_constants,
    random_arrays,
    tridiagonal_arrays,
    worst_case_arrays,
)
from problems.sparsity import sparsity_of
from problems.spectra import eigenvalues, rounding_level, smallest_nonzero

__all__ = ["Quadratic"]


@frozen_pytree
class Quadratic(Problem):
    """f_i(x) = x'A_i x / 2 - b_i'x + c_i with symmetric A_i, dense or diagonal; f is bounded below.

    Single f_i may be indefinite. L_i is the largest absolute eigenvalue of A_i and L that of the mean; both are exact.
    Since f is bounded below, their mean is positive semidefinite and f is PL with its smallest nonzero eigenvalue,
    also exactly. (One recipe, `worst_case` in one dimension, declares larger L and L_i than it has; it says so.)
    """

    recipes: ClassVar = {
        "quadratic": "random",
        "nonconvex-quadratic": "nonconvex",
        "tridiagonal-quadratic": "tridiagonal",
        "worst-case-quadratic": "worst_case",
    }

    matrices: Array  # [n, d, d], or [n, d] for diagonal matrices
    vectors: Array  # [n, d]
    constants: Array  # [n]
    mean_matrix: Array  # [d, d] or [d]
    smoothness: Array  # []
    worker_smoothness: Array  # [n]

    @classmethod
    def from_arrays(cls, matrices: ArrayLike, vectors: ArrayLike, constants: ArrayLike = 0) -> "Quadratic":
        """The quadratic with the given A_i [n, d, d] (or diagonals [n, d]), b_i [n, d] and c_i [n] or one for all.

        Raises:
            InvalidInput: shapes that do not fit, entries that are not finite, a matrix that is not symmetric, or an f
                that is not bounded below.
        """
        a, b = as_floats("matrices", matrices), as_floats("vectors", vectors)
        check_quadratic(a, b)
        c = quadratic_constants(constants, len(b))
        spectra, mean = eigenvalues(a), a.mean(axis=0)
        problem = cls(
            matrices=jnp.asarray(a),
            vectors=jnp.asarray(b),
            constants=jnp.asarray(c),
            mean_matrix=jnp.asarray(mean),
            smoothness=jnp.asarray(np.max(np.abs(eigenvalues(mean[None])))),
            worker_smoothness=jnp.asarray(np.max(np.abs(spectra), axis=1)),
        )
        problem._check_bounded_below()
        return problem

    @classmethod
    def random(
        cls,
        workers: int,
        dim: int,
        mean_smoothness: float = 1.0,
        smoothness_ratio: float = 1.0,
        pl_constant: float = 1e-2,
        profile: Profile = "one-large",
        structure: Structure = "dense",
        minimizers: Minimizers = "different",
        curvature: Curvature = "convex",
        seed: int = 0,
    ) -> "Quadratic":
        """Random quadratics that have the prescribed constants exactly.

        L_AM = L = mean_smoothness, L_QM / L_AM = smoothness_ratio and mu = pl_constant hold to rounding error of L_AM
        for every seed. A_i is L_i times a matrix with eigenvalues in [0, 1] that shares its largest eigenvector with
        the others; the remaining directions differ from worker to worker in such a way that the mean over the workers
        has eigenvalues spaced geometrically from mu to L. With indefinite curvature the eigenvalues of the f_i lie in
        L_i [-1, 1], and some f_i are not convex (for d >= 3, n >= 2 and a small mu / L); f is, as ever.

        Args:
            workers: n. smoothness_ratio is at most sqrt(n) for "one-large", less for the others, at most 17.3 for
                "geometric".
            dim: d >= 2.
            mean_smoothness: L_AM > 0.
            smoothness_ratio: L_QM / L_AM >= 1.
            pl_constant: mu > 0.
            profile: how the L_i differ: "one-large" (one large worker, the others equal), "geometric" or
                "power-law".
            structure: "dense" (a random common eigenbasis) or "diagonal".
            minimizers: of the f_i, "different" (each draws its own) or "common" (all share one: interpolation). Those
                of an indefinite f_i are its stationary points.
            curvature: of the f_i, "convex" or "indefinite".
            seed: of the random draw.

        Raises:
            InvalidInput: constants that no such problem has.
        """
        return cls.from_arrays(
            *random_arrays(
                workers,
                dim,
                mean_smoothness,
                smoothness_ratio,
                pl_constant,
                profile,
                structure,
                minimizers,
                curvature,
                seed,
            )
        )

    @classmethod
    def nonconvex(
        cls,
        workers: int,
        dim: int,
        smoothness: float = 1.0,
        pl_constant: float = 1e-2,
        heterogeneity: float = 1.0,
        seed: int = 0,
    ) -> "Quadratic":
        """A strongly convex f whose f_i need not be convex: A_i = A + heterogeneity L N_i with sum_i N_i = 0.

        The eigenvalues of A are spaced geometrically from mu to L. The N_i are random symmetric matrices such that
        lambda_max((1/n) sum_i N_i^2) = 1. So L, mu and the Hessian variance (arXiv 2110.03300)

            L_pm^2 = lambda_max((1/n) sum_i (A_i - A)^2) = (heterogeneity L)^2

        are as prescribed, to rounding error of L_AM. Each f_i has a stationary point of its own; it is indefinite
        once heterogeneity exceeds a small multiple of mu / L.

        Args:
            workers: n; a single worker has heterogeneity 0.
            dim: d >= 2.
            smoothness: L of f.
            pl_constant: mu of f, below L.
            heterogeneity: >= 0.
            seed: of the random draw.

        Raises:
            InvalidInput: constants that no such problem has.
        """
        return cls.from_arrays(*nonconvex_arrays(workers, dim, smoothness, pl_constant, heterogeneity, seed))

    @classmethod
    def tridiagonal(
        cls, workers: int, dim: int, noise: float = 0.1, pl_constant: float = 1e-3, seed: int = 0
    ) -> "Quadratic":
        """The synthetic chain of the papers on 3PC (arXiv 2202.00998) and PermK with MARINA (arXiv 2110.03300).

        With nu_i = 1 + s xi_i, standard normal xi_i and xi'_i and s = noise,

            A_i = nu_i / 4 tridiag(-1, 2, -1) + shift I,    b_i = nu_i / 4 (-1 + s xi'_i, 0, ..., 0),

        where the same shift for all makes mu = lambda_min(mean of A_i) = pl_constant. Single f_i may be indefinite.
        The papers start from x^0 = (sqrt(d), 0, ..., 0). This recipe is written from memory of the papers, not
        compared with their code; the constants are those of the problem as it is here, exactly.

        Args:
            workers: n.
            dim: d.
            noise: s >= 0, the heterogeneity; with 0 all f_i are the same.
            pl_constant: mu > 0.
            seed: of the random draw.

        Raises:
            InvalidInput: a number out of its range.
        """
        return cls.from_arrays(*tridiagonal_arrays(workers, dim, noise, pl_constant, seed))

    @classmethod
    def worst_case(
        cls, smoothness: float = 1.0, pl_constant: float = 0.1, workers: int = 1, dim: int = 2
    ) -> "Quadratic":
        """f_i(x) = (mu x_1^2 + L x_2^2) / 2 for all workers: here the tight rates of error feedback are attained.

        At the stepsize gamma* of arXiv 2506.05271 and with the compressor C(v) = (1 + s) v, s = sqrt(1 - alpha), which
        overshoots as far as alpha allows, the linear recursions of EF21 and of EF14 have a spectral radius whose
        square is the rate rho of the theorem: the eigenvalue sqrt(rho) along the axis of mu and -sqrt(rho) along that
        of L. With C(v) = (1 - s) v, which falls short as far as alpha allows, the radius is smaller along both axes.
        (Found numerically for alpha from 0.05 to 0.99 and mu/L from 0.01 to 0.9; tests repeat it.) Both are directions
        of the compressor `adversarial`. In two dimensions the start of a run may hide the rate for a while.

        In one dimension this is f_i(x) = mu x^2 / 2, declared as a member of the class of L-smooth functions: L and L_i
        are the given smoothness, an upper bound. mu is exact.

        Args:
            smoothness: L > mu.
            pl_constant: mu > 0.
            workers: n, all with the same f_i.
            dim: 1 or 2.

        Raises:
            InvalidInput: a number out of its range.
        """
        problem = cls.from_arrays(*worst_case_arrays(smoothness, pl_constant, workers, dim))
        declared = np.full(workers, smoothness, float)
        return replace(problem, smoothness=jnp.asarray(declared[0]), worker_smoothness=jnp.asarray(declared))

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    @property
    def num_workers(self) -> int:
        return self.vectors.shape[0]

    def worker_losses(self, x: Array) -> Array:
        return 0.5 * self._products(x) @ x - self.vectors @ x + self.constants

    def worker_gradients(self, x: Array) -> Array:
        return self._products(x) - self.vectors

    def loss_difference(self, x: Array, step: Array) -> Array:
        # exact for a quadratic: the slope at the midpoint times the step
        middle = x + step / 2
        product = self.mean_matrix @ middle if self.mean_matrix.ndim == 2 else self.mean_matrix * middle
        return (product - jnp.mean(self.vectors, axis=0)) @ step

    def loss_change(self, start: Evaluation, end: Evaluation) -> Array:
        return trapezoid(start, end)  # exact for a quadratic

    def _products(self, x: Array) -> Array:
        """A_i x, or A_i x_i, of every worker. [d] or [n, d] -> [n, d]."""
        if self.matrices.ndim == 2:
            return self.matrices * jnp.atleast_2d(x)
        return self.matrices @ x if x.ndim == 1 else jnp.einsum("nij,nj->ni", self.matrices, x)

    @cached_property
    def _mean_spectrum(self) -> np.ndarray:
        return eigenvalues(np.asarray(self.mean_matrix, float)[None])[0]

    @property
    def pl_constant(self) -> float | None:
        return smallest_nonzero(self._mean_spectrum, self._scale)

    @property
    def _scale(self) -> float:
        """L_AM, the size of what is summed to form the mean matrix."""
        return float(np.mean(np.asarray(self.worker_smoothness)))

    @property
    def strong_convexity(self) -> float | None:
        lowest = float(self._mean_spectrum.min())
        return lowest if lowest == self.pl_constant else None

    @property
    def minimizer(self) -> np.ndarray:
        """x*, the minimiser of least norm. [d]."""
        return self._minimizer

    @cached_property
    def _minimizer(self) -> np.ndarray:
        mean = np.asarray(self.mean_matrix, float)
        matrix = mean if mean.ndim == 2 else np.diag(mean)
        slope = np.asarray(self.vectors, float).mean(axis=0)
        values, basis = np.linalg.eigh(matrix)
        kept = values > rounding_level(self.dim, self._scale)
        return basis[:, kept] @ ((basis[:, kept].T @ slope) / values[kept])

    @property
    def lower_bound(self) -> float:
        return float(self.loss(jnp.asarray(self.minimizer)))

    @property
    def workers_convex(self) -> bool:
        spectra = self._worker_spectra
        return bool(np.all(spectra.min(axis=1) >= -rounding_level(self.dim, 1.0) * np.abs(spectra).max(axis=1)))

    @property
    def worker_strong_convexity(self) -> float | None:
        lowest, largest = float(np.min(self._worker_spectra)), float(np.max(np.abs(self._worker_spectra)))
        return lowest if lowest > rounding_level(self.dim, largest) else None

    @property
    def mean_squared_smoothness(self) -> float:
        """L_+ = sqrt(lambda_max((1/n) sum_i A_i^2)), exactly."""
        return float(np.sqrt(np.max(eigenvalues(self._mean_square[None]))))

    @cached_property
    def _worker_spectra(self) -> np.ndarray:
        return eigenvalues(np.asarray(self.matrices, float))

    @cached_property
    def _mean_square(self) -> np.ndarray:
        """(1/n) sum_i A_i^2. [d, d] or [d]."""
        a = np.asarray(self.matrices, float)
        return np.mean(a @ a if a.ndim == 3 else a**2, axis=0)

    @property
    def sparsity(self) -> Sparsity:
        a, b = np.asarray(self.matrices), np.asarray(self.vectors)
        used = (np.any(a != 0, axis=2) if a.ndim == 3 else a != 0) | (b != 0)
        return sparsity_of(used, np.asarray(self.worker_smoothness))

    def _check_bounded_below(self) -> None:
        lowest = self._mean_spectrum.min()
        if lowest < -rounding_level(self.dim, self._scale):
            raise InvalidInput(f"f is not bounded below: the mean of the A_i has the eigenvalue {lowest:.3g}")
        leftover = np.linalg.norm(self.gradient(jnp.asarray(self.minimizer)))
        scale = np.linalg.norm(self.vectors, axis=1).mean() + float(self.smoothness) * np.linalg.norm(self.minimizer)
        if leftover > 1e-8 * scale:  # far above rounding error, far below any slope that matters
            raise InvalidInput("f is not bounded below: the mean of the b_i is not in the range of the mean of the A_i")
