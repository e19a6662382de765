"""What `Quadratic` is made of, checked or made up: A_i [n, d, d] (or diagonals [n, d]), b_i [n, d] and c_i [n]."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from problems.arrays import as_floats, check_size
from problems.errors import InvalidInput, unknown_name
from problems.profiles import Profile, worker_smoothness_profile
from problems.ranges import check_count, check_not_negative, check_positive
from problems.spectra import eigenvalues, rounding_level

__all__ = [
    "Arrays",
    "Curvature",
    "Minimizers",
    "Structure",
    "check_quadratic",
    "nonconvex_arrays",
    "quadratic_constants",
    "random_arrays",
    "tridiagonal_arrays",
    "worst_case_arrays",
]

Structure = Literal["dense", "diagonal"]
Minimizers = Literal["different", "common"]
Curvature = Literal["convex", "indefinite"]
Arrays = tuple[np.ndarray, np.ndarray]


def quadratic_constants(constants: ArrayLike, workers: int) -> np.ndarray:
    """c_i of every worker, given one for all or [n]. -> [n]."""
    c = as_floats("constants", constants)
    if c.shape not in ((), (workers,)) or not np.all(np.isfinite(c)):
        raise InvalidInput(f"constants must be one finite number or {workers} of them, not an array of shape {c.shape}")
    return np.broadcast_to(c, (workers,))


def check_quadratic(matrices: np.ndarray, vectors: np.ndarray) -> None:
    """Raise InvalidInput unless these are finite A_i [n, d, d], symmetric, or [n, d] and b_i [n, d]."""
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


def random_arrays(
    workers: int,
    dim: int,
    mean_smoothness: float,
    smoothness_ratio: float,
    pl_constant: float,
    profile: Profile,
    structure: Structure,
    minimizers: Minimizers,
    curvature: Curvature,
    seed: int,
) -> Arrays:
    """Of `Quadratic.random`."""
    check_size("matrices", *((workers, dim) if structure == "diagonal" else (workers, dim, dim)))
    if structure not in ("dense", "diagonal"):
        raise unknown_name("structure", structure, ("dense", "diagonal"))
    if minimizers not in ("different", "common"):
        raise unknown_name("minimizers", minimizers, ("different", "common"))
    if curvature not in ("convex", "indefinite"):
        raise unknown_name("curvature", curvature, ("convex", "indefinite"))
    _check_curvatures(dim, pl_constant, "mean_smoothness", mean_smoothness, mean_smoothness)
    check_count("seed", seed)
    rng = np.random.default_rng(seed)
    scales = mean_smoothness * worker_smoothness_profile(workers, smoothness_ratio, profile)
    shape = np.geomspace(1.0, pl_constant / mean_smoothness, dim)
    shapes = _perturbed_shapes(rng, shape, scales, curvature, structure)
    points = rng.standard_normal((workers, dim))
    if minimizers == "common":
        points = np.broadcast_to(points[0], points.shape)
    if structure == "diagonal":
        matrices = scales[:, None] * shapes
        return matrices, matrices * points
    basis = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return _with_stationary_points(_symmetric(scales[:, None, None] * (basis @ shapes @ basis.T)), points)


def nonconvex_arrays(
    workers: int, dim: int, smoothness: float, pl_constant: float, heterogeneity: float, seed: int
) -> Arrays:
    """Of `Quadratic.nonconvex`."""
    check_size("matrices", workers, dim, dim)
    check_count("workers", workers, 1)
    check_not_negative("heterogeneity", heterogeneity)
    if workers == 1 and heterogeneity > 0:
        raise InvalidInput(f"a single worker has no heterogeneity; it must be 0, not {heterogeneity:g}")
    check_positive("smoothness", smoothness)
    _check_curvatures(dim, pl_constant, "smoothness", smoothness, smoothness * (1 + heterogeneity * workers**0.5))
    check_count("seed", seed)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    mean = _symmetric((basis * np.geomspace(smoothness, pl_constant, dim)) @ basis.T)
    noise = _symmetric(rng.standard_normal((workers, dim, dim)))
    noise -= noise.mean(axis=0)
    points = rng.standard_normal((workers, dim))
    size = np.sqrt(np.linalg.eigvalsh(np.mean(noise @ noise, axis=0))[-1])
    scale = heterogeneity * smoothness / size if heterogeneity > 0 else 0.0
    return _with_stationary_points(mean + scale * noise, points)


def tridiagonal_arrays(workers: int, dim: int, noise: float, pl_constant: float, seed: int) -> Arrays:
    """Of `Quadratic.tridiagonal`."""
    check_size("matrices", workers, dim, dim)
    check_count("workers", workers, 1)
    check_count("dim", dim, 1)
    check_not_negative("noise", noise)
    check_count("seed", seed)
    stiffness_noise, slope_noise = np.random.default_rng(seed).standard_normal((2, workers))
    stiffness = 1 + noise * stiffness_noise
    lowest = rounding_level(dim, float(np.mean(np.abs(stiffness))))
    if not lowest < pl_constant < np.inf:
        raise InvalidInput(f"pl_constant must be above {lowest:.2g} (rounding error) and finite, not {pl_constant:g}")
    chain = 2 * np.eye(dim) - np.eye(dim, k=1) - np.eye(dim, k=-1)
    modes = 4 * np.sin(np.arange(1, dim + 1) * np.pi / (2 * dim + 2)) ** 2  # the eigenvalues of the chain
    shift = pl_constant - np.min(stiffness.mean() / 4 * modes)
    vectors = np.zeros((workers, dim))
    vectors[:, 0] = stiffness / 4 * (-1 + noise * slope_noise)
    return stiffness[:, None, None] / 4 * chain + shift * np.eye(dim), vectors


def worst_case_arrays(smoothness: float, pl_constant: float, workers: int, dim: int) -> Arrays:
    """Of `Quadratic.worst_case`."""
    check_count("workers", workers, 1)
    if dim not in (1, 2):
        raise InvalidInput(f"dim must be 1 or 2, not {dim}")
    check_size("matrices", workers, dim, dim)
    check_positive("smoothness", smoothness)
    lowest = rounding_level(2, smoothness)
    if not lowest < pl_constant < smoothness:
        raise InvalidInput(
            f"pl_constant must be between {lowest:.2g} (rounding error) and smoothness = {smoothness:g}, "
            f"not {pl_constant:g}"
        )
    matrix = np.diag([pl_constant, smoothness][:dim])
    return np.tile(matrix, (workers, 1, 1)), np.zeros((workers, dim))


def _check_curvatures(dim: int, pl_constant: float, name: str, smoothness: float, scale: float) -> None:
    """mu between rounding error (of what is of size `scale`) and L, with a direction for each."""
    if dim < 2:
        raise InvalidInput(f"dim must be at least 2, not {dim}: L and mu need a direction each")
    lowest = rounding_level(dim, scale)
    if not lowest < pl_constant < smoothness < np.inf:
        raise InvalidInput(
            f"pl_constant must be between {lowest:.2g} (rounding error) and {name} = {smoothness:g}, "
            f"not {pl_constant:g}"
        )


def _symmetric(matrices: np.ndarray) -> np.ndarray:
    return (matrices + np.swapaxes(matrices, -1, -2)) / 2


def _with_stationary_points(matrices: np.ndarray, points: np.ndarray) -> Arrays:
    """b_i = A_i x_i, so that grad f_i(x_i) = 0. [n, d, d], [n, d]."""
    return matrices, np.einsum("nij,nj->ni", matrices, points)


def _room(inner: np.ndarray, curvature: Curvature) -> np.ndarray:
    """R with eigenvalues of diag(inner) + sqrt(R) N sqrt(R) in (0, 1), or in (-1, 1) if indefinite, for all |N| <= 1.

    Less than there is: an eigenvalue near an end of its interval would change a constant by rounding.
    [d - 2] -> [d - 2], the diagonal of R.
    """
    if curvature == "indefinite":
        return 0.9 * (1 - inner)
    return np.full_like(inner, 0.5 * min(1 - inner[0], inner[-1])) if len(inner) else inner


def _balanced(noise: np.ndarray, scales: np.ndarray, curvature: Curvature) -> np.ndarray:
    """The noise N_i, changed such that sum_i L_i N_i = 0. [n, m, m] or diagonals [n, m] -> the same."""
    if curvature == "convex":
        return noise - np.tensordot(scales, noise, 1) / scales.sum()
    # all N_i of one norm, and the nearest with that sum: whatever the L_i, many workers bend downwards
    unit = (noise.T / np.max(np.abs(eigenvalues(noise)), axis=1)).T
    return unit - np.multiply.outer(scales / (scales @ scales), np.tensordot(scales, unit, 1))


def _perturbed_shapes(
    rng: np.random.Generator, shape: np.ndarray, scales: np.ndarray, curvature: Curvature, structure: Structure
) -> np.ndarray:
    """One matrix a worker around diag(shape), of the curvature, with sum_i L_i (matrix_i - diag(shape)) = 0.

    Only the directions between the first (largest) and the last (smallest) are perturbed, so that the constants stay.
    shape [d], scales [n] -> [n, d, d] or, for diagonal structure, [n, d].
    """
    workers, inner = len(scales), len(shape) - 2
    size = (workers, inner) if structure == "diagonal" else (workers, inner, inner)
    noise = rng.uniform(-1, 1, size)
    if structure == "dense":
        noise = (noise + np.swapaxes(noise, 1, 2)) / 2
    noise = _balanced(noise, scales, curvature) if inner else noise
    largest = np.max(np.abs(eigenvalues(noise))) if inner and workers > 1 else 0.0
    room = _room(shape[1:-1], curvature)
    if structure == "dense":
        room = np.sqrt(np.outer(room, room))
    noise *= room / largest if largest > 0 else 0.0
    if structure == "diagonal":
        return shape + np.pad(noise, ((0, 0), (1, 1)))
    return np.diag(shape) + np.pad(noise, ((0, 0), (1, 1), (1, 1)))
