"""What a theorem says about runs, and whether it was so."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simulator.checks import tolerance
from simulator.constants import Constants
from simulator.rates import fit_rate, fit_window
from simulator.theorem import Theorem

__all__ = ["Course", "Verdict", "reach_verdict"]

NOISE_IN_FITS = 0.1  # of V: more would bend a fitted line


@dataclass(frozen=True)
class Verdict:
    """What one theorem says about the runs, and whether it was so. Arrays have the shape [...] of the runs.

    Attributes:
        bounded: what the theorem bounds, "mean_grad_norm_sq", "min_grad_norm_sq" or "lyapunov".
        applies: whether the stepsize is one for which the theorem speaks (its other assumptions hold).
        max_stepsize: the largest such stepsize.
        lyapunov: V at the recorded rounds, [..., R].
        bound: what the theorem promises at the recorded rounds, [..., R]: on `Trace.mean_grad_norm_sq` or
            `Trace.min_grad_norm_sq` (NaN at round 0) or on `lyapunov`, as `bounded` says.
        slack: the smallest relative slack of the one-step inequality over the judged rounds from one recorded round to
            the next, [..., R]; NaN where none was judged, and from the one on before which the run diverged.
        smallest_slack: the smallest over all judged rounds; inf if none.
        smallest_slack_round: the round that ended with it.
        worst_change, worst_promise: the two sides of the inequality in that round: V+ - V, and what it must not exceed;
            NaN if none.
        violations: number of judged rounds whose slack is below the tolerance.
        judged_rounds: number of rounds whose slack stands clear of rounding.
        excess: largest measured / bound over the recorded rounds after the first: tightness where it is below 1, a
            violated rate where it is above; NaN if there is none to compare.
        log_ratio, log_capital: at the recorded rounds, [..., R], of the bets against the theorem
            (`simulator/betting.py`), NaN from the round on at which rounding could decide. For a method that draws, the
            verdict is made of those of independent runs. Without a drift, the first is a martingale too.
        bet_rounds: number of rounds that were bet on.
        least_noise: the smallest relative rounding error of a round's slack; where even this is above the tolerance,
            nothing can be judged.
        fitted_rate, promised_rate: p of T^p or q of q^T, as the theorem's `law` says, fitted to the measured and to the
            bound at the same recorded rounds, from `fitted_from` to `fitted_to`; NaN and -1 where these are too few.
    """

    bounded: str
    applies: np.ndarray
    max_stepsize: float
    lyapunov: np.ndarray
    bound: np.ndarray
    slack: np.ndarray
    smallest_slack: np.ndarray
    smallest_slack_round: np.ndarray
    worst_change: np.ndarray
    worst_promise: np.ndarray
    violations: np.ndarray
    judged_rounds: np.ndarray
    excess: np.ndarray
    log_ratio: np.ndarray
    log_capital: np.ndarray
    bet_rounds: np.ndarray
    least_noise: np.ndarray
    fitted_rate: np.ndarray
    promised_rate: np.ndarray
    fitted_from: np.ndarray
    fitted_to: np.ndarray


class Course(NamedTuple):
    """What was recorded of runs about one theorem, [..., R] each."""

    lyapunov: np.ndarray
    noise: np.ndarray  # what rounding may do to it
    budget: np.ndarray
    slack: np.ndarray
    log_ratio: np.ndarray
    log_capital: np.ndarray
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
    lyapunov, noise, budget, *_ = course
    gammas = stepsizes[..., None]
    with np.errstate(all="ignore"):  # what is not finite is sorted out below
        bound = np.asarray(theorem.bound(constants, gammas, rounds, budget))
        measured = getattr(course, theorem.bounded)
        # rounding must not decide, neither in V nor in the V^0 from which its bound comes
        start_noise = np.asarray(theorem.retained(constants, gammas)) ** rounds * noise[..., :1]
        clear = np.maximum(noise, start_noise) <= tolerance(budget.dtype) * budget
        comparable = (rounds > 0) & np.isfinite(measured) & clear
        ratio = np.where(comparable, measured / bound, -np.inf).max(axis=-1)
        window = fit_window(comparable & (measured > 0) & (noise < NOISE_IN_FITS * lyapunov) & np.isfinite(bound))
    fitted, promised = (fit_rate(theorem.law, rounds, values, window) for values in (measured, bound))
    return Verdict(
        bounded=theorem.bounded,
        applies=theorem.speaks_of(constants, stepsizes),
        max_stepsize=float(theorem.max_stepsize(constants)),
        lyapunov=lyapunov,
        bound=np.where(rounds > 0, bound, np.nan) if theorem.bounded != "lyapunov" else bound,
        slack=np.where(np.isfinite(course.slack), course.slack, np.nan),
        smallest_slack=check.smallest_slack,
        smallest_slack_round=check.smallest_slack_round,
        worst_change=check.worst_change,
        worst_promise=check.worst_promise,
        violations=check.violations,
        judged_rounds=check.judged_rounds,
        excess=np.where(np.isfinite(ratio), ratio, np.nan),
        log_ratio=course.log_ratio,
        log_capital=course.log_capital,
        bet_rounds=check.account.rounds,
        least_noise=check.least_noise,
        fitted_rate=fitted.rate,
        promised_rate=promised.rate,
        fitted_from=fitted.first,
        fitted_to=fitted.last,
    )
