"""The laws of every problem: gradients, differences and constants against independent references.

`exact_loss` is a plain loop over workers and samples in decimal arithmetic of 60 digits.
"""

from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluations import (
    difference,
    gradients_at,
    losses_at,
    many_differences,
    many_gradients,
    many_losses,
    norms,
    points,
    slopes_at,
    variances_at,
    weighted_at,
    worker_hessians,
)
from instances import DIM, INSTANCES, MORE_INSTANCES, UNEQUAL, WORKERS, Network, Quadratics, Samples, instance
from numpy.testing import assert_allclose
from problem_laws import curvature_slacks, gradient_slacks

from problems import (
    FiniteSum,
    InvalidInput,
    LeastSquares,
    LogisticRegression,
    Problem,
    Quadratic,
    TwoLayerNetwork,
    load_dataset,
    partition,
)
from problems.regularizers import make_regularizer
from problems.two_layer_network import estimation_points, tanh_difference

EPS = np.finfo(float).eps
NAMES = [*INSTANCES, *MORE_INSTANCES]
every_instance = pytest.mark.parametrize("name", NAMES)
CERTIFIED = [name for name in NAMES if name != "network"]
certified_instance = pytest.mark.parametrize("name", CERTIFIED)
on_samples = pytest.mark.parametrize("name", [name for name in NAMES if "logistic" in name or "squares" in name])
on_sums = pytest.mark.parametrize(
    "name", [name for name in NAMES if "logistic" in name or "squares" in name] + ["network"]
)


def numbers(array: np.ndarray) -> list[Any]:
    """The same numbers, exactly, as nested lists of decimals."""
    return [Decimal(float(entry)) for entry in array] if array.ndim == 1 else [numbers(row) for row in array]


def dot(a: list[Decimal], b: list[Decimal]) -> Decimal:
    return sum((s * t for s, t in zip(a, b, strict=True)), Decimal(0))


def exact_sample_loss(data: Samples, prediction: Decimal, target: Decimal) -> Decimal:
    if data.loss == "squares":
        return (prediction - target) ** 2 / 2
    return (1 + (-target * prediction).exp()).ln()


def tanh(z: Decimal) -> Decimal:
    return 1 - 2 / ((2 * z).exp() + 1)


def exact_network_loss(data: Network, row: list[Decimal], x: list[Decimal], target: Decimal) -> Decimal:
    h, p = data.hidden, len(row)
    inner = [dot(row, x[k * p : (k + 1) * p]) + x[h * p + k] for k in range(h)]
    prediction = sum((x[h * (p + 1) + k] * tanh(z) for k, z in enumerate(inner)), x[-1])
    return (prediction - target) ** 2 / 2


def exact_worker_loss(data: Quadratics | Samples | Network, worker: int, x: list[Decimal]) -> Decimal:
    if isinstance(data, Quadratics):
        rows, vector = numbers(data.matrices[worker]), numbers(data.vectors[worker])
        product = [dot(row, x) for row in rows]
        return dot(product, x) / 2 - dot(vector, x) + Decimal(float(data.constants[worker]))
    rows, targets = numbers(data.features[worker]), numbers(data.targets[worker])
    if isinstance(data, Network):
        losses = [exact_network_loss(data, row, x, target) for row, target in zip(rows, targets, strict=True)]
        return sum(losses, Decimal(0)) / len(losses)
    losses = [exact_sample_loss(data, dot(row, x), target) for row, target in zip(rows, targets, strict=True)]
    penalties = {
        "none": lambda v: Decimal(0),
        "l2": lambda v: v * v / 2,
        "nonconvex": lambda v: v * v / (1 + v * v),
    }
    penalty = sum(map(penalties[data.regularizer], x), Decimal(0))
    return sum(losses, Decimal(0)) / len(losses) + Decimal(float(data.strength)) * penalty


def exact_loss(data: Quadratics | Samples | Network, x: list[Decimal]) -> Decimal:
    workers = len(data.vectors if isinstance(data, Quadratics) else data.features)
    return sum((exact_worker_loss(data, worker, x) for worker in range(workers)), Decimal(0)) / workers


# --- losses and gradients -------------------------------------------------------------------------------


@every_instance
def test_loss_is_the_mean_of_the_workers_losses(name):
    problem, data = instance(name)
    x = points(problem, 1)[0]
    with localcontext(prec=60):
        expected = [float(exact_worker_loss(data, worker, numbers(x))) for worker in range(problem.num_workers)]
    assert_allclose(losses_at(problem, x), expected, rtol=1e-13, atol=1e-13)
    assert_allclose(problem.loss(x), np.mean(expected), rtol=1e-13, atol=1e-13)


def test_a_problem_says_its_sizes_and_constants():
    problem = instance("dense").problem
    own = np.asarray(problem.worker_smoothness)
    means = f"L={float(problem.smoothness):.4g}, L_AM={own.mean():.4g}, L_QM={np.sqrt((own**2).mean()):.4g}"
    assert repr(problem) == f"Quadratic(n={WORKERS}, d={DIM}, {means}, mu={problem.pl_constant:.4g})"
    told = []
    jax.jit(lambda traced: told.append(repr(traced)))(problem)  # in an error's message, say
    assert told == [f"Quadratic(n={WORKERS}, d={DIM}, traced)"]


def test_unequal_workers_weigh_the_same_and_not_their_samples():
    problem, data = instance("logistic-unequal")
    x = points(problem, 1)[0]
    with localcontext(prec=60):
        losses = [float(exact_worker_loss(data, worker, numbers(x))) for worker in range(problem.num_workers)]
    assert abs(float(problem.loss(x)) - np.average(losses, weights=UNEQUAL)) > 1e-3


@every_instance
def test_gradients_are_those_of_the_losses(name):
    problem = instance(name).problem
    for x in points(problem, 5):
        found, expected = gradients_at(problem, x), slopes_at(problem, x)
        assert np.all(gradient_slacks(problem, x) >= 0)
        assert np.max(np.abs(found - expected / 2)) > 1e-3  # half the derivative would not pass
        assert_allclose(
            problem.gradient(x), np.mean(expected, axis=0), rtol=1e-11, atol=1e-11 * np.max(np.abs(expected))
        )


@every_instance
def test_gradients_are_those_of_the_losses_at_the_origin(name):
    # the default start, where the two branches of an overflow-safe log(1 + exp(-z)) meet
    problem = instance(name).problem
    x = jnp.zeros(problem.dim)
    assert_allclose(slopes_at(problem, x), gradients_at(problem, x), rtol=1e-13, atol=1e-13)


@every_instance
def test_functions_of_x_map_over_many_points(name):
    problem = instance(name).problem
    many, steps = points(problem, 3), points(problem, 3, seed=1)
    # products of another shape are summed in another order
    close = partial(assert_allclose, rtol=1e-12, atol=1e-12)
    close(many_gradients(problem, many), [gradients_at(problem, x) for x in many])
    close(many_losses(problem, many), [np.mean(losses_at(problem, x)) for x in many])
    pairs = zip(many, steps, strict=True)
    close(many_differences(problem, many, steps), [difference(problem, x, step) for x, step in pairs])


@every_instance
def test_every_worker_may_be_asked_at_a_point_of_its_own(name):
    problem = instance(name).problem
    many = points(problem, problem.num_workers)
    expected = [gradients_at(problem, x)[worker] for worker, x in enumerate(many)]
    assert_allclose(gradients_at(problem, many), expected, rtol=1e-12, atol=1e-12)
    if isinstance(problem, FiniteSum):
        weights = problem.shards.weights
        assert_allclose(weighted_at(problem, many, weights), expected, rtol=1e-12, atol=1e-12)


@on_samples
def test_a_list_of_equal_blocks_is_the_stacked_array(name):
    data = instance(name).data
    assert isinstance(data, Samples)
    features, targets = (np.stack([block[:1] for block in blocks]) for blocks in (data.features, data.targets))
    cls = type(instance(name).problem)
    stacked = cls.from_arrays(features, targets, data.regularizer, data.strength)
    listed = cls.from_arrays(list(features), list(targets), data.regularizer, data.strength)
    jax.tree.map(np.testing.assert_array_equal, stacked, listed)


# --- differences without cancellation -------------------------------------------------------------------


@every_instance
@pytest.mark.parametrize("size", [1e-9, 1e-4, 1.0, 1e4])
def test_loss_difference_is_accurate_relative_to_the_terms_of_a_descent_inequality(name, size):
    problem, data = instance(name)
    for x, direction in zip(points(problem, 2, seed=1), points(problem, 2, seed=2), strict=True):
        step = size * direction / np.linalg.norm(direction)
        with localcontext(prec=60):
            there = [a + b for a, b in zip(numbers(x), numbers(step), strict=True)]
            expected = float(exact_loss(data, there) - exact_loss(data, numbers(x)))
        terms = np.linalg.norm(problem.gradient(x)) * size + float(problem.smoothness) * size**2
        assert abs(float(difference(problem, x, step)) - expected) <= 1e-13 * terms
        if size == 1e-9 and abs(expected) > 1e-11:  # the control: subtracting losses is not good enough
            assert abs(float(problem.loss(x + step) - problem.loss(x)) - expected) > 1e-13 * terms


@pytest.mark.parametrize("size", [1e6, 1e100, 1e300])
def test_logistic_loss_difference_does_not_overflow(size):
    problem = instance("logistic").problem
    direction = np.ones(problem.dim) / problem.dim
    for step in (size * direction, -size * direction):
        # so far out the loss is linear: phi(z) = max(-z, 0)
        slopes = np.asarray(problem.shards.features) @ direction
        expected = np.mean(np.maximum(-np.sign(step[0]) * slopes, 0)) * size
        assert_allclose(problem.loss_difference(jnp.zeros(problem.dim), jnp.asarray(step)), expected, rtol=1e-5)


@pytest.mark.parametrize("prediction", [2000.0, -2000.0])
def test_logistic_phi_difference_across_the_origin_does_not_underflow(prediction):
    # as an overshooting step makes it; phi(z) = max(-z, 0) so far out
    changes = np.array([-1.5, -0.9, 0.9]) * prediction
    expected = np.maximum(-prediction - changes, 0) - max(-prediction, 0)
    found = LogisticRegression.phi_difference(jnp.full(3, prediction), jnp.asarray(changes), jnp.ones(3))
    assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("change", [s * c for c in (1e-12, 1e-3, 0.2499, 0.2501, 1.0, 5.0) for s in (-1, 1)])
def test_logistic_phi_difference_of_single_samples(change):
    # predictions up to 10: beyond, losses of 1e-5 and less are lost against the others of a mean
    predictions = np.linspace(-10, 10, 41)
    with localcontext(prec=60):
        exact = [
            float((1 + (-(Decimal(z) + Decimal(change))).exp()).ln() - (1 + (-Decimal(z)).exp()).ln())
            for z in map(float, predictions)
        ]
    found = LogisticRegression.phi_difference(jnp.asarray(predictions), jnp.full(41, change), jnp.ones(41))
    assert_allclose(found, exact, rtol=1e-11)


@pytest.mark.parametrize("kind", ["none", "l2", "nonconvex"])
def test_regularizers_agree_with_their_derivatives(kind):
    regularizer = make_regularizer(kind, 0.0 if kind == "none" else 0.3)
    curvature = jax.vmap(jax.grad(lambda v: regularizer.gradient(v[None])[0]))
    grid = jnp.linspace(-4, 4, 801)  # 0 and 1, where the curvature of the nonconvex one is extreme, are among them
    assert_allclose(jnp.max(curvature(grid)), regularizer.highest_curvature, atol=1e-15)
    assert_allclose(jnp.min(curvature(grid)), regularizer.lowest_curvature, atol=1e-15)
    assert_allclose(jax.grad(regularizer.value)(grid), regularizer.gradient(grid), atol=1e-14)
    assert_allclose(
        regularizer.difference(grid, 2 + grid),
        regularizer.value(2 + 2 * grid) - regularizer.value(grid),
        rtol=1e-12,
    )


# --- constants ------------------------------------------------------------------------------------------


@certified_instance
def test_smoothness_is_the_norm_of_the_hessian_at_the_origin(name):
    # where it is largest for every problem here
    problem = instance(name).problem
    hessians = worker_hessians(problem, np.zeros(problem.dim))
    assert_allclose(problem.worker_smoothness, norms(hessians), rtol=1e-13)
    assert_allclose(problem.smoothness, norms(hessians.mean(axis=0)), rtol=1e-13)
    assert_allclose(problem.hessian(jnp.zeros(problem.dim)), hessians.mean(axis=0), rtol=1e-12, atol=1e-13)


def test_smoothness_of_an_indefinite_worker_is_not_its_largest_eigenvalue():
    problem = instance("indefinite").problem
    largest = np.linalg.eigvalsh(problem.matrices)[:, -1]
    assert np.any(problem.worker_smoothness > 1.01 * largest) and not problem.workers_convex


@certified_instance
def test_smoothness_is_never_violated(name):
    problem = instance(name).problem
    x, y = points(problem, 50, seed=3), points(problem, 50, seed=4)
    y[:25] = x[:25] + 1e-3 * y[:25]  # neighbours, too
    at_x, at_y = (np.asarray(many_gradients(problem, at)) for at in (x, y))
    change, distance = at_x - at_y, np.linalg.norm(x - y, axis=1)
    rounding = 1e-12 * np.max(np.abs(at_x))
    constants = np.asarray(problem.worker_smoothness)
    assert np.all(np.linalg.norm(change, axis=2) <= np.outer(distance, constants) + rounding)
    assert np.all(np.linalg.norm(change.mean(axis=1), axis=1) <= distance * float(problem.smoothness) + rounding)
    for point in x[:3]:
        assert np.all(curvature_slacks(problem, point) >= 0)


@certified_instance
def test_smoothness_is_attained(name):
    # the control of the test above: along the top eigenvector at the origin, 0.99 L_i is violated
    problem = instance(name).problem
    at_origin = np.asarray(gradients_at(problem, np.zeros(problem.dim)))
    for worker, hessian in enumerate(worker_hessians(problem, np.zeros(problem.dim))):
        values, vectors = np.linalg.eigh(hessian)
        step = 1e-4 * vectors[:, np.argmax(np.abs(values))]
        change = gradients_at(problem, step)[worker] - at_origin[worker]
        assert np.linalg.norm(change) > 0.99 * float(problem.worker_smoothness[worker]) * 1e-4


HAS_MINIMIZER = [name for name in CERTIFIED if "logistic" not in name or "l2" in name]


@pytest.mark.parametrize("name", HAS_MINIMIZER)
def test_minimizer_has_no_gradient_and_minimum_is_below_every_loss(name):
    problem, data = instance(name)
    gradients = np.asarray(gradients_at(problem, problem.minimizer))
    scale = np.mean(np.linalg.norm(gradients, axis=1)) + float(problem.smoothness) * np.linalg.norm(problem.minimizer)
    assert np.linalg.norm(gradients.mean(axis=0)) <= 100 * EPS * scale
    assert problem.minimum == problem.lower_bound
    with localcontext(prec=60):
        assert abs(problem.minimum - float(exact_loss(data, numbers(problem.minimizer)))) <= 1e-13 * (
            1 + abs(problem.minimum)
        )
    assert np.all(many_losses(problem, problem.minimizer + points(problem, 100) / 100) > problem.minimum)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HAS_MINIMIZER])
def test_without_a_known_minimizer_the_lower_bound_is_below_every_loss(name):
    problem = instance(name).problem
    assert problem.minimizer is None and problem.minimum is None and problem.pl_constant is None
    assert np.all(many_losses(problem, points(problem, 100)) >= problem.lower_bound)


@pytest.mark.parametrize("name", HAS_MINIMIZER)
def test_polyak_lojasiewicz_inequality(name):
    problem = instance(name).problem
    x = problem.minimizer + points(problem, 50, seed=5)
    gaps = jax.vmap(problem.loss_difference)(jnp.broadcast_to(problem.minimizer, x.shape), x - problem.minimizer)
    squares = np.sum(np.asarray(jax.vmap(problem.gradient)(x)) ** 2, axis=1)
    assert np.all(squares >= 2 * problem.pl_constant * gaps * (1 - 1e-12))


# mu of logistic regression is that of its regulariser alone, and with the nonconvex one mu is a bound only
EXACT_PL = [name for name in HAS_MINIMIZER if "logistic" not in name and not name.endswith("nonconvex")]


@pytest.mark.parametrize("name", EXACT_PL)
def test_pl_constant_is_the_smallest_nonzero_eigenvalue_and_attained(name):
    problem = instance(name).problem
    values, vectors = np.linalg.eigh(np.mean(worker_hessians(problem, np.zeros(problem.dim)), axis=0))
    flat = values < 1e-12
    assert flat.sum() == (problem.dim // 2 if "rank-deficient" in name else 0)
    assert_allclose(problem.pl_constant, values[~flat][0], rtol=1e-12)
    step = vectors[:, ~flat][:, 0]
    gradient = np.mean(gradients_at(problem, problem.minimizer + step), axis=0)
    gap = float(difference(problem, problem.minimizer, step))
    assert np.sum(gradient**2) < 1.01 * 2 * problem.pl_constant * gap


@every_instance
def test_strong_convexity_is_below_every_curvature_and_the_pl_constant(name):
    problem = instance(name).problem
    lowest = min(
        np.linalg.eigvalsh(worker_hessians(problem, x).mean(axis=0))[0]
        for x in (np.zeros(problem.dim), np.ones(problem.dim), *points(problem, 5))
    )
    if problem.strong_convexity is None:
        assert lowest < 1e-12 or "logistic" in name  # of logistic regression, the infimum over all x is zero or less
    else:
        assert 0 < problem.strong_convexity <= lowest * (1 + 1e-12)
        assert problem.strong_convexity <= problem.pl_constant


@every_instance
def test_convexity_of_the_workers(name):
    problem = instance(name).problem
    at = [np.zeros(problem.dim), np.ones(problem.dim), -np.ones(problem.dim)]
    lowest = min(np.linalg.eigvalsh(worker_hessians(problem, x)).min() for x in at)
    assert problem.workers_convex == (lowest > -1e-12)


def test_a_column_of_another_unit_is_not_a_flat_direction():
    # sigma^2 is below rounding error relative to the largest one, sigma is not: f falls along the third axis
    rng = np.random.default_rng(0)
    rows, targets = rng.standard_normal((3, 10, 3)), rng.standard_normal((3, 10))
    problem = LeastSquares.from_arrays(rows * [1.0, 1.0, 1e-9], targets)
    stretched = LeastSquares.from_arrays(rows, targets)
    assert_allclose(problem.lower_bound, stretched.lower_bound, rtol=1e-9)
    assert problem.pl_constant < 1e-17


# --- what the theorems on heterogeneity, sparsity and stochastic gradients need ----------------------------


def mean_squared_change(problem: Problem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """sqrt((1/n) sum_i |grad f_i(x) - grad f_i(y)|^2) / |x - y| of pairs [k, d], [k, d] -> [k]."""
    change = np.asarray(many_gradients(problem, x)) - np.asarray(many_gradients(problem, y))
    return np.sqrt(np.mean(np.sum(change**2, axis=2), axis=1)) / np.linalg.norm(x - y, axis=1)


def pairs_of_points(dim: int, count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Far ones and neighbours, and such that differ in one coordinate only. [k, d] each."""
    rng = np.random.default_rng(21)
    x, step = rng.standard_normal((2, count, dim))
    step[: count // 2] *= 1e-3
    step[::3] *= np.arange(dim) == rng.integers(0, dim, (len(step[::3]), 1))
    return x, x + step


@certified_instance
def test_mean_squared_smoothness_is_never_violated_and_between_its_bounds(name):
    problem = instance(name).problem
    constant = problem.mean_squared_smoothness
    assert np.all(mean_squared_change(problem, *pairs_of_points(problem.dim)) <= constant * (1 + 1e-9))
    squares = np.asarray(problem.worker_smoothness) ** 2
    assert float(problem.smoothness) <= constant * (1 + 1e-12)
    assert constant <= np.sqrt(squares.mean()) * (1 + 1e-12)
    assert constant <= np.sqrt(problem.sparsity.spread / problem.num_workers * squares.max()) * (1 + 1e-12)
    # the control: along the top eigenvector of the mean square at the origin, a smaller constant is violated
    hessians = worker_hessians(problem, np.zeros(problem.dim))
    values, vectors = np.linalg.eigh(np.mean(hessians @ hessians, axis=0))
    found = mean_squared_change(problem, np.zeros((1, problem.dim)), 1e-4 * vectors[None, :, -1])[0]
    assert found == pytest.approx(np.sqrt(values[-1]), rel=1e-5)
    if hasattr(problem, "matrices"):
        assert_allclose(constant, found, rtol=1e-9)  # exact for quadratics
    assert found > 0.6 * constant


def test_mean_squared_smoothness_of_rare_features_is_below_the_quadratic_mean():
    problem = LogisticRegression.rare_features(8, 8, 2)  # all L_i = 1 and c = 2
    assert problem.mean_squared_smoothness == pytest.approx(np.sqrt(2 / 8))


@every_instance
def test_strong_convexity_of_the_workers(name):
    problem = instance(name).problem
    at = [np.zeros(problem.dim), np.ones(problem.dim), -np.ones(problem.dim), *points(problem, 3)]
    lowest = min(np.linalg.eigvalsh(worker_hessians(problem, x)).min() for x in at)
    found = problem.worker_strong_convexity
    if found is None:
        assert lowest < 1e-12 or ("logistic" in name and "l2" not in name)
    else:
        assert 0 < found <= lowest * (1 + 1e-12)
        assert found <= problem.strong_convexity * (1 + 1e-12)
        assert found == pytest.approx(0.1) if "logistic" in name else found >= lowest * (1 - 1e-12)


def used_coordinates(data: Quadratics | Samples | Network, dim: int) -> np.ndarray:
    """Whether f_i depends on coordinate j, by loops over the raw data. [n, d]."""
    if isinstance(data, Network):
        return np.ones((len(data.features), dim), bool)
    if isinstance(data, Quadratics):
        rows = [[*a, b] for a, b in zip(data.matrices, data.vectors, strict=True)]
    else:
        rows = [[*block, *([np.ones(dim)] if data.regularizer != "none" else [])] for block in data.features]
    return np.array([[any(row[j] != 0 for row in worker) for j in range(dim)] for worker in rows])


@every_instance
def test_sparsity_is_counted_exactly(name):
    problem, data = instance(name)
    used = used_coordinates(data, problem.dim)
    constants = np.asarray(problem.worker_smoothness)
    load = max(sum(constants[i] for i in range(problem.num_workers) if used[i, j]) for j in range(problem.dim))
    expected = (max(used.sum(axis=0)), max(used.sum(axis=1)), load)
    assert_allclose(problem.sparsity, expected, rtol=1e-12)
    everything = (problem.num_workers, problem.dim, constants.sum())
    assert np.allclose(problem.sparsity, everything) == (name != "sparse-logistic")


def test_sparsity_of_quadratics_sees_a_coordinate_of_the_vector_alone():
    # coordinate 0 of both, 1 of the first, 2 of the second through b only, 3 of nobody
    diagonals = np.array([[2.0, 5.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0]])
    for matrices in (diagonals, np.stack([np.diag(row) for row in diagonals])):
        assert Quadratic.from_arrays(matrices, np.zeros((2, 4))).sparsity == (2, 2, 8)
    vectors = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, -1.0, 0.0]])
    assert Quadratic.from_arrays(diagonals, vectors).sparsity == (2, 3, 8)


@pytest.mark.parametrize("regularizer", ["l2", "nonconvex"])
def test_a_regularizer_uses_every_coordinate(regularizer):
    data = instance("sparse-logistic").data
    problem = LogisticRegression.from_arrays(data.features, data.targets, regularizer, 0.1)
    constants = np.asarray(problem.worker_smoothness)
    assert_allclose(problem.sparsity, (problem.num_workers, problem.dim, constants.sum()), rtol=1e-12)


def sample_loss(kind: tuple[str, Any], x: Any, row: Any, target: Any, strength: Any) -> Any:
    """f_ij, written out again; the kind is ("network", h) or the loss and the regulariser."""
    loss, option = kind
    if loss == "network":
        h, p = option, len(row)
        inner = x[: h * p].reshape(h, p) @ row + x[h * p : h * (p + 1)]
        return (x[h * (p + 1) : -1] @ jnp.tanh(inner) + x[-1] - target) ** 2 / 2
    penalty = {"none": 0.0, "l2": jnp.sum(x**2) / 2, "nonconvex": jnp.sum(x**2 / (1 + x**2))}[option]
    prediction = row @ x
    fit = (prediction - target) ** 2 / 2 if loss == "squares" else jnp.logaddexp(0.0, -target * prediction)
    return fit + strength * penalty


@partial(jax.jit, static_argnums=(0, 1))
def of_every_sample(derivative: Any, kind: tuple[str, Any], xs: Any, rows: Any, targets: Any, strength: Any) -> Any:
    at_one = jax.vmap(derivative(partial(sample_loss, kind)), (None, 0, 0, None))
    return jax.vmap(at_one, (0, None, None, None))(xs, rows, targets, strength)


def by_sample(data: Samples | Network, xs: np.ndarray, derivative: Any = jax.grad) -> list[np.ndarray]:
    """grad f_ij(x) (or another derivative) by automatic differentiation. [k, d] -> n times [k, m_i, d]."""
    network = isinstance(data, Network)
    kind, strength = (("network", data.hidden), 0.0) if network else ((data.loss, data.regularizer), data.strength)
    rows, targets = np.concatenate(data.features), np.concatenate(data.targets)
    every = np.asarray(of_every_sample(derivative, kind, xs, rows, targets, strength))
    return np.split(every, np.cumsum([len(block) for block in data.features])[:-1], axis=1)


@on_sums
def test_weighted_gradients_are_those_of_the_samples(name):
    problem, data = instance(name)
    x = points(problem, 2)[1]
    expected = [block[0] for block in by_sample(data, x[None])]
    counts = [len(block) for block in data.features]
    assert np.asarray(problem.sample_counts).tolist() == counts and problem.most_samples == max(counts)
    close = partial(assert_allclose, rtol=1e-11, atol=1e-11 * max(np.max(np.abs(block)) for block in expected))
    uniform = np.array([[(j < m) / m for j in range(max(counts))] for m in counts])
    close(weighted_at(problem, x, uniform), problem.worker_gradients(x))
    for j in range(max(counts)):
        one_hot = np.array([np.arange(max(counts)) == min(j, m - 1) for m in counts], float)
        close(weighted_at(problem, x, one_hot), [block[min(j, len(block) - 1)] for block in expected])
    mixed = np.random.default_rng(22).dirichlet(np.ones(max(counts)), len(counts)) * (uniform > 0)
    mixed /= mixed.sum(axis=1, keepdims=True)
    rows = [w[:m] @ block for w, m, block in zip(mixed, counts, expected, strict=True)]
    close(weighted_at(problem, x, mixed), rows)
    # the control: another weighting gives something else, unless there is a single sample
    distance = np.linalg.norm(np.asarray(rows) - problem.worker_gradients(x), axis=1)
    assert np.all((distance > 1e-6) == (np.array(counts) > 1))


@on_sums
def test_sample_variances_are_those_of_the_samples(name):
    problem, data = instance(name)
    counts = np.array([len(block) for block in data.features])
    for x in points(problem, 3):
        blocks = [block[0] for block in by_sample(data, x[None])]
        expected = np.array([np.mean(np.sum((block - block.mean(axis=0)) ** 2, axis=1)) for block in blocks])
        squares = np.array([np.mean(np.sum(block**2, axis=1)) for block in blocks])
        found = np.asarray(variances_at(problem, x))
        assert np.all(np.abs(found - expected) <= 1e-12 * squares)
        # the control: as if padding were samples, and as if nothing varied
        padded = expected * counts / problem.most_samples
        assert np.any(np.abs(found - padded) > 1e-3 * expected) == (len(set(counts)) > 1)
        assert np.all((found > 1e-6 * squares) == (counts > 1))


@on_sums
def test_sample_smoothness_is_never_violated(name):
    problem, data = instance(name)
    # of a network: within reach of where its curvature was looked at, and far from bounds that are only that
    reach, factor = (0.5, 12) if name == "network" else (1.0, 4)
    x, y = (reach * at for at in pairs_of_points(problem.dim))
    distance = np.linalg.norm(x - y, axis=1)
    changes = [a - b for a, b in zip(by_sample(data, x), by_sample(data, y), strict=True)]
    spreads = [change - change.mean(axis=1, keepdims=True) for change in changes]
    largest = [np.max(np.linalg.norm(change, axis=2).max(axis=1) / distance) for change in changes]
    varied = [np.max(np.sqrt(np.mean(np.sum(spread**2, axis=2), axis=1)) / distance) for spread in spreads]
    constants, differences = problem.sample_smoothness, problem.sample_difference_smoothness
    assert np.all(largest <= constants * (1 + 1e-9)) and np.all(varied <= differences * (1 + 1e-9))
    assert np.all(differences <= constants * (1 + 1e-12))
    assert np.all(problem.worker_smoothness <= constants * (1 + 1e-12))
    # the control: constants a few times smaller are violated
    assert np.any(largest > constants / factor) and np.any(varied > differences / factor)


@pytest.mark.parametrize("name", ["logistic", "logistic-nonconvex-unequal", "squares-nonconvex"])
def test_sample_smoothness_is_attained(name):
    # at the origin, along the longest row
    problem, data = instance(name)
    for worker, block in enumerate(data.features):
        longest = np.argmax(np.linalg.norm(block, axis=1))
        step = 1e-5 * block[longest] / np.linalg.norm(block[longest])
        here, there = by_sample(data, np.stack([0 * step, step]))[worker][:, longest]
        assert np.linalg.norm(there - here) > 0.99 * problem.sample_smoothness[worker] * 1e-5


@pytest.mark.parametrize("name", ["logistic-unequal", "squares-unequal"])
def test_rows_of_weight_zero_do_not_count(name):
    # what is in the padding changes nothing, so that no constant can see how long it is
    problem, data = instance(name)
    x = points(problem, 1)[0]
    for worker, (block, targets) in enumerate(zip(data.features, data.targets, strict=True)):
        alone = type(problem).from_arrays([block], [targets])
        for constant in ("sample_smoothness", "sample_difference_smoothness", "worker_smoothness"):
            assert_allclose(getattr(alone, constant)[0], getattr(problem, constant)[worker], rtol=1e-12)
        assert_allclose(variances_at(alone, x)[0], variances_at(problem, x)[worker], rtol=1e-9, atol=1e-12)


# --- the network, whose constants are estimates ---------------------------------------------------------


def test_estimates_of_a_network_are_the_largest_hessian_norms_at_its_points():
    problem = instance("network").problem
    found = [worker_hessians(problem, x) for x in estimation_points(problem.dim)]
    expected = np.max([norms(hessians) for hessians in found], axis=0)
    # from below, and by little
    assert np.all(problem.worker_smoothness <= expected * (1 + 1e-9))
    assert_allclose(problem.worker_smoothness, expected, rtol=0.02)
    assert_allclose(problem.smoothness, np.max([norms(hessians.mean(axis=0)) for hessians in found]), rtol=0.02)
    assert problem.smoothness <= problem.worker_smoothness.mean() * (1 + 1e-9)
    assert not problem.certified and all(instance(name).problem.certified for name in CERTIFIED)


def test_a_network_has_no_global_smoothness():
    problem = instance("network").problem
    far = 0.1 * np.random.default_rng(0).standard_normal(problem.dim)
    far[-3:-1] = 100.0  # the outer weights
    assert np.any(norms(worker_hessians(problem, far)) > 2 * np.asarray(problem.worker_smoothness))


def test_curvatures_of_a_networks_samples_bound_their_hessians():
    problem, data = instance("network")
    xs = np.concatenate([np.zeros((1, problem.dim)), points(problem, 4)])
    bounds = np.asarray(jax.vmap(problem._sample_curvatures)(xs))
    for worker, hessians in enumerate(by_sample(data, xs, jax.hessian)):
        exact, bound = norms(hessians), bounds[:, worker]
        count = exact.shape[1]
        assert np.all(exact <= bound[:, :count] * (1 + 1e-12)) and np.all(bound[:, count:] == 0)
        assert np.any(exact > bound[:, :count] / 3)


def test_a_network_on_a_data_set():
    problem = TwoLayerNetwork.from_dataset(
        "breast-cancer-wisconsin", workers=3, hidden=2, scaling="standardize", split="by-label"
    )
    assert problem.num_workers == 3 and problem.dim == 2 * (30 + 2) + 1 and problem.most_samples == 189
    assert set(np.unique(problem.shards.targets)) == {-1.0, 1.0}
    assert problem.sparsity == pytest.approx((3, 65, float(np.sum(problem.worker_smoothness))))


def test_the_difference_of_tanh_is_accurate_relative_to_itself():
    z = np.array([-30.0, -3.0, -0.1, 0.0, 1e-8, 2.0, 17.0])
    for change in (1e-12, -1e-3, 0.999, -1.001, 4.0):
        with localcontext(prec=60):
            exact = [float(tanh(Decimal(a) + Decimal(change)) - tanh(Decimal(a))) for a in map(float, z)]
        found = tanh_difference(jnp.asarray(z), jnp.full(len(z), change))
        small = abs(change) < 1
        assert_allclose(found, exact, rtol=1e-13 if small else 0, atol=0 if small else 1e-15)


# --- real data ------------------------------------------------------------------------------------------


def test_logistic_regression_on_a_data_set_split_by_label():
    name, workers = "breast-cancer-wisconsin", 7
    problem = LogisticRegression.from_dataset(
        name,
        workers=workers,
        scaling="standardize",
        split="by-label",
        remainder="spread",
        intercept=True,
        regularizer="l2",
        strength=0.1,
    )
    data = load_dataset(name)
    assert problem.num_workers == workers and problem.dim == data.features.shape[1] + 1
    scaled = (data.features - data.features.mean(axis=0)) / data.features.std(axis=0)
    scaled = np.column_stack([scaled, np.ones(len(scaled))])
    shards = partition(data.labels, workers, "by-label", "spread")
    assert sum(len(np.unique(data.labels[shard])) == 1 for shard in shards) >= workers - 1
    constants = [np.linalg.svd(scaled[s], compute_uv=False)[0] ** 2 / (4 * len(s)) + 0.1 for s in shards]
    assert_allclose(problem.worker_smoothness, constants, rtol=1e-12)
    assert len({len(shard) for shard in shards}) == 2  # unequal, so that f is not the mean over the samples
    hessian = np.mean([scaled[s].T @ scaled[s] / (4 * len(s)) for s in shards], axis=0) + 0.1 * np.eye(problem.dim)
    assert_allclose(problem.smoothness, np.linalg.eigvalsh(hessian)[-1], rtol=1e-12)
    assert problem.pl_constant == pytest.approx(0.1)
    x = np.random.default_rng(0).standard_normal(problem.dim)
    losses = [np.mean(np.logaddexp(0, -data.labels[s] * (scaled[s] @ x))) + 0.05 * x @ x for s in shards]
    assert_allclose(problem.worker_losses(x), losses, rtol=1e-12)


# --- bad input ------------------------------------------------------------------------------------------

ROWS, LABELS = np.ones((2, 3, 4)), np.ones((2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogisticRegression.from_arrays(ROWS, 0 * LABELS), "labels must be -1 or \\+1, not 0"),
        (lambda: LogisticRegression.from_arrays(ROWS, 2 * LABELS), "labels must be -1 or \\+1, not 2"),
        (lambda: LogisticRegression.from_arrays(ROWS, np.nan * LABELS), "worker 0 .*not finite"),
        (lambda: LeastSquares.from_arrays(np.inf * ROWS, LABELS), "worker 0 .*not finite"),
        (lambda: LeastSquares.from_arrays([ROWS[0], np.nan * ROWS[1]], LABELS), "worker 1 .*not finite"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS[:, :2]), "features \\(3, 4\\) and targets \\(2,\\)"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS[:1]), "features of 2 workers .* targets of 1"),
        (lambda: LeastSquares.from_arrays(ROWS[0], LABELS[0]), "worker 0 has features \\(4,\\)"),
        (lambda: LeastSquares.from_arrays([np.ones((3, 4)), np.ones((3, 5))], LABELS), "worker 1 .*d = 4"),
        (
            lambda: LeastSquares.from_arrays([ROWS[0], ROWS[1, :0]], [LABELS[0], LABELS[1, :0]]),
            "worker 1 has no samples",
        ),
        (lambda: LeastSquares.from_arrays([], []), "features of 0 workers"),
        (
            lambda: LeastSquares.from_arrays(ROWS, LABELS, "L2", 0.1),
            "unknown regularizer 'L2'; known: l2, nonconvex, none",
        ),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS, "l2"), "l2 regularizer needs a finite strength > 0, not 0"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS, "l2", -1.0), "not -1"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS, "l2", np.nan), "not nan"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS, "none", 0.1), "strength 0.1 is given.*'none'"),
        (lambda: Quadratic.from_arrays(np.ones((2, 3)), np.ones((2, 4))), "\\(2, 3\\) and \\(2, 4\\)"),
        (lambda: Quadratic.from_arrays(np.ones((2, 3)), np.ones(3)), "\\(2, 3\\) and \\(3,\\)"),
        (
            lambda: Quadratic.from_arrays(np.nan * np.ones((2, 3)), np.ones((2, 3))),
            "matrices hold.*not finite",
        ),
        (
            lambda: Quadratic.from_arrays(np.ones((2, 3)), np.inf * np.ones((2, 3))),
            "vectors hold.*not finite",
        ),
        (
            lambda: Quadratic.from_arrays(np.arange(8.0).reshape(2, 2, 2), np.ones((2, 2))),
            "symmetric; matrices\\[0\\]",
        ),
        (
            lambda: Quadratic.from_arrays(-np.ones((2, 3)), np.ones((2, 3))),
            "not bounded below.*eigenvalue -1",
        ),
        (
            lambda: Quadratic.from_arrays(np.diag([1.0, 0.0])[None], np.ones((1, 2))),
            "not bounded below.*range",
        ),
        (lambda: Quadratic.random(3, 1), "dim must be at least 2, not 1"),
        (lambda: Quadratic.random(3, 20, pl_constant=1e-14), "rounding error.*not 1e-14"),
        (lambda: Quadratic.random(3, 3, seed=-1), "seed must be a whole number >= 0, not -1"),
        (lambda: Quadratic.from_arrays(np.ones((2, 3)), np.ones((2, 3)), [1.0] * 3), "constants must be .*2 of them"),
        (lambda: Quadratic.from_arrays(np.ones((2, 3)), np.ones((2, 3)), np.nan), "constants must be .*finite"),
        (lambda: Quadratic.from_arrays(np.ones((0, 3)), np.ones((0, 3))), r"matrices must be .*\(0, 3\)"),
        (lambda: Quadratic.from_arrays([[1.0], [1.0, 2.0]], np.ones((2, 2))), "matrices cannot be read"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS, "l2", np.inf), "finite strength > 0, not inf"),
        (lambda: LeastSquares.from_arrays(ROWS, LABELS, "l2", "1"), "finite strength > 0, not '1'"),
        (lambda: LeastSquares.from_arrays(3.0, LABELS), "features and targets must be"),
        (lambda: LeastSquares.from_arrays([np.ones((2, 0))], [np.ones(2)]), "no samples or no features"),
        (lambda: Quadratic.random(0, 3), "workers must be at least 1, not 0"),
        (lambda: Quadratic.random(3, 3, pl_constant=2.0), "pl_constant .*not 2"),
        (lambda: Quadratic.random(3, 3, pl_constant=0.0), "pl_constant .*not 0"),
        (lambda: Quadratic.random(3, 3, pl_constant=np.nan), "pl_constant .*not nan"),
        (lambda: Quadratic.random(4, 3, smoothness_ratio=2.1), "sqrt\\(4\\) = 2, not at 2.1"),
        (lambda: Quadratic.random(4, 3, smoothness_ratio=0.5), "not at 0.5"),
        (lambda: Quadratic.random(4, 3, profile="one-lage"), "'one-lage'.*did you mean 'one-large'"),
        (lambda: Quadratic.random(4, 3, structure="sparse"), "'sparse'; known: dense, diagonal"),
        (
            lambda: LeastSquares.from_dataset("breast-cancer-wisconsin", workers=10**6),
            "number of samples, 569; given 1000000",
        ),
        (lambda: LeastSquares.from_dataset("breast-cancer-wisconsn", workers=2), "did you mean"),
        (
            lambda: Quadratic.random(4, 3, minimizers="comon"),
            "'comon'; known: common, different; did you mean 'common'",
        ),
        (lambda: Quadratic.nonconvex(1, 3), "single worker has no heterogeneity; it must be 0, not 1"),
        (lambda: Quadratic.nonconvex(3, 3, heterogeneity=-1.0), "heterogeneity must be finite and >= 0, not -1"),
        (lambda: Quadratic.nonconvex(3, 1), "dim must be at least 2, not 1"),
        (lambda: Quadratic.nonconvex(3, 3, pl_constant=1.0), "pl_constant .* smoothness = 1, not 1"),
        (lambda: Quadratic.nonconvex(3, 3, heterogeneity=1e14), "rounding error.*not 0.01"),
        (lambda: Quadratic.nonconvex(2.5, 3), "workers must be a whole number >= 1, not 2.5"),
        (lambda: Quadratic.tridiagonal(3, 0), "dim must be a whole number >= 1, not 0"),
        (lambda: Quadratic.tridiagonal(3, 3, noise=np.nan), "noise must be finite and >= 0, not nan"),
        (lambda: Quadratic.tridiagonal(3, 3, pl_constant=0.0), "pl_constant must be above .*not 0"),
        (lambda: Quadratic.tridiagonal(10**5, 10**4), "GiB"),
        (lambda: Quadratic.worst_case(dim=3), "dim must be 1 or 2, not 3"),
        (lambda: Quadratic.worst_case(pl_constant=1.0), "pl_constant .* smoothness = 1, not 1"),
        (lambda: Quadratic.worst_case(smoothness=np.inf), "smoothness must be positive and finite, not inf"),
        (lambda: LogisticRegression.rare_features(3, 4, 5), "features_per_worker must be at most dim = 4, not 5"),
        (lambda: LogisticRegression.rare_features(3, 4, 0), "features_per_worker must be .*>= 1, not 0"),
        (lambda: LogisticRegression.rare_features(4, 4, 2, smoothness_ratio=2.0), "L_i = 0.*less than .* 2"),
        (lambda: LogisticRegression.rare_features(4, 4, 2, smoothness_ratio=3.0), "sqrt\\(4\\) = 2, not at 3"),
        (lambda: LogisticRegression.rare_features(4, 4, 2, mean_smoothness=0.0), "mean_smoothness must be positive"),
        (lambda: LogisticRegression.rare_features(4, 4, 2, samples=0), "samples must be a whole number >= 1, not 0"),
        (lambda: LeastSquares.nonconvex_regression(4, smoothness_variance=1e4), "at most .* 7500, not 10000"),
        (lambda: LeastSquares.nonconvex_regression(4, smoothness_variance=-1.0), "smoothness_variance .*not -1"),
        (lambda: LeastSquares.nonconvex_regression(strength=25.0), "smallest L_i .* 2 strength = 50"),
        (lambda: LeastSquares.nonconvex_regression(strength=0.0), "strength > 0, not 0"),
        (
            lambda: LeastSquares.nonconvex_regression(smoothness_variance=4e6, profile="geometric"),
            "smoothness_variance 4e\\+06 with mean 50: .*out of reach",
        ),
        (lambda: TwoLayerNetwork.from_arrays(ROWS, LABELS, 0), "hidden must be a whole number >= 1, not 0"),
        (lambda: TwoLayerNetwork.from_arrays(np.nan * ROWS, LABELS), "worker 0 .*not finite"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


def test_a_mean_much_smaller_than_its_parts_is_judged_by_what_rounding_left_of_it():
    # A = (M, W - M): the mean is W/2, known to eps |M| only
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    large, small = 1e6 * basis @ np.diag([1, -1, 0.5, -0.3]) @ basis.T, basis @ np.diag([1.0, 0.5, 0.2, 0.0]) @ basis.T
    matrices = np.stack([(large + large.T) / 2, (small + small.T) / 2 - (large + large.T) / 2])
    problem = Quadratic.from_arrays(matrices, np.zeros((2, 4)))
    assert problem.pl_constant == pytest.approx(0.1, rel=1e-6) and problem.strong_convexity is None
