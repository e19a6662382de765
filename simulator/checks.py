"""Judging a run by a theorem, inside the compiled loop.

At every round the inequality V+ - V <= - rate V - decrease + drift is evaluated as a slack, right minus left, that
must be >= 0. It is divided by the size of what changes: |f(p+) - f(p)| + |change of the potential| + |rate V| +
decrease + drift. f(p+) - f(p) is computed without cancellation.

Rounding. Gradients carry an error of about `delta = 10 eps scale`, where scale = mean_i |grad f_i(x^0)| +
L_AM (|x^0| + |x|) bounds what is summed to form them. A term c |a|^2 with a gradient a then carries about
2 c |a| delta, and every term a few eps of itself. A round is judged only where this noise is below the tolerance
sqrt(eps), relative to the size of what changes: as a run converges to the level of rounding, its inequality compares
noise with noise, and no verdict is drawn from it.

Where a round draws, the inequality holds in conditional expectation, and the slack of one round says little: there the
bet of `simulator/betting.py` judges the whole run.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem
from simulator.betting import Account, Terms, open_account, settle
from simulator.constants import Constants, Scalar
from simulator.theorem import Theorem

__all__ = ["StepCheck", "gradient_noise", "judge_step", "rounding", "start_check", "tolerance"]

NOISE_FACTOR = 10  # sums of many rounded products: a few eps, rounded up


class StepCheck(NamedTuple):
    """One theorem's account of one run so far."""

    potential: Array  # of the current state, []
    account: Account  # of the bet against the theorem, for randomness
    smallest_slack: Array  # over the judged rounds, relative; inf before the first, []
    smallest_slack_round: Array  # the round that ended with it, []
    worst_change: Array  # V+ - V in that round, []
    worst_promise: Array  # what the theorem allows for it: - rate V - decrease + drift, []
    violations: Array  # judged rounds with slack < -tolerance, []
    judged_rounds: Array  # []
    least_noise: Array  # what rounding may do to a round's slack, smallest over the rounds, relative; inf before, []


def tolerance(dtype: Any) -> float:
    """The relative slack below which a round violates its theorem: half of the digits are left to rounding."""
    return float(jnp.finfo(dtype).eps) ** 0.5


def gradient_noise(constants: Constants, x0: Array, x: Array, initial_gradient: Array) -> Array:
    """delta, the size of the rounding error of a gradient; see the module's docstring. -> []."""
    scale = initial_gradient + constants.arithmetic_mean * (jnp.linalg.norm(x0) + jnp.linalg.norm(x))
    return NOISE_FACTOR * jnp.finfo(x.dtype).eps * scale


def start_check(theorem: Theorem, problem: Problem, constants: Constants, stepsize: Scalar, state: Any) -> StepCheck:
    """The account at round 0."""
    dtype = state.x.dtype
    start = jnp.asarray(theorem.lyapunov(problem, constants, stepsize, state), dtype)
    return StepCheck(
        potential=jnp.asarray(theorem.potential(constants, stepsize, state), dtype),
        account=open_account(start),
        smallest_slack=jnp.asarray(jnp.inf, dtype),
        smallest_slack_round=jnp.zeros((), jnp.int32),
        worst_change=jnp.asarray(jnp.nan, dtype),
        worst_promise=jnp.asarray(jnp.nan, dtype),
        violations=jnp.zeros((), jnp.int32),
        judged_rounds=jnp.zeros((), jnp.int32),
        least_noise=jnp.asarray(jnp.inf, dtype),
    )


class Step(NamedTuple):
    """One round, as the checks see it."""

    before: Any  # the state
    after: Any  # the state
    round: Array  # that has ended, []
    grad_norm_sq: Array  # |grad f|^2 before the round, []
    noise: Array  # delta, []
    counts: Array  # whether the run has not diverged, []


def judge_step(
    check: StepCheck, theorem: Theorem, problem: Problem, constants: Constants, stepsize: Scalar, step: Step
) -> StepCheck:
    """The account after one more round. A round with a slack that is not finite is not judged."""
    potential = jnp.asarray(theorem.potential(constants, stepsize, step.after), step.noise.dtype)
    loss_change = _loss_change(theorem, problem, constants, stepsize, step) if theorem.uses_loss else 0.0
    potential_change = potential - check.potential
    removed = theorem.removed(problem, constants, stepsize, step.before)
    decrease = theorem.decrease(constants, stepsize, step.grad_norm_sq)
    drift = theorem.drift(constants, stepsize, step.before, step.after)

    change, promise = loss_change + potential_change, -removed - decrease + drift
    slack = promise - change
    size = jnp.abs(loss_change) + jnp.abs(potential_change) + jnp.abs(removed) + decrease + drift
    noise = rounding(theorem, constants, stepsize, step.noise, size + potential + check.potential)
    counts = (size > 0) & jnp.isfinite(slack) & step.counts
    judged = (noise <= tolerance(size.dtype) * size) & counts

    relative = jnp.where(judged, slack / size, jnp.inf)
    worst = relative < check.smallest_slack
    terms = Terms(theorem.retained(constants, stepsize), change, decrease, drift)
    value_noise = rounding(theorem, constants, stepsize, step.noise, terms.budget(check.account.budget))
    return StepCheck(
        potential=potential,
        account=settle(check.account, terms, value_noise, tolerance(size.dtype)),
        smallest_slack=jnp.minimum(check.smallest_slack, relative),
        smallest_slack_round=jnp.where(worst, step.round, check.smallest_slack_round),
        worst_change=jnp.where(worst, change, check.worst_change),
        worst_promise=jnp.where(worst, promise, check.worst_promise),
        violations=check.violations + (relative < -tolerance(size.dtype)),
        judged_rounds=check.judged_rounds + judged,
        least_noise=jnp.where(counts, jnp.minimum(check.least_noise, noise / size), check.least_noise),
    )


def rounding(theorem: Theorem, constants: Constants, stepsize: Scalar, noise: Array, terms: Array) -> Array:
    """What rounding may do to a sum of non-negative terms, given what they add up to. -> []."""
    # Weights of the workers are left out: a worker with a large weight has a small L_i, and gradients with errors that
    # are smaller in proportion.
    weight = theorem.weight(constants, stepsize)
    return 2 * noise * jnp.sqrt(weight * terms) + weight * noise**2 + 4 * jnp.finfo(noise.dtype).eps * terms


def _loss_change(theorem: Theorem, problem: Problem, constants: Constants, stepsize: Scalar, step: Step) -> Array:
    """f(p+) - f(p), seen from p+, where the gradient of this round has already made the predictions."""
    before, after = (theorem.point(constants, stepsize, state) for state in (step.before, step.after))
    return -problem.loss_difference(after, before - after)
