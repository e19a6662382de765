"""Judging a run by theorems, inside the compiled loop.

At every round the inequality V+ - V <= - rate V - decrease + drift is evaluated as a slack, right minus left, that
must be >= 0. It is divided by the size of what changes: |f(p+) - f(p)| + |change of the potential| + |rate V| +
decrease + drift. f(p+) - f(p) is computed without cancellation; where p is the model, from what the run knows anyway:
the gradients of both rounds and what the problem remembers of their points (`Problem.loss_change`).

All theorems are judged together: what differs from one to another is evaluated one by one and stacked, [K], and the
rest is done for the stack, so that a program does not grow with K more than it must.

Rounding. Gradients carry an error of about `delta = 10 eps scale`, where scale = mean_i |grad f_i(x^0)| +
L_AM (|x^0| + |x|) bounds what is summed to form them. A term c |a|^2 with a gradient a then carries about
2 c |a| delta, and every term a few eps of itself. A round is judged only where this noise is below the tolerance
sqrt(eps), relative to the size of what changes: as a run converges to the level of rounding, its inequality compares
noise with noise, and no verdict is drawn from it.

Where a round draws, the inequality holds in conditional expectation, and the slack of one round says little: there the
bet of `simulator/betting.py` judges the whole run.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import Evaluation, Problem
from simulator.betting import Account, Terms, open_account, settle
from simulator.constants import Constants, Scalar
from simulator.theorem import Theorem, loss_gap

__all__ = [
    "Case",
    "Factors",
    "Place",
    "Step",
    "StepCheck",
    "factors",
    "gap_at_model",
    "gaps",
    "gradient_noise",
    "judge_step",
    "rounding",
    "start_check",
    "tolerance",
]

NOISE_FACTOR = 10  # sums of many rounded products: a few eps, rounded up


class Case(NamedTuple):
    """What the theorems speak of."""

    theorems: tuple[Theorem, ...]  # K of them
    problem: Problem
    constants: Constants
    optimum: Evaluation | None  # at the minimiser, where one is known

    def each(self, number: Callable[[Theorem], Scalar], dtype: Any) -> Array:
        """A number of every theorem. -> [K]."""
        numbers = [jnp.asarray(number(theorem), dtype) for theorem in self.theorems]
        return jnp.stack(numbers) if numbers else jnp.zeros(0, dtype)


class Place(NamedTuple):
    """Where a run is."""

    state: Any
    evaluation: Evaluation  # of the problem at the model


class Factors(NamedTuple):
    """What the theorems' inequalities are made with at one stepsize, [K] each."""

    decay: Array  # the rate
    retained: Array  # 1 - rate
    decrease: Array  # that is promised for a |grad f|^2 of 1
    weight: Array  # of a squared error of a gradient


class StepCheck(NamedTuple):
    """The theorems' account of one run so far, [K] each."""

    potential: Array  # of the current place
    account: Account  # of the bets against the theorems, for randomness
    smallest_slack: Array  # over the judged rounds, relative; inf before the first
    smallest_slack_round: Array  # the round that ended with it
    recent_slack: Array  # the smallest since the last record
    worst_change: Array  # V+ - V in that round
    worst_promise: Array  # what the theorem allows for it: - rate V - decrease + drift
    violations: Array  # judged rounds with slack < -tolerance
    judged_rounds: Array
    least_noise: Array  # what rounding may do to a round's slack, smallest over the rounds, relative; inf before


def tolerance(dtype: Any) -> float:
    """The relative slack below which a round violates its theorem: half of the digits are left to rounding."""
    return float(jnp.finfo(dtype).eps) ** 0.5


def gradient_noise(constants: Constants, x0: Array, x: Array, initial_gradient: Array) -> Array:
    """delta, the size of the rounding error of a gradient; see the module's docstring. -> []."""
    scale = initial_gradient + constants.arithmetic_mean * (jnp.linalg.norm(x0) + jnp.linalg.norm(x))
    return NOISE_FACTOR * jnp.finfo(x.dtype).eps * scale


def factors(theorems: Sequence[Theorem], constants: Constants, stepsizes: np.ndarray) -> Factors:
    """The factors for every stepsize, on the host. [S] -> [K, S] each."""

    def table(number: Callable[[Theorem], Scalar]) -> Any:
        rows = [np.broadcast_to(number(theorem), stepsizes.shape) for theorem in theorems]
        return np.array(rows, float).reshape(len(theorems), *stepsizes.shape)

    return Factors(
        decay=table(lambda theorem: theorem.decay(constants, stepsizes)),
        retained=table(lambda theorem: theorem.retained(constants, stepsizes)),
        decrease=table(lambda theorem: theorem.decrease(constants, stepsizes, 1.0)),
        weight=table(lambda theorem: theorem.weight(constants, stepsizes)),
    )


def gap_at_model(case: Case, evaluation: Evaluation) -> Array:
    """f(x) - f_inf; where the minimiser is known, f(x) - f* without cancellation. -> []."""
    if case.optimum is None:
        return case.problem.loss(evaluation.x) - case.constants.lower_bound
    return case.problem.loss_change(case.optimum, evaluation)


def gaps(case: Case, stepsize: Scalar, place: Place, wanted: Callable[[Theorem], bool]) -> Array:
    """f(p) - f_inf of the theorems that contain it and are wanted, 0 of the others. -> [K]."""
    at_model = cache(lambda: gap_at_model(case, place.evaluation))  # once, if a theorem asks for it

    def gap(theorem: Theorem) -> Scalar:
        if not (theorem.uses_loss and wanted(theorem)):
            return 0.0
        if theorem.follows_model:
            return at_model()
        return loss_gap(case.problem, case.constants, theorem.point(case.constants, stepsize, place.state))

    return case.each(gap, place.state.x.dtype)


def _potentials(case: Case, stepsize: Scalar, place: Place) -> Array:
    """-> [K]."""
    return case.each(lambda theorem: theorem.potential(case.constants, stepsize, place.state), place.state.x.dtype)


def start_check(case: Case, stepsize: Scalar, place: Place) -> StepCheck:
    """The account at round 0."""
    potential = _potentials(case, stepsize, place)
    start = potential + gaps(case, stepsize, place, wanted=lambda theorem: True)
    zero, never = jnp.zeros_like(start), jnp.zeros(start.shape, jnp.int32)
    return StepCheck(
        potential=potential,
        account=open_account(start),
        smallest_slack=zero + jnp.inf,
        smallest_slack_round=never,
        recent_slack=zero + jnp.inf,
        worst_change=zero + jnp.nan,
        worst_promise=zero + jnp.nan,
        violations=never,
        judged_rounds=never,
        least_noise=zero + jnp.inf,
    )


class Step(NamedTuple):
    """One round, as the checks see it."""

    before: Place
    after: Place
    round: Array  # that has ended, []
    grad_norm_sq: Array  # |grad f|^2 before the round, []
    noise: Array  # delta, []


def judge_step(check: StepCheck, case: Case, factors: Factors, stepsize: Scalar, step: Step) -> StepCheck:
    """The account after one more round. A round with a slack that is not finite is not judged."""
    c, dtype = case.constants, step.noise.dtype
    potential = _potentials(case, stepsize, step.after)
    decrease = factors.decrease * step.grad_norm_sq
    drift = case.each(lambda theorem: theorem.drift(c, stepsize, step.before.state, step.after.state), dtype)
    rated = gaps(case, stepsize, step.before, wanted=lambda theorem: theorem.has_rate)
    removed = factors.decay * (rated + check.potential)
    loss_change, potential_change = _loss_changes(case, stepsize, step), potential - check.potential

    change, promise = loss_change + potential_change, -removed - decrease + drift
    slack = promise - change
    size = jnp.abs(loss_change) + jnp.abs(potential_change) + jnp.abs(removed) + decrease + drift
    noise = rounding(factors.weight, step.noise, size + potential + check.potential)
    counts = (size > 0) & jnp.isfinite(slack)
    judged = (noise <= tolerance(dtype) * size) & counts

    relative = jnp.where(judged, slack / size, jnp.inf)
    worst = relative < check.smallest_slack
    terms = Terms(factors.retained, change, decrease, drift)
    value_noise = rounding(factors.weight, step.noise, terms.budget(check.account.budget))
    return StepCheck(
        potential=potential,
        account=settle(check.account, terms, value_noise, tolerance(dtype)),
        smallest_slack=jnp.minimum(check.smallest_slack, relative),
        smallest_slack_round=jnp.where(worst, step.round, check.smallest_slack_round),
        recent_slack=jnp.minimum(check.recent_slack, relative),
        worst_change=jnp.where(worst, change, check.worst_change),
        worst_promise=jnp.where(worst, promise, check.worst_promise),
        violations=check.violations + (relative < -tolerance(dtype)),
        judged_rounds=check.judged_rounds + judged,
        least_noise=jnp.where(counts, jnp.minimum(check.least_noise, noise / size), check.least_noise),
    )


def rounding(weight: Array, noise: Array, terms: Array) -> Array:
    """What rounding may do to sums of non-negative terms, given what they add up to. [K], [], [K] -> [K]."""
    # Weights of the workers are left out: a worker with a large weight has a small L_i, and gradients with errors that
    # are smaller in proportion.
    return 2 * noise * jnp.sqrt(weight * terms) + weight * noise**2 + 4 * jnp.finfo(noise.dtype).eps * terms


def _loss_changes(case: Case, stepsize: Scalar, step: Step) -> Array:
    """f(p+) - f(p) of every theorem, 0 where V has no loss term. -> [K]."""
    of_model = cache(lambda: case.problem.loss_change(step.before.evaluation, step.after.evaluation))

    def of(theorem: Theorem) -> Scalar:
        if not theorem.uses_loss:
            return 0.0
        if theorem.follows_model:
            return of_model()
        before, after = (theorem.point(case.constants, stepsize, place.state) for place in (step.before, step.after))
        return case.problem.loss_difference(before, after - before)

    return case.each(of, step.noise.dtype)
