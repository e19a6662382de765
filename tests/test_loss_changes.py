"""Changes of the loss from what two evaluations know, against `exact_loss` in decimal arithmetic of 60 digits.

`loss_change` uses gradients that a round has anyway, and is as accurate as these are: an error of delta in a gradient
(`gradient_noise` in `simulator/checks.py`) is one of delta |step| in the change. All else must be below 1e-9 of the
terms of the inequality that the change is used in, |change| + L |step|^2.
"""

from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluations import points
from instances import INSTANCES, MORE_INSTANCES, Instance, instance
from test_problems import exact_loss, numbers

from problems import Evaluation, LogisticRegression, Problem
from problems.logistic_regression import SHORT_CHANGE
from problems.problem import trapezoid

NAMES = [*INSTANCES, *MORE_INSTANCES]
SIZES = np.array([1e-12, 1e-9, 1e-6, 1e-4, 0.01, 0.1, 1.0, 10.0, 1e3])  # of steps, relative to |x|
LARGEST_ERROR = 1e-9


def ends(problem: Problem, start: jax.Array, stops: jax.Array) -> tuple[Evaluation, Evaluation]:
    """Evaluations at the start, and at all stops [K, d]."""
    evaluation = lambda x: problem.evaluation(x, problem.worker_gradients(x))  # noqa: E731
    return evaluation(start), jax.vmap(evaluation)(stops)


@jax.jit
def changes(problem: Problem, start: jax.Array, stops: jax.Array) -> dict[str, jax.Array]:
    """f at the stops less f at the start, by what is tested and by what is not good enough. [K]; "nothing" []."""
    here, there = ends(problem, start, stops)
    return {
        "loss_change": jax.vmap(lambda end: problem.loss_change(here, end))(there),
        "back": -jax.vmap(lambda end: problem.loss_change(end, here))(there),
        "trapezoid": jax.vmap(lambda end: trapezoid(here, end))(there),
        "nothing": problem.loss_change(here, here),
        "subtraction": jax.vmap(problem.loss)(stops) - problem.loss(start),
    }


def exact_changes(case: Instance, start: np.ndarray, stops: np.ndarray) -> np.ndarray:
    with localcontext(prec=60):
        here = exact_loss(case.data, numbers(start))
        return np.array([float(exact_loss(case.data, numbers(stop)) - here) for stop in stops])


def allowances(problem: Problem, start: np.ndarray, stops: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """What each change may be wrong by."""
    length = np.linalg.norm
    steps = length(stops - start, axis=1)
    gradients = np.asarray(problem.worker_gradients(jnp.zeros(problem.dim)))
    scale = np.mean(length(gradients, axis=1)) + float(jnp.mean(problem.worker_smoothness)) * (
        length(start) + length(stops, axis=1)
    )
    delta = 10 * np.finfo(float).eps * scale
    return LARGEST_ERROR * (np.abs(exact) + float(problem.smoothness) * steps**2) + delta * steps


def walked(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A point, and where steps of all sizes lead from there, exactly as floats."""
    problem = instance(name).problem
    start, direction = points(problem, 2, seed=seed)
    direction *= np.linalg.norm(start) / np.linalg.norm(direction)
    return start, start + SIZES[:, None] * direction


@pytest.mark.parametrize("seed", [1, 4])  # |x| of 2 and of 0.3
@pytest.mark.parametrize("name", NAMES)
def test_the_change_is_that_of_the_loss(name, seed):
    case = instance(name)
    start, stops = walked(name, seed)
    found, exact = changes(case.problem, start, stops), exact_changes(case, start, stops)
    allowed = allowances(case.problem, start, stops, exact)
    assert np.all(np.abs(found["loss_change"] - exact) <= allowed)
    assert np.all(np.abs(found["back"] - exact) <= allowed)
    # the control: losses subtracted are not good enough for small steps
    assert np.any(np.abs(found["subtraction"] - exact) > allowed)


@pytest.mark.parametrize("name", [name for name in NAMES if "logistic" in name])
def test_the_trapezoidal_rule_alone_would_not_do(name):
    case = instance(name)
    start, stops = walked(name, seed=1)
    exact = exact_changes(case, start, stops)
    wrong = np.abs(changes(case.problem, start, stops)["trapezoid"] - exact)
    moderate = (SIZES >= 0.01) & (SIZES <= 10)
    assert np.all((wrong > allowances(case.problem, start, stops, exact))[moderate])


@pytest.mark.parametrize("name", ["logistic-nonconvex", "squares-nonconvex", "dense", "network"])
def test_no_step_changes_nothing(name):
    start, stops = walked(name, seed=1)  # as for other tests, whose program this is
    assert changes(instance(name).problem, start, stops)["nothing"] == 0


# --- single predictions of logistic regression ----------------------------------------------------------

PREDICTIONS = [0.0, 1e-8, 0.3, 1.0, 5.0, 17.0, 35.0, 37.5, 100.0, 700.0, 709.5, 745.0, 800.0]
CHANGES = [1e-10, 1e-5, 1e-2, 0.05, *(SHORT_CHANGE * np.array([0.99, 0.999999, 1.000001, 1.01])), 0.2499, 0.2501]
CHANGES += [1.0, 3.0, 10.0, 40.0, 720.0, 1600.0]


def exact_phi(prediction: float) -> Decimal:
    return (1 + (-Decimal(prediction)).exp()).ln()


def single_predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a prediction begins and ends, and the exact change of log(1 + exp(-z))."""
    start, change = (grid.ravel() for grid in np.meshgrid([s * z for z in PREDICTIONS for s in (1, -1)], CHANGES))
    start, end = np.tile(start, 2), np.concatenate([start + change, start - change])
    with localcontext(prec=60):
        exact = [float(exact_phi(b) - exact_phi(a)) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    return start, end, np.array(exact)


def test_changes_of_single_predictions():
    problem = LogisticRegression.from_arrays([[[1.0]]], [[1.0]])  # f(x) = log(1 + exp(-x))

    @jax.jit
    def found(problem: Problem, start: jax.Array, end: jax.Array) -> tuple[jax.Array, jax.Array]:
        def of_one(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
            here, there = (problem.evaluation(x, problem.worker_gradients(x)) for x in (a[None], b[None]))
            return problem.loss_change(here, there), trapezoid(here, there)

        return jax.vmap(of_one)(start, end)

    start, end, exact = single_predictions()
    changes, trapezoids = found(problem, start, end)
    terms = np.abs(exact) + (end - start) ** 2 / 4  # L = 1/4
    assert np.all(np.abs(changes - exact) <= LARGEST_ERROR * terms)
    errors = np.abs(trapezoids - exact)
    assert np.mean(errors > LARGEST_ERROR * terms) > 0.2  # the control


def test_both_formulas_are_good_where_one_takes_over_from_the_other(monkeypatch):
    """Each is used where it is the better one: neither would do everywhere."""
    start, end, exact = single_predictions()
    terms = LARGEST_ERROR * (np.abs(exact) + (end - start) ** 2 / 4)
    near = np.abs(np.abs(end - start) / SHORT_CHANGE - 1) < 0.02

    def errors(limit: float) -> np.ndarray:
        monkeypatch.setattr("problems.logistic_regression.SHORT_CHANGE", limit)
        single = LogisticRegression.from_arrays([[[1.0]]], [[1.0]])

        @jax.jit  # made anew, so that it sees the limit
        def found(start: jax.Array, end: jax.Array) -> jax.Array:
            slopes = single.phi_slope(start, 0.0) + single.phi_slope(end, 0.0)
            return slopes * (end - start) / 2 + jax.vmap(single.data_rest)(start[:, None, None], end[:, None, None])

        return np.abs(found(start, end) - exact)

    short, long = errors(np.inf), errors(0.0)
    assert np.all(short[near] <= terms[near]) and np.all(long[near] <= terms[near])
    assert np.any(short > terms) and np.any(long > terms)
