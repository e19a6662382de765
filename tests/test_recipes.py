"""Problems made to order: every recipe has the constants that it promises."""

import jax.numpy as jnp
import numpy as np
import pytest
from evaluations import norms, points, worker_hessians
from numpy.testing import assert_allclose

from problems import (
    InvalidInput,
    LeastSquares,
    LogisticRegression,
    Quadratic,
)
from problems.profiles import worker_smoothness_profile
from simulator.constants import Constants
from simulator.tight import tight_rate, tight_stepsize

EPS = np.finfo(float).eps


# --- quadratics with prescribed constants ---------------------------------------------------------------


@pytest.mark.parametrize("structure", ["dense", "diagonal"])
@pytest.mark.parametrize("profile", ["one-large", "geometric"])
@pytest.mark.parametrize(
    ("workers", "dim", "ratio", "mean_smoothness", "mu"),
    [
        (1, 2, 1.0, 1.0, 0.5),
        (2, 2, 1.3, 3.0, 1e-3),
        (10, 3, 3.0, 1.0, 1e-2),
        (50, 20, 6.0, 7.0, 1e-4),
        (40, 5, 1.0, 1e-6, 1e-8),
    ],
)
def test_random_quadratics_have_the_prescribed_constants(structure, profile, workers, dim, ratio, mean_smoothness, mu):
    problem = Quadratic.random(workers, dim, mean_smoothness, ratio, mu, profile, structure, seed=workers)
    constants = np.asarray(problem.worker_smoothness)
    assert_allclose(problem.smoothness, mean_smoothness, rtol=1e-10)
    assert_allclose(constants.mean(), mean_smoothness, rtol=1e-10)
    assert_allclose(np.sqrt(np.mean(constants**2)) / constants.mean(), ratio, rtol=1e-10)
    assert_allclose(problem.pl_constant, mu, rtol=1e-10)
    assert_allclose(problem.strong_convexity, mu, rtol=1e-10)
    assert problem.workers_convex
    assert problem.matrices.ndim == {"dense": 3, "diagonal": 2}[structure]
    hessians = (
        np.asarray(problem.matrices) if structure == "dense" else np.stack([np.diag(row) for row in problem.matrices])
    )
    assert_allclose(norms(hessians), constants, rtol=1e-10)
    assert_allclose(norms(hessians.mean(axis=0)[None]), mean_smoothness, rtol=1e-10)


def test_random_quadratics_have_minimizers_of_their_own():
    problem = Quadratic.random(6, 4, smoothness_ratio=2.0)
    own = [np.linalg.solve(a, b) for a, b in zip(problem.matrices, problem.vectors, strict=True)]
    assert min(np.linalg.norm(own[i] - own[j]) for i in range(6) for j in range(i)) > 0.1
    at_optimum = np.linalg.norm(problem.worker_gradients(jnp.asarray(problem.minimizer)), axis=1)
    assert np.all(at_optimum > 1e-3)


def test_random_quadratics_are_those_of_their_seed():
    first, again, other = (Quadratic.random(3, 4, seed=seed).matrices for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)


def test_random_quadratics_differ_in_more_than_their_scale():
    problem = Quadratic.random(3, 4, pl_constant=0.1)
    shapes = np.asarray(problem.matrices / problem.worker_smoothness[:, None, None])
    assert np.max(np.abs(shapes - shapes[0])) > 1e-3


def test_the_largest_ratio_leaves_one_worker_with_everything():
    problem = Quadratic.random(4, 3, smoothness_ratio=2.0)
    assert_allclose(problem.worker_smoothness, [4, 0, 0, 0], atol=1e-12)


# --- recipes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", ["dense", "diagonal"])
def test_common_minimizers_are_shared(structure):
    options = {"smoothness_ratio": 2.0, "pl_constant": 0.05, "structure": structure, "seed": 4}
    common = Quadratic.random(10, 7, minimizers="common", **options)
    different = Quadratic.random(10, 7, minimizers="different", **options)
    at_minimizer = [
        np.linalg.norm(problem.worker_gradients(jnp.asarray(problem.minimizer)), axis=1)
        for problem in (common, different)
    ]
    assert np.all(at_minimizer[0] <= 1e4 * EPS * np.linalg.norm(common.minimizer))
    assert np.all(at_minimizer[1] > 1e-3)
    assert_allclose(common.matrices, different.matrices, rtol=0)
    own = Quadratic.from_arrays(common.matrices[3:4], common.vectors[3:4])
    assert_allclose(own.minimizer, common.minimizer, rtol=1e-9)


@pytest.mark.parametrize("structure", ["dense", "diagonal"])
@pytest.mark.parametrize("profile", ["one-large", "power-law"])
def test_indefinite_quadratics_have_the_same_constants_and_downward_bends_at_every_ratio(profile, structure):
    for ratio in (1.0, 3.0, 9.0):
        options = {"profile": profile, "structure": structure, "curvature": "indefinite", "seed": 3}
        problem = Quadratic.random(90, 5, 2.0, ratio, 0.2, **options)
        matrices = np.asarray(problem.matrices)
        hessians = matrices if structure == "dense" else np.stack([np.diag(row) for row in matrices])
        constants = norms(hessians)
        assert_allclose(problem.worker_smoothness, constants, rtol=1e-12)
        assert_allclose([constants.mean(), np.sqrt(np.mean(constants**2))], [2.0, 2.0 * ratio], rtol=1e-10)
        spectrum = np.linalg.eigvalsh(hessians.mean(axis=0))
        assert_allclose(spectrum, 2.0 * np.geomspace(0.1, 1.0, 5), rtol=1e-9)
        assert_allclose([problem.smoothness, problem.pl_constant], [2.0, 0.2], rtol=1e-10)
        lowest = np.linalg.eigvalsh(hessians)[:, 0]
        assert not problem.workers_convex and np.mean(lowest < 0) > 0.25 and np.all(lowest >= -constants)


def test_profiles_have_their_shape_and_the_ratio():
    steps = np.log(worker_smoothness_profile(50, 3.0, "power-law"))
    assert_allclose(np.diff(steps) / np.diff(np.log(np.arange(1, 51))), steps[-1] / np.log(50) - steps[0] / np.log(50))
    for profile, ratio in (("one-large", 30.0), ("power-law", 30.0), ("geometric", 17.0)):
        values = worker_smoothness_profile(2000, ratio, profile)
        assert_allclose([values.mean(), np.sqrt(np.mean(values**2))], [1.0, ratio], rtol=1e-12)
        assert np.all(np.diff(values) <= 0)
    with pytest.raises(InvalidInput, match="18 is out of reach of a geometric profile of 2000 workers"):
        worker_smoothness_profile(2000, 18.0, "geometric")


@pytest.mark.parametrize(("regularizer", "strength"), [("none", 0.0), ("l2", 0.2), ("nonconvex", 0.1)])
@pytest.mark.parametrize("profile", ["one-large", "geometric", "power-law"])
def test_shared_features_change_the_quadratic_mean_alone(profile, regularizer, strength):
    for ratio in (1.0, 2.0, 4.0):
        problem = LogisticRegression.shared_features(40, 3, 6, 2.0, ratio, profile, regularizer, strength, seed=5)
        constants = norms(worker_hessians(problem, np.zeros(3)))  # they bend most at the origin
        assert_allclose(problem.worker_smoothness, constants, rtol=1e-9)
        assert_allclose([constants.mean(), np.sqrt(np.mean(constants**2))], [2.0, 2.0 * ratio], rtol=1e-9)
        assert_allclose([problem.smoothness, norms(problem.hessian(jnp.zeros(3)))], 2.0, rtol=1e-9)
        assert problem.pl_constant == (0.2 if regularizer == "l2" else None)
        labels = np.asarray(problem.shards.features) / np.asarray(problem.shards.features)[:1]
        assert np.any(labels < 0)  # of the same rows, some workers have other labels
        assert problem.most_samples == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 1.0}, "above the regularizer's curvature, 1, not 1"),
        ({"smoothness_ratio": 0.5}, "must be at least 1, not 0.5"),
        ({"smoothness_ratio": 2.95, "strength": 0.1}, "2.95 beside the regularizer's curvature 0.1 needs data"),
        ({"mean_smoothness": -1.0}, "mean_smoothness must be positive"),
        ({"samples": 0}, "samples must be a whole number >= 1"),
        ({"regularizer": "l3"}, "l3"),
    ],
)
def test_shared_features_that_cannot_be_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        LogisticRegression.shared_features(9, 3, **options)


@pytest.mark.parametrize(("heterogeneity", "convex"), [(0.0, True), (1e-3, True), (0.5, False), (10.0, False)])
def test_nonconvex_quadratics_have_the_prescribed_constants(heterogeneity, convex):
    problem = Quadratic.nonconvex(9, 7, 3.0, 0.02, heterogeneity, seed=5)
    matrices = np.asarray(problem.matrices)
    mean = matrices.mean(axis=0)
    for found in (problem.pl_constant, problem.strong_convexity, np.linalg.eigvalsh(mean)[0]):
        assert_allclose(found, 0.02, rtol=1e-9)
    assert_allclose(problem.smoothness, 3.0, rtol=1e-12)
    spread = np.mean((matrices - mean) @ (matrices - mean), axis=0)
    assert_allclose(np.sqrt(np.linalg.eigvalsh(spread)[-1].clip(0)), 3.0 * heterogeneity, rtol=1e-9, atol=1e-14)
    assert problem.workers_convex == convex
    assert_allclose(problem.worker_smoothness, norms(matrices), rtol=1e-12)
    if heterogeneity:
        assert problem.mean_squared_smoothness > 3.0


@pytest.mark.parametrize("noise", [0.0, 0.8])
def test_tridiagonal_quadratics_are_a_chain_with_the_prescribed_mu(noise):
    workers, dim, mu = 5, 12, 1e-4
    problem = Quadratic.tridiagonal(workers, dim, noise, mu, seed=3)
    assert_allclose(problem.pl_constant, mu, rtol=1e-9)
    stiffness_noise, slope_noise = np.random.default_rng(3).standard_normal((2, workers))
    x = points(problem, 1)[0]
    ends = np.concatenate([[0.0], x, [0.0]])
    bare = []  # the chain's energies, without the shift
    for own, slope in zip(1 + noise * stiffness_noise, -1 + noise * slope_noise, strict=True):
        bare.append(own / 8 * np.sum(np.diff(ends) ** 2) - own / 4 * slope * x[0])
    shifts = 2 * (np.asarray(problem.worker_losses(x)) - bare) / (x @ x)
    mean_stiffness = np.mean(1 + noise * stiffness_noise)
    chain = np.linalg.eigvalsh(2 * np.eye(dim) - np.eye(dim, k=1) - np.eye(dim, k=-1)) * mean_stiffness / 4
    assert_allclose(shifts, mu - chain.min(), rtol=1e-9)
    assert (np.ptp(np.asarray(problem.worker_smoothness)) > 0.1) == (noise > 0)


@pytest.mark.parametrize(
    ("workers", "dim", "features", "samples"), [(10, 30, 7, 5), (7, 7, 7, 3), (4, 20, 3, 2), (100, 10, 1, 1)]
)
@pytest.mark.parametrize("profile", ["one-large", "geometric"])
def test_rare_features_have_the_prescribed_constants(workers, dim, features, samples, profile):
    problem = LogisticRegression.rare_features(workers, dim, features, samples, 3.0, 1.5, profile, seed=6)
    assert problem.sparsity[:2] == (-(-workers * features // dim), features)
    used = np.any(np.asarray(problem.shards.features) != 0, axis=1)
    assert np.all(used.sum(axis=1) == features) and np.ptp(used.sum(axis=0)) <= 1
    constants = np.asarray(problem.worker_smoothness)
    assert_allclose(constants.mean(), 3.0, rtol=1e-12)
    assert_allclose(np.sqrt(np.mean(constants**2)), 4.5, rtol=1e-9)
    assert problem.regularizer.highest_curvature == 0 and problem.most_samples == samples
    assert float(problem.smoothness) <= problem.sparsity.spread / workers * constants.max() * (1 + 1e-12)
    again, other = (
        LogisticRegression.rare_features(workers, dim, features, samples, 3.0, 1.5, profile, seed=seed)
        for seed in (6, 7)
    )
    assert np.array_equal(problem.shards.features, again.shards.features)
    assert not np.allclose(problem.shards.features, other.shards.features)


@pytest.mark.parametrize("variance", [5e3, 4e6])
def test_nonconvex_regression_hits_the_variance_of_the_paper(variance):
    problem = LeastSquares.nonconvex_regression(smoothness_variance=variance)
    assert (problem.num_workers, problem.dim, problem.most_samples) == (2000, 10, 10)
    constants = np.asarray(problem.worker_smoothness)
    assert_allclose((constants.mean(), constants.var()), (50.0, variance), rtol=1e-9)
    # the constants are those of the problem: the norms of its Hessians at the origin
    rows = np.asarray(problem.shards.features)[:3]
    assert_allclose(norms(np.swapaxes(rows, 1, 2) @ rows / 10 + 0.2 * np.eye(10)), constants[:3], rtol=1e-9)
    assert not problem.workers_convex


def test_nonconvex_regression_with_a_geometric_profile():
    problem = LeastSquares.nonconvex_regression(30, 5, 4, 10.0, 200.0, 1e-3, "geometric", seed=1)
    constants = np.asarray(problem.worker_smoothness)
    assert_allclose((constants.mean(), constants.var()), (10.0, 200.0), rtol=1e-9)
    assert_allclose(np.diff(np.log(constants)), np.log(constants[1] / constants[0]), rtol=1e-6)


RECURSIONS = {
    # of a coordinate with curvature h under C(v) = c v; EF21: (x, g), EF14: (x, e)
    "ef21": lambda h, c, gamma: np.array([[1, -gamma], [c * h, 1 - c - c * h * gamma]]),
    "ef14": lambda h, c, gamma: np.array([[1 - c * gamma * h, -c], [(1 - c) * gamma * h, 1 - c]]),
}


def squared_radius(method: str, curvature: float, factor: float, stepsize: float) -> float:
    return float(np.max(np.abs(np.linalg.eigvals(RECURSIONS[method](curvature, factor, stepsize)))) ** 2)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("method", RECURSIONS)
def test_the_tight_rates_are_attained_on_the_worst_case(method, dim):
    for alpha, mu in [(0.05, 0.1), (0.1, 0.5), (0.3, 0.1), (0.5, 0.01), (0.5, 0.5), (0.9, 0.1), (0.99, 0.9)]:
        problem = Quadratic.worst_case(smoothness=2.0, pl_constant=2 * mu, workers=3, dim=dim)
        constants = Constants(
            smoothness=float(problem.smoothness),
            worker_smoothness=np.asarray(problem.worker_smoothness),
            lower_bound=problem.lower_bound,
            worker_strong_convexity=problem.worker_strong_convexity,
            alpha=alpha,
        )
        rate, stepsize, s = tight_rate(constants), tight_stepsize(constants), np.sqrt(1 - alpha)
        curvatures = np.diag(np.mean(problem.matrices, axis=0))
        assert len(curvatures) == dim and curvatures[0] == pytest.approx(2 * mu)
        for curvature in curvatures:
            assert squared_radius(method, curvature, 1 + s, stepsize) == pytest.approx(rate, rel=1e-6)
            if alpha >= 0.3 and mu >= 0.1:  # the control: a compressor that falls short as far as alpha allows
                assert squared_radius(method, curvature, 1 - s, stepsize) < rate * (1 - 1e-3)
        # the control along other curvatures of the class
        middle = (constants.smoothness + problem.pl_constant) / 2
        assert squared_radius(method, middle, 1 + s, stepsize) < rate * (1 - 1e-3)


def test_the_recursions_of_the_worst_case_are_those_of_the_methods():
    # one round of either method with C(v) = c v in one dimension, from (x, g) or (x, e), as their papers write it
    h, c, gamma, x, second = 0.7, 1.4, 0.3, 0.9, -0.5
    moved = x - gamma * second
    assert_allclose(RECURSIONS["ef21"](h, c, gamma) @ [x, second], [moved, second + c * (h * moved - second)])
    wanted = second + gamma * h * x
    assert_allclose(RECURSIONS["ef14"](h, c, gamma) @ [x, second], [x - c * wanted, wanted - c * wanted])


def test_the_worst_case_in_one_dimension_declares_the_class():
    problem = Quadratic.worst_case(smoothness=3.0, pl_constant=0.2, workers=4, dim=1)
    assert float(problem.smoothness) == 3.0 and np.all(np.asarray(problem.worker_smoothness) == 3.0)
    assert problem.pl_constant == problem.strong_convexity == problem.worker_strong_convexity == 0.2
    assert problem.dim == 1 and problem.num_workers == 4 and problem.minimizer == [0.0]
