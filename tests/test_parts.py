"""The parts of methods besides compressors: gradient oracles, participation, proximal operators, weights."""

from itertools import combinations, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import DIM, UNEQUAL, WORKERS, instance
from numpy.testing import assert_allclose

from problems.registry import registered
from simulator import (
    EF21PAGE,
    EF21PP,
    EF21SGD,
    GD,
    L0,
    L1,
    Box,
    Exact,
    FixedNumber,
    GaussianNoise,
    GradientOracle,
    Independent,
    Minibatch,
    TopK,
)
from simulator.proximal import ProximalRegularizer
from simulator.weights import clone_weights, proportional_weights

DRAWS = 4000
PROBLEM = instance("logistic-l2-unequal").problem
POINTS = np.random.default_rng(0).standard_normal((5, DIM))
ORACLES = [
    Exact(),
    GaussianNoise(0.5),
    Minibatch(1),
    Minibatch(3, replacement=True),
]
every_oracle = pytest.mark.parametrize("oracle", ORACLES, ids=repr)


def keys(count: int = DRAWS) -> Any:
    return jax.random.split(jax.random.key(0), count)


@jax.jit
def draws(oracle: GradientOracle, x: Any) -> Any:
    """Stochastic gradients at x for many keys. [DRAWS, n, d]."""
    gradients = PROBLEM.worker_gradients(x)
    return jax.vmap(lambda key: oracle.draw(PROBLEM, x, gradients, key))(keys())


def margin(samples: np.ndarray) -> np.ndarray:
    return 5 * samples.std(axis=0) / np.sqrt(len(samples)) + 1e-12


@every_oracle
def test_stochastic_gradients_are_unbiased_with_the_declared_variance(oracle):
    x = POINTS[0]
    found, exact = np.asarray(draws(oracle, x)), np.asarray(PROBLEM.worker_gradients(x))
    assert np.all(np.abs(found.mean(axis=0) - exact) <= margin(found))
    squares = np.sum((found - exact) ** 2, axis=2)
    declared = np.asarray(oracle.variances(PROBLEM, x))
    assert np.all(np.abs(squares.mean(axis=0) - declared) <= margin(squares))
    assert oracle.deterministic == bool(np.all(found == found[0]))


@every_oracle
def test_workers_at_points_of_their_own_draw_as_they_would_if_all_were_there(oracle):
    own = jnp.asarray(POINTS)[np.arange(WORKERS) % len(POINTS)]
    key = jax.random.key(3)
    found = oracle.draw(PROBLEM, own, PROBLEM.worker_gradients(own), key)
    for worker, x in enumerate(own):
        alone = oracle.draw(PROBLEM, x, PROBLEM.worker_gradients(x), key)
        assert_allclose(found[worker], alone[worker], rtol=1e-12, atol=1e-12)


def test_minibatches_are_parts_of_a_pass_over_the_data():
    parts = [2 / samples for samples in UNEQUAL]
    assert_allclose(Minibatch(2, replacement=True).passes(PROBLEM), np.mean(parts))
    minibatches = Minibatch(1)
    page = EF21PAGE(TopK(2), minibatches, probability=0.25)
    some = EF21PP(TopK(2), FixedNumber(3))
    for method, passes in (
        (GD(), 1.0),
        (EF21SGD(TopK(2), minibatches), minibatches.passes(PROBLEM)),
        (page, 0.25 + 0.75 * 2 * minibatches.passes(PROBLEM)),
        (some, 3 / WORKERS),
    ):
        assert_allclose(method.gradient_passes(PROBLEM), passes)


@every_oracle
def test_workers_draw_independently(oracle):
    found = np.asarray(draws(oracle, POINTS[0]))
    noise = found - np.asarray(PROBLEM.worker_gradients(POINTS[0]))
    products = np.sum(noise[:, 0] * noise[:, 1], axis=1)
    assert abs(products.mean()) <= margin(products)


def sample_gradients(x: np.ndarray, worker: int) -> np.ndarray:
    """Of every sample of the worker, regulariser included. [m_i, d]."""
    rows = np.asarray(PROBLEM.shards.features)[worker, : UNEQUAL[worker]]  # labels folded in
    return -rows / (1 + np.exp(rows @ x))[:, None] + 0.1 * x


@pytest.mark.parametrize(("size", "replacement"), [(1, False), (1, True), (2, True)])
def test_variances_of_minibatches_are_those_of_all_batches(size, replacement):
    x, oracle = POINTS[1], Minibatch(size, replacement=replacement)
    expected = []
    for worker, count in enumerate(UNEQUAL):
        gradients = sample_gradients(x, worker)
        batches = product(range(count), repeat=size) if replacement else combinations(range(count), size)
        errors = [gradients[list(batch)].mean(axis=0) - gradients.mean(axis=0) for batch in batches]
        expected.append(np.mean(np.sum(np.square(errors), axis=1)))
    assert_allclose(oracle.variances(PROBLEM, x), expected, rtol=1e-10, atol=1e-14)


def test_variances_of_larger_batches_without_replacement():
    problem = instance("logistic").problem
    rows = np.asarray(problem.shards.features)
    x, expected = POINTS[2], []
    for block in rows:
        gradients = -block / (1 + np.exp(block @ x))[:, None]
        errors = [gradients[list(b)].mean(axis=0) - gradients.mean(axis=0) for b in combinations(range(8), 3)]
        expected.append(np.mean(np.sum(np.square(errors), axis=1)))
    assert_allclose(Minibatch(3).variances(problem, x), expected, rtol=1e-10)
    assert_allclose(Minibatch(8).variances(problem, x), 0, atol=1e-14)


@pytest.mark.parametrize("oracle", [Minibatch(1), Minibatch(3, replacement=True)], ids=repr)
def test_minibatches_draw_every_sample_equally_often_and_no_padding(oracle):
    counts = jnp.array(UNEQUAL)
    weights = np.asarray(jax.vmap(lambda key: oracle.sample_weights(counts, 8, key))(keys()))
    assert_allclose(weights.sum(axis=2), 1)
    assert np.all(np.isin(np.round(weights * oracle.size, 12), range(oracle.size + 1)))
    expected = np.where(np.arange(8) < np.array(UNEQUAL)[:, None], 1 / np.array(UNEQUAL)[:, None], 0)
    assert np.all(np.abs(weights.mean(axis=0) - expected) <= margin(weights))


@every_oracle
def test_noise_constants_hold_at_every_point(oracle):
    c = oracle.constants(PROBLEM)
    for x in 3 * POINTS:
        variances = np.asarray(oracle.variances(PROBLEM, x))
        bound = 2 * c.expected_smoothness * (np.asarray(PROBLEM.worker_losses(x)) - c.lower_bounds) + c.constant
        assert np.all(variances <= bound * (1 + 1e-12))
        if c.uniform is not None:
            assert np.all(variances <= c.uniform * (1 + 1e-12))


def test_noise_constants_of_minibatches_are_not_far_too_large():
    # where one sample alone is not fitted, its gradient is all there is: within a factor of 8 somewhere
    c, ratios = Minibatch(1).constants(PROBLEM), []
    for scale in (0.1, 0.3, 1.0, 3.0):
        for x in scale * POINTS:
            losses = np.asarray(PROBLEM.worker_losses(x))
            variances = np.asarray(Minibatch(1).variances(PROBLEM, x))
            ratios.append(np.max(variances[:3] / (2 * c.expected_smoothness[:3] * losses[:3])))
    assert max(ratios) > 1 / 8


@pytest.mark.parametrize("oracle", [Minibatch(1), Minibatch(2, replacement=True), GaussianNoise(1.0)], ids=repr)
def test_the_same_key_means_the_same_samples_and_small_differences(oracle):
    c = oracle.constants(PROBLEM)

    @jax.jit
    def differences(x: Any, y: Any) -> Any:
        exact = PROBLEM.worker_gradients(x), PROBLEM.worker_gradients(y)
        at = lambda point, gradients, key: oracle.draw(PROBLEM, point, gradients, key)  # noqa: E731
        return jax.vmap(lambda key: at(x, exact[0], key) - at(y, exact[1], key) - exact[0] + exact[1])(keys(1000))

    for x, y in zip(POINTS, 0.1 * POINTS[::-1], strict=True):
        squares = np.sum(np.asarray(differences(x, y)) ** 2, axis=2)
        allowed = c.difference_smoothness**2 * np.sum((x - y) ** 2)
        assert np.all(squares.mean(axis=0) <= allowed + margin(squares))
        if not isinstance(oracle, GaussianNoise):  # whose noise cancels
            assert np.any(squares.mean(axis=0) > 1e-3 * allowed)


# --- participation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "participation", [Independent(0.3), Independent(1.0), FixedNumber(1), FixedNumber(3)], ids=repr
)
def test_every_worker_takes_part_with_the_declared_probability(participation):
    sets = np.asarray(jax.vmap(lambda key: participation.draw(key, WORKERS))(keys()))
    assert set(np.unique(sets)) <= {0.0, 1.0}
    assert np.all(np.abs(sets.mean(axis=0) - participation.probability(WORKERS)) <= margin(sets))
    together = sets[:, 0] * sets[:, 1]
    if isinstance(participation, FixedNumber):
        assert np.all(sets.sum(axis=1) == participation.workers)
        expected = participation.workers * (participation.workers - 1) / (WORKERS * (WORKERS - 1))
    else:
        expected = participation.chance**2
    assert abs(together.mean() - expected) <= margin(together)


# --- proximal operators ---------------------------------------------------------------------------------

REGULARIZERS: list[ProximalRegularizer] = [L1(0.7), L0(0.3), Box(0.8)]


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=repr)
def test_proximal_operators_minimise(regularizer):
    # coordinate by coordinate on a fine grid
    stepsize, grid = 0.4, np.linspace(-3, 3, 60_001)
    x = np.array([-2.0, -0.75, -0.2, 0.0, 0.1, 0.481, 0.9, 2.5])
    values = np.array([float(regularizer.value(jnp.array([y]))) for y in (-1.0, 0.0, 0.5)])
    assert np.all(values >= 0)
    penalty = {L1: lambda y: 0.7 * abs(y), L0: lambda y: 0.3 * (y != 0), Box: lambda y: np.where(abs(y) > 0.8, 1e9, 0)}
    for target, found in zip(x, np.asarray(regularizer.prox(jnp.array(x), stepsize)), strict=True):
        objective = penalty[type(regularizer)](grid) + (grid - target) ** 2 / (2 * stepsize)
        assert abs(grid[np.argmin(objective)] - found) <= 1e-4


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=repr)
def test_convexity_is_as_declared(regularizer):
    # the proximal operator of a convex function does not expand
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 500, DIM))
    prox = jax.vmap(lambda v: regularizer.prox(v, 0.5))
    lengths = [np.linalg.norm(a - b, axis=1) for a, b in ((prox(x), prox(y)), (x, y))]
    assert np.all(lengths[0] <= lengths[1] * (1 + 1e-12)) == regularizer.convex


def test_every_part_is_tried():
    mine = lambda base: {cls for cls in registered(base).values() if cls.__module__.startswith("simulator.")}  # noqa: E731
    assert {type(oracle) for oracle in ORACLES} == mine(GradientOracle)
    assert {type(regularizer) for regularizer in REGULARIZERS} == mine(ProximalRegularizer)


# --- weights --------------------------------------------------------------------------------------------


def test_weights_sum_to_one_and_clones_are_at_most_two_a_worker_on_average():
    rng = np.random.default_rng(2)
    for _ in range(20):
        smoothness = rng.pareto(1.0, 50) + 1e-6
        for weights in (proportional_weights, clone_weights):
            assert np.all(weights(smoothness) > 0) and abs(weights(smoothness).sum() - 1) < 1e-12
        counts = np.maximum(1, np.ceil(smoothness / smoothness.mean()))
        assert 50 <= counts.sum() <= 100
        assert_allclose(clone_weights(smoothness), counts / counts.sum())
        clones = np.sqrt(counts.sum() * np.sum(smoothness**2 / counts)) / 50  # L_QM of the clones
        assert smoothness.mean() * (1 - 1e-12) <= clones <= np.sqrt(2) * smoothness.mean()


def test_equal_workers_have_no_clones():
    for value in (0.1, 1 / 3, 7.0):  # whose mean is not exact
        assert_allclose(clone_weights(np.full(49, value)), 1 / 49)
