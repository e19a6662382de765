"""One run, or one group of seeds, judged by one theorem: what counts as holding, as a violation, as neither."""

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from experiments.evidence import Bets, Standard, log_evidence, power, seeds_needed
from simulator import Theorem
from simulator.checks import tolerance

__all__ = ["Finding", "Judgement", "judge_run", "judge_seeds", "worst"]

FEWEST_ROUNDS = 10  # a shorter run says too little
FEWEST_SEEDS = 8  # where no power tells how many are needed


class Judgement(StrEnum):
    HOLDS = "holds"
    VIOLATED = "VIOLATED"
    UNDECIDED = "undecided"
    UNTESTED = "untested"  # no violation, but its negative control did not fail either

    @property
    def gravity(self) -> int:
        """By which one of several judgements counts."""
        return {Judgement.HOLDS: 0, Judgement.VIOLATED: 2}.get(self, 1)


class Finding(NamedTuple):
    """A judgement, with what made it other than "holds".

    Attributes:
        seeds: how many runs it comes from, where these draw.
        power: with which probability they would have shown the excess that was asked for.
    """

    judgement: Judgement
    reason: str = ""
    seeds: int | None = None
    power: float | None = None


HOLDS = Finding(Judgement.HOLDS)


def judge_run(theorem: Theorem, run: Any, precision: str) -> Finding:
    """A run of a deterministic method, `run` having the figures of a `Verdict` beside `run` and `status`."""
    if not run.violations <= 0:  # nor is one that is not a number
        return _violated(
            f"run {run.run}: {run.violations:.0f} of {run.judged_rounds:.0f} rounds break the inequality, worst in "
            f"round {run.smallest_slack_round:.0f}: V+ - V = {run.worst_change:.6g} where {run.worst_promise:.6g} is "
            f"allowed, relative slack {run.smallest_slack:.3g}"
        )
    if run.excess > 1 + tolerance(precision):
        return _violated(f"run {run.run}: measured / bound reaches {run.excess:.6g}")
    if _diverged(theorem, run.status):
        return _violated(f"run {run.run} diverged")
    if not run.judged_rounds >= (1 if run.status == "diverged" else FEWEST_ROUNDS):  # some theorems allow divergence
        return _undecided(f"run {run.run}: {_too_few_rounds(run, precision)}")
    return HOLDS


def _too_few_rounds(run: Any, precision: str) -> str:
    allowed = tolerance(precision)
    if run.least_noise > allowed:
        return (
            f"rounding error in {precision} is at least {run.least_noise:.2g} of what changes in a round; rounds are "
            f"judged where it is at most {allowed:.2g}"
        )
    clear = f"{run.judged_rounds:.0f} rounds stand clear of rounding error"
    return f"too short to judge: {clear}, {FEWEST_ROUNDS} are needed"


def judge_seeds(
    theorem: Theorem, runs: Any, bets: Bets, rounds: np.ndarray, standard: Standard, checks: int
) -> Finding:
    """A group of runs of a random method that differ in the seed only.

    Args:
        runs: a table of the runs, as `judge_run` takes one.
        bets: against the theorem at the recorded rounds, [R, K].
        rounds: the recorded rounds, [R].
        checks: how many groups are judged in the whole verdict.
    """
    who, limit = f"run {runs.run.iloc[0]} and its seeds", standard.limit(checks)
    diverged = sum(_diverged(theorem, status) for status in runs.status)
    if diverged:  # |grad f| beyond 1/eps times where it began: no draw of a true theorem's run leads there
        return _violated(f"{who}: {diverged} of {len(runs)} diverged")
    bets, rounds = _known(bets, rounds)
    if not len(rounds) or not runs.bet_rounds.min() >= FEWEST_ROUNDS:
        clear = f"{runs.bet_rounds.min():.0f} rounds stand clear of rounding error"
        return _undecided(f"{who}: {clear}, {FEWEST_ROUNDS} are needed")
    evidence = log_evidence(bets)
    worst_round = int(np.argmax(evidence))
    if evidence[worst_round] >= limit:
        return _violated(
            f"{who}: the e-value against it is 10^{evidence[worst_round] / np.log(10):.1f} in round "
            f"{rounds[worst_round]}, where 10^{limit / np.log(10):.1f} is a violation"
        )
    return _without_violation(len(runs), bets, standard, checks)


def _without_violation(seeds: int, bets: Bets, standard: Standard, checks: int) -> Finding:
    limit = standard.limit(checks)
    if bets.ratios is None:
        # what an excess would do depends on how it comes about: controls must show that one is seen
        if seeds >= FEWEST_SEEDS:
            return Finding(Judgement.HOLDS, "", seeds)
        reason = f"the inequality holds in expectation: at least {FEWEST_SEEDS} seeds are needed, not {seeds}"
        return Finding(Judgement.UNDECIDED, reason, seeds)
    seen = power(bets.ratios, standard.excess, limit)
    if seen >= standard.power:
        return Finding(Judgement.HOLDS, "", seeds, seen)
    reason = (
        f"{seeds} seeds show an excess of {standard.excess:.0%} over the bound with power {seen:.2g}, not "
        f"{standard.power:g}; at least {seeds_needed(standard.excess, limit)} are needed for {checks} checks"
    )
    return Finding(Judgement.UNDECIDED, reason, seeds, seen)


def _known(bets: Bets, rounds: np.ndarray) -> tuple[Bets, np.ndarray]:
    """Without round 0, and without the rounds at which a run is over or rounding could decide."""
    known = (rounds > 0) & np.all(np.isfinite(bets.adaptive), axis=1)
    return Bets(bets.adaptive[known], None if bets.ratios is None else bets.ratios[known]), rounds[known]


def _diverged(theorem: Theorem, status: str) -> bool:
    """Whether a run's divergence contradicts the theorem; one that holds at every stepsize allows it."""
    return status == "diverged" and theorem.limits_stepsize


def worst(findings: list[Finding]) -> Finding:
    """The gravest of them with its reason, the fewest seeds and the least power; none at all decide nothing."""
    if not findings:
        return _undecided("nothing was judged")
    gravest = max(findings, key=lambda finding: finding.judgement.gravity)
    others = len({finding.reason for finding in findings if finding.judgement is gravest.judgement}) - 1
    more = f" (and {others} more)" if others else ""
    seeds = [finding.seeds for finding in findings if finding.seeds is not None]
    powers = [finding.power for finding in findings if finding.power is not None]
    return Finding(gravest.judgement, gravest.reason + more, min(seeds, default=None), min(powers, default=None))


def _violated(reason: str) -> Finding:
    return Finding(Judgement.VIOLATED, reason)


def _undecided(reason: str) -> Finding:
    return Finding(Judgement.UNDECIDED, reason)
