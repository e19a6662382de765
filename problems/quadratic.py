"""Quadratics with heterogeneous smoothness."""

from functools import cached_property
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from problems.arrays import as_floats, check_size
from problems.errors import InvalidInput, unknown_name
from problems.problem import Problem
from problems.pytrees import frozen_pytree
from problems.spectra import rounding_level, smallest_nonzero

__all__ = ["Quadratic", "worker_smoothness_profile"]

Profile = Literal["one-large", "geometric"]
Structure = Literal["dense", "diagonal"]


@frozen_pytree
class Quadratic(Problem):
    """f_i(x) = x'A_i x / 2 - b_i'x + c_i with symmetric A_i, dense or diagonal; f is bounded below.

    Single f_i may be indefinite. L_i is the largest absolute eigenvalue of A_i and L that of the mean; both are exact.
    Since f is bounded below, their mean is positive semidefinite and f is PL with its smallest nonzero eigenvalue,
    also exactly.
    """

    recipes: ClassVar = {"quadratic": "random"}

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
        _check_arrays(a, b)
        c = _constants(constants, len(b))
        spectra, mean = _eigenvalues(a), a.mean(axis=0)
        problem = cls(
            matrices=jnp.asarray(a),
            vectors=jnp.asarray(b),
            constants=jnp.asarray(c),
            mean_matrix=jnp.asarray(mean),
            smoothness=jnp.asarray(np.max(np.abs(_eigenvalues(mean[None])))),
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
        seed: int = 0,
    ) -> "Quadratic":
        """Random convex quadratics that have the prescribed constants exactly, each worker with its own minimiser.

        L_AM = L = mean_smoothness, L_QM / L_AM = smoothness_ratio and mu = pl_constant hold to rounding error of L_AM
        for every seed. A_i is L_i times a matrix with eigenvalues in [0, 1] that shares its largest eigenvector with
        the others; the remaining directions differ from worker to worker in such a way that the mean over the workers
        has eigenvalues spaced geometrically from mu to L.

        Args:
            workers: n. smoothness_ratio is at most sqrt(n) for "one-large", slightly less for "geometric".
            dim: d >= 2.
            mean_smoothness: L_AM > 0.
            smoothness_ratio: L_QM / L_AM >= 1.
            pl_constant: mu > 0.
            profile: how the L_i differ: "one-large" (one large worker, the others equal) or "geometric".
            structure: "dense" (a random common eigenbasis) or "diagonal".
            seed: of the random draw.

        Raises:
            InvalidInput: constants that no such problem has.
        """
        check_size("matrices", *((workers, dim) if structure == "diagonal" else (workers, dim, dim)))
        if dim < 2:
            raise InvalidInput(f"dim must be at least 2, not {dim}: L and mu need a direction each")
        lowest = rounding_level(dim, mean_smoothness)
        if not lowest < pl_constant < mean_smoothness < np.inf:
            raise InvalidInput(
                f"pl_constant must be between {lowest:.2g} (rounding error) and mean_smoothness = {mean_smoothness:g}, "
                f"not {pl_constant:g}"
            )
        if structure not in ("dense", "diagonal"):
            raise unknown_name("structure", structure, ("dense", "diagonal"))
        if seed < 0:
            raise InvalidInput(f"seed must be a whole number >= 0, not {seed}")
        rng = np.random.default_rng(seed)
        scales = mean_smoothness * worker_smoothness_profile(workers, smoothness_ratio, profile)
        shape = np.geomspace(1.0, pl_constant / mean_smoothness, dim)
        shapes = _perturbed_shapes(rng, shape, scales, structure)
        minimizers = rng.standard_normal((workers, dim))
        if structure == "diagonal":
            matrices = scales[:, None] * shapes
            return cls.from_arrays(matrices, matrices * minimizers)
        basis = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        matrices = scales[:, None, None] * (basis @ shapes @ basis.T)
        matrices = (matrices + np.swapaxes(matrices, 1, 2)) / 2
        return cls.from_arrays(matrices, np.einsum("nij,nj->ni", matrices, minimizers))

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

    def _products(self, x: Array) -> Array:
        """A_i x of every worker. [d] -> [n, d]."""
        return self.matrices @ x if self.matrices.ndim == 3 else self.matrices * x[None, :]

    @cached_property
    def _mean_spectrum(self) -> np.ndarray:
        return _eigenvalues(np.asarray(self.mean_matrix, float)[None])[0]

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
        spectra = _eigenvalues(np.asarray(self.matrices, float))
        return bool(np.all(spectra.min(axis=1) >= -rounding_level(self.dim, 1.0) * np.abs(spectra).max(axis=1)))

    def _check_bounded_below(self) -> None:
        lowest = self._mean_spectrum.min()
        if lowest < -rounding_level(self.dim, self._scale):
            raise InvalidInput(f"f is not bounded below: the mean of the A_i has the eigenvalue {lowest:.3g}")
        leftover = np.linalg.norm(self.gradient(jnp.asarray(self.minimizer)))
        scale = np.linalg.norm(self.vectors, axis=1).mean() + float(self.smoothness) * np.linalg.norm(self.minimizer)
        if leftover > 1e-8 * scale:  # far above rounding error, far below any slope that matters
            raise InvalidInput("f is not bounded below: the mean of the b_i is not in the range of the mean of the A_i")


def worker_smoothness_profile(workers: int, ratio: float, profile: Profile) -> np.ndarray:
    """L_i with arithmetic mean 1 and quadratic mean `ratio`. -> [n], the largest first.

    "one-large": one worker is larger than the others, which are equal. "geometric": a geometric sequence.

    Raises:
        InvalidInput: a ratio that n workers cannot have with this profile, or an unknown profile.
    """
    if workers < 1:
        raise InvalidInput(f"workers must be at least 1, not {workers}")
    if not 1 <= ratio <= np.sqrt(workers):
        raise InvalidInput(
            f"smoothness_ratio (L_QM / L_AM) of {workers} workers lies between 1 and sqrt({workers}) = "
            f"{np.sqrt(workers):.4g}, not at {ratio:g}"
        )
    if profile == "one-large":
        spread = np.sqrt(ratio**2 - 1)  # the standard deviation of the L_i
        large, small = 1 + spread * np.sqrt(workers - 1), 1 - spread / np.sqrt(max(workers - 1, 1))
        return np.concatenate([[large], np.full(workers - 1, max(small, 0.0))])
    if profile == "geometric":
        return _geometric_profile(workers, ratio)
    raise unknown_name("profile", profile, ("one-large", "geometric"))


def _geometric_profile(workers: int, ratio: float) -> np.ndarray:
    def normalised(log_spread: float) -> np.ndarray:
        values = np.exp(-log_spread * np.linspace(0, 1, workers))
        return values / values.mean()

    def excess(log_spread: float) -> float:
        return float(np.sqrt(np.mean(normalised(log_spread) ** 2))) - ratio

    widest = 600.0  # exp(-600) is still a normal number
    if ratio == 1:
        return np.ones(workers)
    if workers < 2 or excess(widest) < 0:
        raise InvalidInput(f"smoothness_ratio {ratio:g} is out of reach of a geometric profile of {workers} workers")
    log_spread: Any = brentq(excess, 0.0, widest, xtol=1e-14)
    return normalised(log_spread)


def _perturbed_shapes(
    rng: np.random.Generator, shape: np.ndarray, scales: np.ndarray, structure: Structure
) -> np.ndarray:
    """One matrix a worker around diag(shape), eigenvalues in [0, 1], with sum_i L_i (matrix_i - diag(shape)) = 0.

    Only the directions between the first (largest) and the last (smallest) are perturbed, so that the constants stay.
    shape [d], scales [n] -> [n, d, d] or, for diagonal structure, [n, d].
    """
    workers, inner = len(scales), len(shape) - 2
    size = (workers, inner) if structure == "diagonal" else (workers, inner, inner)
    noise = rng.uniform(-1, 1, size)
    if structure == "dense":
        noise = (noise + np.swapaxes(noise, 1, 2)) / 2
    noise -= np.tensordot(scales, noise, 1) / scales.sum()
    room = min(1 - shape[1], shape[-2]) if inner else 0.0
    largest = np.max(np.abs(_eigenvalues(noise))) if inner and workers > 1 else 0.0
    # half of the room: no eigenvalue comes near 0 or 1, which would change a constant by rounding
    noise *= 0.5 * room / largest if largest > 0 else 0.0
    if structure == "diagonal":
        return shape + np.pad(noise, ((0, 0), (1, 1)))
    return np.diag(shape) + np.pad(noise, ((0, 0), (1, 1), (1, 1)))


def _eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """Of symmetric matrices [n, d, d], or diagonals [n, d]. -> [n, d]."""
    return np.linalg.eigvalsh(matrices) if matrices.ndim == 3 else matrices


def _constants(constants: ArrayLike, workers: int) -> np.ndarray:
    """c_i of every worker. -> [n]."""
    c = as_floats("constants", constants)
    if c.shape not in ((), (workers,)) or not np.all(np.isfinite(c)):
        raise InvalidInput(f"constants must be one finite number or {workers} of them, not an array of shape {c.shape}")
    return np.broadcast_to(c, (workers,))


def _check_arrays(matrices: np.ndarray, vectors: np.ndarray) -> None:
    if (
        vectors.ndim != 2
        or vectors.size == 0
        or matrices.shape not in (vectors.shape, vectors.shape + vectors.shape[1:])
    ):
        raise InvalidInput(
            f"matrices must be [n, d, d] or [n, d] and vectors [n, d], not {matrices.shape} and {vectors.shape}"
        )
    for name, array in (("matrices", matrices), ("vectors", vectors)):
        if not np.all(np.isfinite(array)):
            raise InvalidInput(f"{name} hold entries that are not finite")
    if matrices.ndim == 3:
        asymmetry = np.max(np.abs(matrices - np.swapaxes(matrices, 1, 2)), axis=(1, 2))
        worst = int(np.argmax(asymmetry))
        if asymmetry[worst] > 1e-12 * np.max(np.abs(matrices[worst])):
            raise InvalidInput(
                f"matrices must be symmetric; matrices[{worst}] differs from its transpose by {asymmetry[worst]:.3g}"
            )
