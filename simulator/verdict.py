"""What a theorem says about runs, and whether it was so."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simulator.checks import tolerance
from simulator.constants import Constants
from simulator.theorem import Theorem

__all__ = ["Course", "Verdict", "reach_verdict"]


@dataclass(frozen=True)
class Verdict:
    """What one theorem says about the runs, and whether it was so. Arrays have the shape [...] of the runs.

    Attributes:
        applies: whether the stepsize is one for which the theorem speaks (its other assumptions hold).
        max_stepsize: the largest such stepsize.
        lyapunov: V at the recorded rounds, [..., R].
        bound: what the theorem promises at the recorded rounds, [..., R]: on `Trace.mean_grad_norm_sq` or
            `Trace.min_grad_norm_sq` (NaN at round 0) or on `lyapunov`, as the theorem's `bounded` says.
        smallest_slack: the smallest relative slack of the one-step inequality over the judged rounds; inf if none.
        smallest_slack_round: the round that ended with it.
        violations: number of judged rounds whose slack is below the tolerance.
        judged_rounds: number of rounds whose slack stands clear of rounding.
        excess: largest measured / bound over the recorded rounds after the first: tightness where it is below 1, a
            violated rate where it is above; NaN if there is none to compare.
        total_slack: (budget - sum of decreases - lyapunov) at the last recorded round that stands clear of rounding,
            relative to V^0 with every (1 - rate) applied; NaN if none does. It is the sum of all slacks, whose
            expectation is >= 0 for a random compressor.
    """

    applies: np.ndarray
    max_stepsize: float
    lyapunov: np.ndarray
    bound: np.ndarray
    smallest_slack: np.ndarray
    smallest_slack_round: np.ndarray
    violations: np.ndarray
    judged_rounds: np.ndarray
    excess: np.ndarray
    total_slack: np.ndarray


class Course(NamedTuple):
    """What was recorded of runs about one theorem, [..., R] each."""

    lyapunov: np.ndarray
    noise: np.ndarray  # what rounding may do to it
    budget: np.ndarray
    allowance: np.ndarray
    mean_grad_norm_sq: np.ndarray
    min_grad_norm_sq: np.ndarray


def reach_verdict(
    theorem: Theorem, constants: Constants, stepsizes: np.ndarray, rounds: np.ndarray, check: Any, course: Course
) -> Verdict:
    """Judge finished runs by one theorem.

    Args:
        stepsizes: [...].
        rounds: that were recorded, [R].
        check: the `StepCheck` at the last round, leaves [...].
    """
    lyapunov, noise, budget, allowance, *_ = course
    gammas, start = stepsizes[..., None], budget[..., :1]
    with np.errstate(all="ignore"):  # what is not finite is sorted out below
        bound = np.asarray(theorem.bound(constants, gammas, rounds, budget))
        measured = getattr(course, theorem.bounded)
        # rounding must not decide, neither in V nor in the V^0 from which its bound comes
        clear = np.maximum(noise / budget, noise[..., :1] / start) <= tolerance(budget.dtype)
        comparable = (rounds > 0) & np.isfinite(measured) & clear
        ratio = np.where(comparable, measured / bound, -np.inf).max(axis=-1)
        # relative to what is left of V^0, which is known beforehand where the budget may be random
        left = np.asarray(theorem.retained(constants, gammas)) ** rounds * start
        total_slack = (allowance - lyapunov) / left
    limit = float(theorem.max_stepsize(constants))
    return Verdict(
        applies=theorem.speaks_of(constants, stepsizes),
        max_stepsize=limit,
        lyapunov=lyapunov,
        bound=np.where(rounds > 0, bound, np.nan) if theorem.bounded != "lyapunov" else bound,
        smallest_slack=check.smallest_slack,
        smallest_slack_round=check.smallest_slack_round,
        violations=check.violations,
        judged_rounds=check.judged_rounds,
        excess=np.where(np.isfinite(ratio), ratio, np.nan),
        total_slack=_last(comparable, total_slack),
    )


def _last(valid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The last valid value along the last axis, NaN where there is none. [..., R] -> [...]."""
    position = values.shape[-1] - 1 - np.argmax(valid[..., ::-1], axis=-1)
    found = np.take_along_axis(values, position[..., None], axis=-1)[..., 0]
    return np.where(valid.any(axis=-1), found, np.nan)
