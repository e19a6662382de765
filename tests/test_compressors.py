"""The laws of every registered compressor at random and adversarial inputs; Top-k against a stable sort."""

from collections.abc import Callable
from itertools import combinations
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import examples

from problems import InvalidInput, frozen_pytree
from problems.registry import registered
from simulator import Compressor, Identity, RandK, TopK
from simulator.selection import largest

DIM = 7
DRAWS = 4000  # keys over which random compressors are averaged


def adversarial_rows(dim: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    ones = np.ones(dim)
    return {
        "random": rng.standard_normal(dim),
        "wide": rng.standard_normal(dim) * 10.0 ** rng.uniform(-8, 8, dim),
        "zero": 0 * ones,
        "negative zero": -0.0 * ones,
        "all equal": ones,
        "equal up to signs": np.where(np.arange(dim) % 2, 1.0, -1.0),
        "ties among distinct": np.repeat([3.0, -1.0, 2.0, -3.0], -(-dim // 4))[:dim],
        "one nonzero": np.eye(dim)[dim // 2],
        "one large": ones + 1e12 * np.eye(dim)[-1],
        "nearly tied": 1 + np.finfo(float).eps * np.arange(dim),
        "huge": 1e150 * rng.standard_normal(dim),
        "tiny": 1e-150 * rng.standard_normal(dim),
    }


def compressors(choose: Callable[[Compressor], bool] = lambda compressor: True) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("compressor", [*filter(choose, examples(Compressor))], ids=repr)


every_compressor = compressors()
every_row = pytest.mark.parametrize("row", adversarial_rows(DIM).values(), ids=adversarial_rows(DIM))


@jax.jit
def draws(compressor: Compressor, x: jax.Array) -> jax.Array:
    """C(x) for many keys, [DRAWS, d]; for a deterministic compressor all are the same."""
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return jax.vmap(lambda key: compressor.compress(key, x))(keys)


def relative_errors(compressor: Compressor, x: np.ndarray) -> np.ndarray:
    """|C(x) - x|^2 / |x|^2 of every draw."""
    scale = np.max(np.abs(x)) or 1.0  # so that squares neither overflow nor vanish
    errors = np.sum((np.asarray(draws(compressor, x)) / scale - x / scale) ** 2, axis=1)
    return errors / (np.sum((x / scale) ** 2) or 1.0)


def mean_and_margin(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the draws and five of its standard errors. Keys are fixed: nothing is left to chance."""
    return samples.mean(axis=0), 5 * samples.std(axis=0) / np.sqrt(len(samples)) + 1e-12


@every_row
@compressors(lambda compressor: compressor.contraction(DIM) is not None)
def test_contraction(compressor, row):
    alpha = compressor.contraction(DIM)
    assert 0 < alpha <= 1
    mean, margin = mean_and_margin(relative_errors(compressor, row))
    assert mean <= 1 - alpha + margin


@every_row
@compressors(lambda compressor: compressor.variance(DIM) is not None)
def test_unbiasedness_and_variance(compressor, row):
    scale = np.max(np.abs(row)) or 1.0
    mean, margin = mean_and_margin(np.asarray(draws(compressor, row)) / scale)
    assert np.all(np.abs(mean - row / scale) <= margin)
    mean, margin = mean_and_margin(relative_errors(compressor, row))
    assert mean <= compressor.variance(DIM) + margin


@every_compressor
def test_constants_are_attained(compressor):
    # the control of the two tests above: a constant that is better by 3% would fail them
    alpha, omega = compressor.contraction(DIM), compressor.variance(DIM)
    assert alpha is not None or omega is not None
    worst = max(mean_and_margin(relative_errors(compressor, row))[0] for row in adversarial_rows(DIM).values())
    assert worst >= 0.97 * max(0 if alpha is None else 1 - alpha, omega or 0)


@compressors(lambda compressor: compressor.variance(DIM) is None)
def test_compressors_that_declare_no_omega_are_biased(compressor):
    row = adversarial_rows(DIM)["random"]
    mean, margin = mean_and_margin(np.asarray(draws(compressor, row)))
    assert np.any(np.abs(mean - row) > margin)


@every_compressor
def test_randomness_is_as_declared(compressor):
    found = np.asarray(draws(compressor, np.ones(DIM)))
    assert np.all(found == found[0]) == compressor.deterministic
    assert np.array_equal(found, draws(compressor, np.ones(DIM)))  # the same keys give the same draws


@every_row
@compressors(lambda compressor: compressor.positively_homogeneous)
def test_positive_homogeneity(compressor, row):
    for scale in (2.0**-40, 2.0**40):  # powers of two are exact, so that the two sides agree in every bit
        np.testing.assert_array_equal(draws(compressor, scale * row), scale * np.asarray(draws(compressor, row)))


@every_compressor
def test_precision_is_kept(compressor):
    x = jnp.asarray(adversarial_rows(DIM)["random"], jnp.float32)
    found = compressor.compress(jax.random.key(0), x)
    assert found.dtype == jnp.float32 and found.shape == x.shape
    # inside the engine the fields are arrays
    traced = jax.jit(lambda c: c.compress(jax.random.key(0), x))(jax.tree.map(jnp.asarray, compressor))
    np.testing.assert_array_equal(traced, found)
    assert traced.dtype == jnp.float32


@every_compressor
def test_workers_are_compressed_row_by_row_with_keys_of_their_own(compressor):
    rows, key = np.ones((64, DIM)), jax.random.key(1)
    found = np.asarray(compressor.compress_rows(key, jnp.asarray(rows)))
    assert found.shape == rows.shape
    if compressor.deterministic:
        np.testing.assert_array_equal(
            found[[0, -1]], [compressor.compress(key, jnp.asarray(row)) for row in rows[[0, -1]]]
        )
    else:  # 64 equal rows would be compressed alike if the workers shared a key
        assert len(np.unique(found, axis=0)) > 1


@every_compressor
def test_one_coordinate(compressor):
    compressor = type(compressor)(k=1) if hasattr(compressor, "k") else compressor
    compressor.check(1)
    assert compressor.contraction(1) == 1 and compressor.variance(1) == 0
    np.testing.assert_array_equal(compressor.compress(jax.random.key(0), jnp.array([-3.0])), [-3.0])


@pytest.mark.parametrize("compressor", [Identity(), TopK(DIM), RandK(DIM), RandK(DIM, scaled=True)], ids=repr)
@every_row
def test_everything_is_kept_when_k_is_the_dimension(compressor, row):
    np.testing.assert_array_equal(compressor.compress(jax.random.key(0), jnp.asarray(row)), row)
    assert compressor.contraction(DIM) == 1 and compressor.variance(DIM) == 0


@pytest.mark.parametrize(
    ("compressor", "dim", "bits"),
    [
        (Identity(), 300, 300 * 32),
        (TopK(1), 1, 32),  # the only index needs no bits
        (TopK(1), 2, 33),
        (TopK(3), 123, 3 * (32 + 7)),  # 2^6 < 123 <= 2^7
        (TopK(3), 128, 3 * (32 + 7)),
        (TopK(3), 129, 3 * (32 + 8)),
        (RandK(2), 112, 2 * (32 + 7)),
        (RandK(2, scaled=True), 112, 2 * (32 + 7)),
    ],
    ids=repr,
)
def test_bits_count_values_and_indices(compressor, dim, bits):
    assert compressor.bits(dim) == bits


# --- Rand-k: all subsets, equally often -----------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4])
def test_rand_k_draws_every_subset_equally_often(k):
    dim = 5
    kept = np.asarray(draws(RandK(k), np.arange(1.0, dim + 1))) != 0
    subsets = [np.isin(np.arange(dim), subset) for subset in combinations(range(dim), k)]
    counts = np.array([np.sum(np.all(kept == subset, axis=1)) for subset in subsets])
    assert counts.sum() == DRAWS  # without replacement: exactly k entries in every draw
    expected = DRAWS / comb(dim, k)
    # the largest of at most ten binomial deviations; five standard deviations, with fixed keys
    assert np.max(np.abs(counts - expected)) < 5 * np.sqrt(expected)


# --- Top-k ----------------------------------------------------------------------------------------------


def stable_top_k(rows: np.ndarray, k: int) -> np.ndarray:
    """By NumPy's stable sort, which leaves equal magnitudes in the order of their indices."""
    order = np.argsort(-np.abs(rows), axis=-1, kind="stable")[..., :k]
    kept = np.zeros_like(rows)
    np.put_along_axis(kept, order, np.take_along_axis(rows, order, -1), -1)
    return kept


def many_rows(dim: int) -> np.ndarray:
    rng = np.random.default_rng(dim)
    few_values = rng.integers(-2, 3, (40, dim)).astype(float)  # ties everywhere
    return np.concatenate([few_values, rng.standard_normal((20, dim)), np.stack([*adversarial_rows(dim).values()])])


top_k = jax.jit(lambda k, rows: TopK(k).compress(None, rows))


@pytest.mark.parametrize("dim", [1, 2, 7, 64])
def test_top_k_is_a_stable_sort_bit_for_bit(dim):
    rows = many_rows(dim)
    for k in sorted({1, 2, 3, dim // 2, dim - 1, dim} & set(range(1, dim + 1))):
        np.testing.assert_array_equal(top_k(k, rows), stable_top_k(rows, k))


def test_top_k_of_single_precision():
    rows = many_rows(7)
    rows = rows[np.all((np.abs(rows) < 1e30) & ((np.abs(rows) > 1e-30) | (rows == 0)), axis=1)].astype(np.float32)
    np.testing.assert_array_equal(top_k(3, rows), stable_top_k(rows, 3))


def test_k_may_differ_between_the_runs_of_a_batch():
    rows = many_rows(7)
    ks = jnp.arange(1, 8)
    found = jax.jit(jax.vmap(lambda k: TopK(k).compress(None, rows)))(ks)
    np.testing.assert_array_equal(found, [stable_top_k(rows, k) for k in range(1, 8)])


@pytest.mark.parametrize("nonzeros", [3, 5])
def test_top_k_never_keeps_more_than_k_denormals(nonzeros):
    # XLA treats denormals as zero in float arithmetic, but not in that of the bit patterns
    row = np.array([1e-310] * nonzeros + [0.0] * (7 - nonzeros))
    assert np.sum(np.asarray(jax.jit(lambda x: largest(x, 2))(row))) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_dropped(value):
    # a diverging run must not be made finite again
    row = np.array([1.0, 2.0, value, 3.0])
    np.testing.assert_array_equal(top_k(1, row), [0, 0, value, 0])


# --- bad input and extension ----------------------------------------------------------------------------

NUMPY = [np.float64(2.0), np.float32(1.5), np.int64(0), np.int32(-2), np.True_]


@pytest.mark.parametrize("k", [0, -1, True, 1.5, 2.0, "1", None, [1], *NUMPY], ids=repr)
@pytest.mark.parametrize("cls", [TopK, RandK])
def test_k_must_be_a_positive_whole_number(cls, k):
    with pytest.raises(InvalidInput, match="k must be a whole number >= 1, not"):
        cls(k)


@pytest.mark.parametrize("k", [1, np.int64(3), np.int32(2)], ids=repr)
def test_whole_numbers_of_numpy_are_accepted(k):
    assert TopK(k).contraction(6) == k / 6


@pytest.mark.parametrize("cls", [TopK, RandK])
def test_k_must_fit_the_dimension(cls):
    cls(6).check(6)
    with pytest.raises(InvalidInput, match="k = 7 is larger than the dimension d = 6"):
        cls(7).check(6)


def test_a_compressor_is_registered_by_being_defined():
    @frozen_pytree
    class Halves(Compressor):
        """C(x) = x / 2: alpha = 3/4."""

        kind = "halves-of-a-test"
        deterministic = positively_homogeneous = True

        def compress(self, key, x):
            return x / 2

        def contraction(self, dim):
            return 0.75

        def variance(self, dim):
            return None

        def bits(self, dim):
            return 32 * dim

        def check(self, dim):
            pass

    assert registered(Compressor)["halves-of-a-test"] is Halves
    assert {"identity", "rand-k", "top-k"} <= set(registered(Compressor))


def test_a_class_defined_twice_is_registered_by_its_last_definition():
    # as when a cell of a notebook runs again
    def define() -> type:
        class Again(Identity):
            kind = "again-of-a-test"

        return Again

    first, second = define(), define()
    assert registered(Compressor)["again-of-a-test"] is second is not first
