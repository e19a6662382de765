"""One small instance of every kind of problem, with the raw data it was made from, for tests to share.

All but `single-worker` have the same numbers of workers, samples and coordinates, so that they share compiled
programs. The raw data are what independent references in the tests compute with.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from problems import LeastSquares, LogisticRegression, Problem, Quadratic
from problems.registry import registered
from simulator import Compressor, Identity, Method, RandK, TopK

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


class Instance(NamedTuple):
    problem: Problem
    data: Quadratics | Samples


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
}


@cache
def instance(name: str) -> Instance:
    return INSTANCES[name]()


# What the laws of every registered class are tried with: values for each field that a class may have. A class
# with other fields needs a line here; `examples` says so.
FIELD_VALUES: dict[str, tuple[Any, ...]] = {
    "k": (1, 3),
    "scaled": (False, True),
    "compressor": (TopK(2), RandK(2), Identity()),
    "initial": ("gradient", "compressed", "zero"),
}


def examples(base: type[Compressor] | type[Method]) -> list[Any]:
    """Every class of `simulator` registered below `base`, with every combination of the values above."""
    found: list[Any] = []
    for kind, cls in registered(base).items():
        if not cls.__module__.startswith("simulator."):
            continue  # made by a test
        names = [field.name for field in fields(cls)]
        if not set(names) <= set(FIELD_VALUES):
            raise LookupError(f"{kind} has fields {names}: add values for them to FIELD_VALUES in tests/instances.py")
        for values in product(*(FIELD_VALUES[name] for name in names)):
            found.append(cls(**dict(zip(names, values, strict=True))))
    return found
