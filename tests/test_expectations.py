"""Random methods satisfy their theorems in conditional expectation, computed exactly: all outcomes of a round."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expectations import declared_slack, of_all, outcomes, small_problem, states
from method_examples import RANDOM
from random_cases import RANDOM_CASES

from problems.registry import registered
from simulator import Constants, Method, Theorem, constants_of

# Where the noise of stochastic gradients is part of the inequality, it may outgrow everything else at large stepsizes.
# There the control is a larger promise: no noise. EF14's heterogeneity is left out in the same way.
DRIFTING = {
    "dcgd",
    "dcgd shared",
    "ef14",
    "ef-sgd",
    "ef-sgd random",
    "ef21-sgd",
    "ef21-sgd random",
    "ef21-w-sgd",
    "ef21-sgdm",
}


CONTROL = 100.0  # times the largest stepsize
DRIFTING_CONTROL = 10.0


def expectations(c: Constants, theorems: list[Theorem], factors: np.ndarray) -> Any:
    """Conditional expectations of slack, drift and the values of V of every theorem. [theorem][3, factors, states]."""
    problem = small_problem()
    largest = np.array([float(theorem.max_stepsize(c)) for theorem in theorems])
    largest[~np.isfinite(largest)] = largest[0]  # of those that hold at every stepsize
    gammas, cases = np.outer(largest, factors).ravel(), outcomes(c.method)
    middle = states(c.method, problem, 0.3 * float(largest[0]), 6)

    def values_of(gamma: Any, before: Any, outcome: Any) -> Any:
        after = outcome.step(problem, gamma, before, jax.random.key(0))
        return [
            (
                declared_slack(theorem, problem, c, gamma, before, after),
                theorem.drift(c, gamma, before, after),
                sum(theorem.lyapunov(problem, c, gamma, state) for state in (before, after)),
            )
            for theorem in theorems
        ]

    found = of_all(values_of, gammas, middle, cases.values)
    means = jax.tree.map(lambda part: (part @ cases.probabilities).reshape(len(largest), len(factors), -1), found)
    return [[part[own] for part in parts] for own, parts in enumerate(means)]


@pytest.mark.parametrize("name", RANDOM_CASES)
def test_random_methods_satisfy_their_theorems_in_expectation_and_not_far_above(name):
    method = RANDOM_CASES[name]
    c = constants_of(small_problem(), method)
    theorems = [theorem for theorem in method.theorems if theorem.obstacle(c) is None]
    assert not method.deterministic and theorems
    # at half of the stepsize too: a constant that is wrong may not show at the largest one, where q = 1/2 hides it
    factors = np.array([0.5, 1.0, DRIFTING_CONTROL if name in DRIFTING else CONTROL])
    for theorem, (slacks, drifts, sizes) in zip(theorems, expectations(c, theorems, factors), strict=True):
        spoken = theorem.speaks_of(c, factors * float(theorem.max_stepsize(c)))
        # sums of a few hundred terms
        assert spoken.any() and np.all(slacks[spoken] >= -1e-13 * (sizes + drifts)[spoken]), theorem.name
        drifting = name in DRIFTING or not theorem.limits_stepsize
        control = slacks[-1] - drifts[-1] if drifting else slacks[-1]
        assert np.any(control < -1e-6 * sizes[-1]), theorem.name


def test_probabilities_of_the_outcomes_sum_to_one():
    for method in RANDOM_CASES.values():
        cases = outcomes(method.resolved(small_problem()))
        assert abs(cases.probabilities.sum() - 1) < 1e-12 and np.all(cases.probabilities > 0)
        assert len(cases.probabilities) > 1


def test_outcomes_are_what_methods_draw():
    # the mean over many draws of a method is that over its outcomes
    problem, method = small_problem(), RANDOM_CASES["ef21-page random"]
    state, cases = jax.tree.map(lambda leaf: leaf[0], states(method, problem, 0.05, 1)), outcomes(method)
    keys = jax.random.split(jax.random.key(0), 20_000)
    gamma = jnp.asarray(0.05)
    drawn = jax.jit(jax.vmap(lambda key: method.step(problem, gamma, state, key).estimates))(keys)
    step = jax.vmap(lambda outcome: outcome.step(problem, gamma, state, keys[0]).estimates)
    expected = np.tensordot(cases.probabilities, step(cases.values), 1)
    margin = 5 * np.std(drawn, axis=0) / np.sqrt(len(keys)) + 1e-12
    assert np.all(np.abs(np.mean(drawn, axis=0) - expected) < margin)


def test_every_random_method_is_among_the_cases():
    random = {kind for kind in RANDOM if registered(Method)[kind].theorems}
    assert random <= {method.kind for method in RANDOM_CASES.values()}
