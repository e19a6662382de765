"""The verdict table: for every theorem of a sweep, whether it held on the runs that it speaks of.

A theorem holds on a run of a deterministic method if no judged round violates its one-step inequality and no
recorded round its rate. Of a random method the inequality holds in expectation: the sum of a run's slacks is then a
sample of a variable with mean >= 0, and a one-sided t-test over the seeds decides.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy import stats

from experiments.columns import VERDICT_FIGURES, column
from experiments.store import Results
from problems.registry import registered
from simulator import Method, Theorem
from simulator.checks import tolerance

__all__ = ["Judgement", "TheoremVerdict", "judge", "judge_runs"]

Table = Any  # a pandas DataFrame; its type stubs do not know what a mask selects

# Probability with which one group of seeds may be called a violation although the theorem holds.
FALSE_ALARM_RATE = 1e-3
# Fewer seeds say nothing about an expectation.
FEWEST_SEEDS = 8


class Judgement(StrEnum):
    HOLDS = "holds"
    VIOLATED = "VIOLATED"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class TheoremVerdict:
    """What the runs of a sweep say about one theorem of one method.

    Attributes:
        method, theorem, reference: which theorem.
        applicable, runs: to how many of the method's runs it applies.
        judgement, reason: the verdict, and what made it other than "holds".
        smallest_slack: over all judged rounds of those runs, relative to what changes in a round; NaN where the
            inequality holds in expectation only.
        tightness: the largest measured / bound at recorded rounds; 1 means that the bound is attained.
        steps: number of rounds judged.
        beyond, beyond_broken: runs of the stepsizes for which the theorem does not speak (larger ones, or all others
            where it speaks of one only), and how many of them broke its inequality: evidence that the check can fail.
    """

    method: str
    theorem: str
    reference: str
    applicable: int
    runs: int
    judgement: Judgement
    reason: str
    smallest_slack: float
    tightness: float
    steps: int
    beyond: int
    beyond_broken: int


def judge(results: Results) -> list[TheoremVerdict]:
    """One verdict for every theorem of every method of the sweep that applies to at least one run."""
    verdicts = []
    for kind, runs in results.runs.groupby("method.kind", sort=True):
        for theorem in registered(Method)[str(kind)].theorems:
            if column(theorem.name, "applies") in runs:
                verdict = _judge_theorem(str(kind), theorem, runs, results.config.precision)
                verdicts += [verdict] if verdict.applicable else []
    return verdicts


def _judge_theorem(kind: str, theorem: Theorem, runs: Table, precision: str) -> TheoremVerdict:
    figures = _figures(theorem, runs)
    stated = figures[figures.applies.notna()]  # the theorem's other assumptions hold
    applicable, beyond = stated[stated.applies.astype(bool)], stated[~stated.applies.astype(bool)]
    judgements = judge_runs(applicable, tolerance(precision))
    judgement, reason = _worst(judgements)
    deterministic = applicable[applicable.deterministic]
    return TheoremVerdict(
        method=kind,
        theorem=theorem.name,
        reference=theorem.reference,
        applicable=len(applicable),
        runs=len(runs),
        judgement=judgement,
        reason=reason,
        smallest_slack=_finite(deterministic.smallest_slack.min()),
        tightness=applicable.excess.max(),
        steps=int(applicable.judged_rounds.sum()),
        beyond=int(beyond.deterministic.sum()),
        beyond_broken=int((beyond.deterministic & (beyond.violations > 0)).sum()),
    )


def _figures(theorem: Theorem, runs: Table) -> Table:
    """The theorem's columns under plain names, beside what identifies a group of seeds."""
    figures = runs[[column(theorem.name, name) for name in VERDICT_FIGURES]].set_axis(list(VERDICT_FIGURES), axis=1)
    return figures.assign(
        run=runs.run, group=_groups(runs), deterministic=runs.deterministic.astype(bool), status=runs.status
    )


def _groups(runs: Table) -> Table:
    """A number for every set of runs that differ in the seed only."""
    choices = [name for name in runs if name.startswith(("problem.", "method."))] + ["rule", "stepsize"]
    return runs[choices].astype(str).groupby(choices, sort=False).ngroup()


def judge_runs(runs: Table, tolerance: float) -> list[tuple[Judgement, str]]:
    """Judgement and reason for every deterministic run, and for every group of seeds of random ones."""
    deterministic = [_judge_run(run, tolerance) for run in runs[runs.deterministic].itertuples()]
    random = [_judge_seeds(group) for _, group in runs[~runs.deterministic].groupby("group")]
    return deterministic + random


def _judge_run(run, tolerance: float) -> tuple[Judgement, str]:
    if run.violations > 0:
        worst = f"run {run.run}: {run.violations:.0f} of {run.judged_rounds:.0f} rounds break the inequality, worst "
        return (
            Judgement.VIOLATED,
            worst + f"slack {run.smallest_slack:.3g} in round {run.smallest_slack_round:.0f}",
        )
    if run.excess > 1 + tolerance:
        return Judgement.VIOLATED, f"run {run.run}: measured / bound reaches {run.excess:.6g}"
    if run.status == "diverged":
        return Judgement.VIOLATED, f"run {run.run} diverged"
    if run.judged_rounds == 0:
        return Judgement.UNDECIDED, f"run {run.run}: no round stands clear of rounding error"
    return Judgement.HOLDS, ""


def _judge_seeds(runs: Table) -> tuple[Judgement, str]:
    """One-sided t-tests on the mean of the total slack: is it >= 0, is it < 0, or can it not be told?"""
    slacks, first = runs.total_slack.to_numpy(float), runs.run.iloc[0]
    if (runs.status == "diverged").any():
        return Judgement.VIOLATED, f"{(runs.status == 'diverged').sum()} seeds of run {first} diverged"
    if len(slacks) < FEWEST_SEEDS or not np.all(np.isfinite(slacks)):
        return (
            Judgement.UNDECIDED,
            f"the inequality holds in expectation: at least {FEWEST_SEEDS} seeds are needed",
        )
    margin = stats.t.ppf(1 - FALSE_ALARM_RATE, len(slacks) - 1) * slacks.std(ddof=1) / np.sqrt(len(slacks))
    if slacks.mean() + margin < 0:
        return (
            Judgement.VIOLATED,
            f"run {first} and its seeds: mean total slack {slacks.mean():.3g} +- {margin:.2g}",
        )
    if slacks.mean() - margin < 0:
        return (
            Judgement.UNDECIDED,
            f"run {first} and its seeds: mean total slack {slacks.mean():.3g} +- {margin:.2g}",
        )
    return Judgement.HOLDS, ""


def _worst(judgements: list[tuple[Judgement, str]]) -> tuple[Judgement, str]:
    for kind in (Judgement.VIOLATED, Judgement.UNDECIDED):
        reasons = [reason for judgement, reason in judgements if judgement is kind]
        if reasons:
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            return kind, reasons[0] + more
    return Judgement.HOLDS, ""


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else float("nan")
