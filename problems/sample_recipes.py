"""Made-up samples: rows A_i [n, m, d] with prescribed lambda_max(A_i'A_i) / m and targets [n, m]."""

import numpy as np

from problems.arrays import check_size
from problems.errors import InvalidInput
from problems.profiles import Profile, worker_smoothness_profile
from problems.ranges import check_count, check_not_negative, check_positive
from problems.spectra import largest_gram_eigenvalues, rounding_level

__all__ = ["Samples", "curvatures_beside", "rare_features", "regression_samples", "shared_features"]


Samples = tuple[np.ndarray, np.ndarray]


def rare_features(
    workers: int,
    dim: int,
    features_per_worker: int,
    samples: int,
    mean_curvature: float,
    smoothness_ratio: float,
    profile: Profile,
    seed: int,
) -> Samples:
    """Rows of which worker i uses r coordinates, and labels -1 or +1 drawn from a logistic model.

    lambda_max(A_i'A_i) / m has the arithmetic mean `mean_curvature` and the quadratic mean smoothness_ratio times that.

    Raises:
        InvalidInput: a number out of its range.
    """
    for name, given in (("workers", workers), ("dim", dim), ("features_per_worker", features_per_worker)):
        check_count(name, given, 1)
    if features_per_worker > dim:
        raise InvalidInput(f"features_per_worker must be at most dim = {dim}, not {features_per_worker}")
    check_count("samples", samples, 1)
    check_count("seed", seed)
    check_size("features", workers, samples, dim)
    check_positive("mean_smoothness", mean_curvature)
    curvatures = worker_smoothness_profile(workers, smoothness_ratio, profile)
    if curvatures.min() <= rounding_level(workers, curvatures.max()):
        raise InvalidInput(
            f"smoothness_ratio {smoothness_ratio:g} leaves a worker with L_i = 0, which uses no coordinate; "
            f"give less than sqrt(workers) = {workers**0.5:.4g}"
        )
    rng = np.random.default_rng(seed)
    # consecutive places on a shuffled circle of coordinates: every one is used floor or ceil of n r / d times
    places = np.arange(workers * features_per_worker).reshape(workers, features_per_worker) % dim
    used = rng.permutation(dim)[places]
    rows = np.zeros((workers, samples, dim))
    np.put_along_axis(rows, used[:, None, :], rng.standard_normal((workers, samples, features_per_worker)), axis=2)
    predictions = rows @ rng.standard_normal(dim)
    labels = np.where(rng.random((workers, samples)) < 1 / (1 + np.exp(-predictions)), 1.0, -1.0)
    return _with_curvatures(rows, mean_curvature * curvatures), labels


def regression_samples(
    workers: int,
    dim: int,
    samples: int,
    mean_smoothness: float,
    smoothness_variance: float,
    offset: float,
    profile: Profile,
    seed: int,
) -> Samples:
    """Standard normal rows, scaled such that L_i = lambda_max(A_i'A_i) / m + offset has this mean and variance.

    Raises:
        InvalidInput: a number out of its range, or constants that the profile cannot have.
    """
    for name, given in (("workers", workers), ("dim", dim), ("samples", samples)):
        check_count(name, given, 1)
    check_count("seed", seed)
    check_size("features", workers, samples, dim)
    check_positive("mean_smoothness", mean_smoothness)
    check_not_negative("smoothness_variance", smoothness_variance)
    largest = mean_smoothness**2 * (workers - 1)
    if smoothness_variance > largest:
        raise InvalidInput(
            f"smoothness_variance (L_var) of {workers} workers is at most mean_smoothness^2 (workers - 1) = "
            f"{largest:.4g}, not {smoothness_variance:g}"
        )
    ratio = min(np.sqrt(1 + smoothness_variance / mean_smoothness**2), np.sqrt(workers))
    try:
        constants = mean_smoothness * worker_smoothness_profile(workers, ratio, profile)
    except InvalidInput as error:
        raise InvalidInput(
            f"smoothness_variance {smoothness_variance:g} with mean {mean_smoothness:g}: {error}"
        ) from error
    if constants.min() < offset:
        raise InvalidInput(
            f"the smallest L_i would be {constants.min():.4g}, less than the regularizer's curvature 2 strength = "
            f"{offset:g}; give a smaller strength or smoothness_variance"
        )
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((workers, samples, dim))
    return _with_curvatures(rows, constants - offset), rng.standard_normal((workers, samples))


def shared_features(workers: int, dim: int, samples: int, curvatures: np.ndarray, seed: int) -> Samples:
    """Worker i holds s_i B with lambda_max(s_i^2 B'B) / m = curvatures[i], and labels -1 or +1 by its own fair coins.

    B is standard normal and the same for all, so that the mean of the A_i'A_i / m has the mean of these curvatures.

    Raises:
        InvalidInput: a number out of its range.
    """
    for name, given in (("dim", dim), ("samples", samples)):
        check_count(name, given, 1)
    check_count("seed", seed)
    check_size("features", workers, samples, dim)
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((samples, dim))
    labels = np.where(rng.random((workers, samples)) < 0.5, 1.0, -1.0)
    return _with_curvatures(np.broadcast_to(shared, (workers, samples, dim)), curvatures), labels


def curvatures_beside(
    offset: float, workers: int, mean_smoothness: float, smoothness_ratio: float, profile: Profile
) -> np.ndarray:
    """c_i such that L_i = c_i + offset has this mean and this ratio L_QM / L_AM, and c_i the profile. -> [n].

    Raises:
        InvalidInput: an offset that is not below the mean, or constants that the profile cannot have.
    """
    check_positive("mean_smoothness", mean_smoothness)
    mean = mean_smoothness - offset
    if mean <= 0:
        raise InvalidInput(
            f"mean_smoothness must be above the regularizer's curvature, {offset:g}, not {mean_smoothness:g}"
        )
    if smoothness_ratio < 1:
        raise InvalidInput(f"smoothness_ratio (L_QM / L_AM) must be at least 1, not {smoothness_ratio:g}")
    # L_i and c_i have the same variance
    ratio = float(np.sqrt(1 + (smoothness_ratio**2 - 1) * (mean_smoothness / mean) ** 2))
    try:
        return mean * worker_smoothness_profile(workers, ratio, profile)
    except InvalidInput as error:
        raise InvalidInput(
            f"smoothness_ratio {smoothness_ratio:g} beside the regularizer's curvature {offset:g} needs data with a "
            f"larger one: {error}"
        ) from error


def _with_curvatures(rows: np.ndarray, curvatures: np.ndarray) -> np.ndarray:
    """The rows scaled worker by worker to have these lambda_max(A_i'A_i) / m. [n, m, d], [n] -> [n, m, d]."""
    found = largest_gram_eigenvalues(rows / np.sqrt(rows.shape[1]))
    return rows * np.sqrt(curvatures / found)[:, None, None]
