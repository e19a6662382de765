"""One small instance of every kind of problem, with the raw data it was made from, for tests to share.

All of INSTANCES but `single-worker` have the same numbers of workers, samples and coordinates, so that they share
compiled programs. The raw data are what independent references in the tests compute with.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from problems import LeastSquares, LogisticRegression, Problem, Quadratic, TwoLayerNetwork

WORKERS, SAMPLES, DIM = 4, 8, 6
UNEQUAL = (8, 3, 5, 1)  # samples of the workers; the largest is SAMPLES, so that the padded shapes agree


class Quadratics(NamedTuple):
    """f_i(x) = x'A_i x / 2 - b_i'x + c_i."""

    matrices: np.ndarray  # [n, d, d]
    vectors: np.ndarray  # [n, d]
    constants: np.ndarray  # [n]


class Samples(NamedTuple):
    """f_i(x) = (1/m_i) sum_j loss(a_ij'x, t_ij) + r(x)."""

    loss: str  # "logistic" or "squares"
    features: list[np.ndarray]  # n times [m_i, d]
    targets: list[np.ndarray]  # n times [m_i]
    regularizer: str
    strength: float


class Network(NamedTuple):
    """f_i(x) = (1/m_i) sum_j (a'tanh(W u_ij + b) + b_0 - t_ij)^2 / 2, x = (W by rows, b, a, b_0)."""

    features: list[np.ndarray]  # n times [m_i, p]
    targets: list[np.ndarray]  # n times [m_i]
    hidden: int


class Instance(NamedTuple):
    problem: Problem
    data: Any  # Quadratics, Samples or Network


def quadratics(rng: np.random.Generator, matrices: np.ndarray, vectors: np.ndarray) -> Instance:
    data = Quadratics(matrices, vectors, rng.standard_normal(len(vectors)))
    return Instance(Quadratic.from_arrays(*data), data)


def dense() -> Instance:
    rng = np.random.default_rng(1)
    random = Quadratic.random(WORKERS, DIM, smoothness_ratio=1.8, pl_constant=0.1, seed=1)
    return quadratics(rng, np.asarray(random.matrices), np.asarray(random.vectors))


def single_worker() -> Instance:
    rng = np.random.default_rng(2)
    random = Quadratic.random(1, DIM, pl_constant=0.1, seed=2)
    return quadratics(rng, np.asarray(random.matrices), np.asarray(random.vectors))


def diagonal() -> Instance:
    random = Quadratic.random(
        WORKERS,
        DIM,
        smoothness_ratio=1.5,
        pl_constant=0.05,
        profile="geometric",
        structure="diagonal",
        seed=3,
    )
    matrices = np.stack([np.diag(row) for row in np.asarray(random.matrices)])
    return Instance(random, Quadratics(matrices, np.asarray(random.vectors), np.zeros(WORKERS)))


def indefinite() -> Instance:
    """Strongly convex f, but no f_i is convex, and some bend more strongly downwards than upwards."""
    rng = np.random.default_rng(4)
    noise = rng.standard_normal((WORKERS, DIM, DIM))
    noise = noise + np.swapaxes(noise, 1, 2)
    mean = np.diag(np.linspace(0.2, 1.0, DIM))
    return quadratics(rng, mean + noise - noise.mean(axis=0), rng.standard_normal((WORKERS, DIM)))


def rank_deficient() -> Instance:
    """Convex, but flat along half of the directions: PL without strong convexity."""
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0][:, : DIM // 2]
    spectra = rng.uniform(0.1, 1.0, (WORKERS, DIM // 2)) * np.array([1.0, 0.5, 3.0, 0.2])[:, None]
    matrices = np.stack([(basis * spectrum) @ basis.T for spectrum in spectra])
    matrices = (matrices + np.swapaxes(matrices, 1, 2)) / 2
    return quadratics(rng, matrices, rng.standard_normal((WORKERS, DIM // 2)) @ basis.T)


def samples(
    loss: str, regularizer: str = "none", strength: float = 0.0, unequal: bool = False, rank: int = DIM
) -> Instance:
    """Random rows, larger for some workers than for others; labels and targets that no x fits."""
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((WORKERS, SAMPLES, DIM)) * np.array([1.0, 2.0, 0.5, 4.0])[:, None, None]
    if rank < DIM:
        rows = rows @ rng.standard_normal((DIM, rank)) @ rng.standard_normal((rank, DIM)) / DIM
    targets = rng.standard_normal((WORKERS, SAMPLES))
    targets = np.sign(targets) if loss == "logistic" else targets
    sizes = UNEQUAL if unequal else (SAMPLES,) * WORKERS
    features, targets = ([block[:size] for block, size in zip(array, sizes, strict=True)] for array in (rows, targets))
    cls = {"logistic": LogisticRegression, "squares": LeastSquares}[loss]
    problem = cls.from_arrays(features, targets, regularizer, strength)
    return Instance(problem, Samples(loss, features, targets, regularizer, strength))


def from_recipe(problem: Quadratic) -> Instance:
    """A recipe's problem as it is; its arrays are the raw data."""
    arrays = (problem.matrices, problem.vectors, problem.constants)
    return Instance(problem, Quadratics(*(np.array(array) for array in arrays)))


def sparse_logistic() -> Instance:
    """Every worker uses 3 of the 6 coordinates, every coordinate belongs to 2 of the 4 workers."""
    problem = LogisticRegression.rare_features(WORKERS, DIM, 3, SAMPLES, smoothness_ratio=1.5, seed=7)
    return Instance(
        problem, Samples("logistic", list(np.array(problem.shards.features)), [np.ones(SAMPLES)] * WORKERS, "none", 0.0)
    )


def regression() -> Instance:
    problem = LeastSquares.nonconvex_regression(
        WORKERS, DIM, SAMPLES, mean_smoothness=3.0, smoothness_variance=6.0, strength=0.2, seed=8
    )
    features, targets = (list(np.array(array)) for array in (problem.shards.features, problem.shards.targets))
    return Instance(problem, Samples("squares", features, targets, "nonconvex", 0.2))


def network() -> Instance:
    data = samples("squares", unequal=True).data
    features = [rows / 2 for rows in data.features]
    return Instance(TwoLayerNetwork.from_arrays(features, data.targets, 2), Network(features, data.targets, 2))


INSTANCES: dict[str, Callable[[], Instance]] = {
    "dense": dense,
    "diagonal": diagonal,
    "indefinite": indefinite,
    "rank-deficient": rank_deficient,
    "single-worker": single_worker,
    "logistic": lambda: samples("logistic"),
    "logistic-unequal": lambda: samples("logistic", unequal=True),
    "logistic-l2": lambda: samples("logistic", "l2", 0.1),
    "logistic-l2-unequal": lambda: samples("logistic", "l2", 0.1, unequal=True),
    "logistic-nonconvex": lambda: samples("logistic", "nonconvex", 0.1),
    "logistic-nonconvex-unequal": lambda: samples("logistic", "nonconvex", 0.1, unequal=True),
    "squares": lambda: samples("squares"),
    "squares-unequal": lambda: samples("squares", unequal=True),
    "squares-l2": lambda: samples("squares", "l2", 0.1),
    "squares-rank-deficient": lambda: samples("squares", rank=3),
    "squares-nonconvex": lambda: samples("squares", "nonconvex", 0.1),
    "interpolation": lambda: from_recipe(
        Quadratic.random(WORKERS, DIM, smoothness_ratio=1.5, pl_constant=0.1, minimizers="common", seed=9)
    ),
    "tridiagonal": lambda: from_recipe(Quadratic.tridiagonal(WORKERS, DIM, noise=0.3, pl_constant=0.05, seed=10)),
    "sparse-logistic": sparse_logistic,
}

# For the laws of problems alone, which no theorem needs.
MORE_INSTANCES: dict[str, Callable[[], Instance]] = {
    "nonconvex-recipe": lambda: from_recipe(Quadratic.nonconvex(WORKERS, DIM, 2.0, 0.1, heterogeneity=0.7, seed=11)),
    "worst-case": lambda: from_recipe(Quadratic.worst_case(smoothness=3.0, pl_constant=0.2, workers=2)),
    "squares-recipe-nonconvex": regression,
    "network": network,
}


@cache
def instance(name: str) -> Instance:
    return (INSTANCES | MORE_INSTANCES)[name]()
