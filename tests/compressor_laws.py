"""The laws of compressors: what they do to random and adversarial rows, against what they declare.

A law is a slack, what was declared minus what was found, that must not be negative.
"""

from functools import cache
from math import log2

import jax
import jax.numpy as jnp
import numpy as np
from compressor_examples import DIM

from simulator import Compressor, Size

DRAWS = 2000  # keys over which random compressors are averaged


def adversarial_rows(dim: int) -> dict[str, np.ndarray]:
    """Random vectors, edges of the floats, ties. Those called sparse have the same three places for their nonzeros."""
    rng = np.random.default_rng(0)
    ones, places = np.ones(dim), np.arange(dim)
    signs = np.where(places % 2, 1.0, -1.0)
    support = np.isin(places, (0, dim // 3, dim - 1))
    return {
        "random": rng.standard_normal(dim),
        "wide": rng.standard_normal(dim) * 10.0 ** rng.uniform(-8, 8, dim),
        "zero": 0 * ones,
        "negative zero": -0.0 * ones,
        "all equal": ones,
        "equal up to signs": signs,
        "ties among distinct": np.repeat([3.0, -1.0, 2.0, -3.0], -(-dim // 4))[:dim],
        "one large": ones + 1e12 * np.eye(dim)[-1],
        "nearly tied": 1 + np.finfo(float).eps * places,
        "huge": 1e150 * rng.standard_normal(dim),
        "tiny": 1e-150 * rng.standard_normal(dim),
        "sparse: one nonzero": np.eye(dim)[dim // 3],
        "sparse: random": np.where(support, rng.standard_normal(dim), 0),
        "sparse: all equal": 1.0 * support,
        "sparse: nearly tied": (1 + np.finfo(float).eps * places) * support,
        "sparse: below half of the largest": np.where(places, 0.5 - 1e-9, 1) * support,
    }


def worst_rows() -> dict[str, np.ndarray]:
    """What the docstrings say attains the constants, for d = 12 and matrices of 3 x 4 or 4 x 3."""
    rng = np.random.default_rng(1)
    places, signs = np.arange(DIM), np.where(np.arange(DIM) % 2, 1.0, -1.0)
    singular = np.linalg.qr(rng.standard_normal((4, 3)))[0]
    return {
        "four thirds of powers of two": 4 / 3 * signs * 2.0 ** (places % 5),
        "four thirds": 4 / 3 * signs,
        "three halves of powers of two": 3 / 2 * signs * 2.0 ** (places % 5),
        "between the levels of QSGD(3)": np.where(places % 4, 1.0, 3.0),
        "one and 1/(1 + sqrt d)": np.where(places, 1 / (1 + DIM**0.5), 1.0),
        "three quarters of the largest": np.where(places, 0.75, 1.0),
        "below half of the largest": np.where(places, 0.5 - 1e-9, 1.0),
        "one in every block of five": 1.0 * (places % 5 == 0),
        "equal singular values of 3 x 4": singular.T.ravel(),
        "equal singular values of 4 x 3": singular.ravel(),
        "decaying singular values": (rng.standard_normal((3, 3)) * [1, 0.1, 0.01] @ singular.T).ravel(),
        "rank one": np.outer([1.0, -2.0, 0.5], [1.0, 3.0, 0.0, 1.0]).ravel(),
        "triangular": np.tri(3, 4).ravel(),
    }


ROWS = adversarial_rows(DIM) | worst_rows()
SPARSE = np.array([name.startswith("sparse") for name in ROWS])


def lengths(rows: np.ndarray) -> np.ndarray:
    """|x|, without squares that overflow or vanish, and 1 where x = 0. [R, d] -> [R, 1]."""
    highest = np.max(np.abs(rows), axis=-1, keepdims=True)
    highest = np.where(highest > 0, highest, 1)
    found = highest * np.linalg.norm(rows / highest, axis=-1, keepdims=True)
    return np.where(found > 0, found, 1)


STACKED = np.stack([*ROWS.values()])  # [R, d]
LENGTHS = lengths(STACKED)
UNITS = STACKED / LENGTHS


@jax.jit
def draws(compressor: Compressor, rows: jax.Array) -> jax.Array:
    """C of every row for many keys, [R, DRAWS, d]; [R, 2, d] for a deterministic compressor. Parameters are traced."""
    keys = jax.random.split(jax.random.key(0), 2 if compressor.deterministic else DRAWS)
    return jax.vmap(jax.vmap(compressor.compress, (0, None)), (None, 0))(keys, rows)


@cache
def found_at_rows(compressor: Compressor) -> np.ndarray:
    """C of every row. [R, DRAWS, d]."""
    return np.asarray(draws(compressor, jnp.asarray(STACKED)))


def unit_draws(compressor: Compressor) -> np.ndarray:
    """C(x) / |x|. [R, DRAWS, d]."""
    return found_at_rows(compressor) / LENGTHS[:, None]


@cache
def relative_errors(compressor: Compressor) -> np.ndarray:
    """|C(x) - x|^2 / |x|^2. [R, DRAWS]."""
    return np.sum((unit_draws(compressor) - UNITS[:, None]) ** 2, axis=-1)


def mean_and_margin(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the draws and five of its standard errors. Keys are fixed: nothing is left to chance.

    An event so rare that it may not have happened in these draws, as TernGrad has some, leaves no trace in the standard
    error: ten times what one such event would contribute is added for it. [R, DRAWS, ...] -> [R, ...].
    """
    count = samples.shape[1]
    largest_step = np.ptp(samples.reshape(len(samples), -1), axis=1).reshape(-1, *[1] * (samples.ndim - 2))
    rare = 10 * largest_step / count if count > 2 else 0.0
    return samples.mean(axis=1), 5 * samples.std(axis=1) / np.sqrt(count) + rare + 1e-12


# --- messages of several workers ------------------------------------------------------------------------


def workers_of(compressor: Compressor) -> int:
    return getattr(getattr(compressor, "compressor", compressor), "workers", 4)


@jax.jit
def draws_of_workers(compressor: Compressor, rows: jax.Array) -> jax.Array:
    """The compressed rows [S, n, d] of n workers, for many keys. -> [S, DRAWS, n, d]."""
    keys = jax.random.split(jax.random.key(1), 2 if compressor.deterministic else DRAWS)
    return jax.vmap(jax.vmap(compressor.compress_rows, (0, None)), (None, 0))(keys, rows)


def rows_of_workers(workers: int) -> np.ndarray:
    """Messages of n workers: random, equal, of mean zero, of one worker only. [S, n, d]."""
    rng = np.random.default_rng(workers)
    found = rng.standard_normal((4, workers, DIM))
    found[1] = found[1, 0]
    found[2] -= found[2].mean(axis=0)
    found[3, 1:] = 0
    return found


@cache
def found_of_workers(compressor: Compressor) -> np.ndarray:
    """[S, DRAWS, n, d]."""
    return np.asarray(draws_of_workers(compressor, jnp.asarray(rows_of_workers(workers_of(compressor)))))


def averaged_deviations(compressor: Compressor) -> np.ndarray:
    """|<C(x_i)> - E<C(x_i)>|^2 / <|x_i|^2>. [S, DRAWS]."""
    found, rows = found_of_workers(compressor).mean(axis=2), rows_of_workers(workers_of(compressor))
    return np.sum((found - found.mean(axis=1, keepdims=True)) ** 2, axis=-1) / np.mean(np.sum(rows**2, -1), -1)[:, None]


# --- the laws -------------------------------------------------------------------------------------------


def room(samples: np.ndarray, bound: float) -> np.ndarray:
    """How far below a bound the mean over the draws may be. [R, DRAWS] -> [R]."""
    mean, margin = mean_and_margin(samples)
    return bound - (mean - margin)


def contraction_slacks(compressor: Compressor) -> np.ndarray:
    """Of E|C(x) - x|^2 <= (1 - alpha) |x|^2, relative to |x|^2. [R]."""
    return room(relative_errors(compressor), 1 - compressor.contraction(DIM))


def bias_slacks(compressor: Compressor) -> np.ndarray:
    """Of E C(x) = x, relative to |x|: what chance may do minus the bias. [R, d]."""
    mean, margin = mean_and_margin(unit_draws(compressor))
    return margin - np.abs(mean - UNITS)


def variance_slacks(compressor: Compressor) -> np.ndarray:
    """Of E|C(x) - x|^2 <= omega |x|^2, relative to |x|^2. [R]."""
    return room(relative_errors(compressor), compressor.variance(DIM))


def averaged_deviation_slacks(compressor: Compressor) -> np.ndarray:
    """Of E|<C(x_i)> - E<C(x_i)>|^2 <= omega_av <|x_i|^2>, relative to <|x_i|^2>. [S]."""
    return room(averaged_deviations(compressor), compressor.averaged_deviation(DIM, workers_of(compressor)))


def places_slack(compressor: Compressor) -> float:
    """Of a message whose bits name the places of its nonzeros: the bits minus log2 of how many choices were seen.

    Floats are left out: they hold values. Places that follow from a seed that both ends know are not sent.
    """
    full = np.all(STACKED != 0, axis=1)
    messages = found_at_rows(compressor)[full, : 1 if compressor.shared_randomness else None].reshape(-1, DIM)
    choices = np.unique(messages != 0, axis=0)
    size = compressor.size(jnp.asarray(messages), DIM)
    return float(np.max(Size(0, size.exponents, size.bits).total(32)) - log2(len(choices)))
