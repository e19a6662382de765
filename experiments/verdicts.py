"""The verdict table: for every theorem of a sweep, whether it held on the runs that it speaks of.

A theorem holds on a run of a deterministic method if no judged round violates its one-step inequality and no
recorded round its rate. Of a random method the inequality holds in expectation, and all runs that differ in the seed
only are judged together (`experiments/evidence.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from experiments.columns import VERDICT_FIGURES, column
from experiments.evidence import Bets, Standard
from experiments.judging import Finding, Judgement, judge_run, judge_seeds, worst
from experiments.results import Results
from problems import InvalidInput
from problems.registry import registered
from simulator import Method, Theorem

__all__ = ["Judgement", "TheoremVerdict", "judge", "with_controls"]

Table = Any  # a pandas DataFrame; its type stubs do not know what a mask selects
Recorded = Callable[[str], tuple[Table, Table]]  # by a theorem's name


@dataclass(frozen=True)
class TheoremVerdict:
    """What the runs of a sweep say about one theorem of one method.

    Attributes:
        method, theorem, reference: which theorem.
        where: the values of the columns by which the runs were split, if they were.
        applicable, runs: to how many of the method's runs it applies.
        judgement, reason: the verdict, and what made it other than "holds".
        smallest_slack: over all judged rounds of those runs, relative to what changes in a round; NaN where the
            inequality holds in expectation only.
        tightness: the largest measured / bound at recorded rounds; 1 means that the bound is attained. Of a random
            method the mean over the seeds of each run's largest.
        law, fitted, promised: "power" or "geometric", and p of T^p or q of q^T fitted to the measured and to the bound
            on the same rounds; the medians over the runs, NaN where none has rounds enough.
        steps: number of rounds judged.
        seeds, power: of random methods, the fewest runs of a group, and the least probability with which a group would
            have shown the excess that was asked for (`Standard`); None for a deterministic one, and no power for a
            theorem with a drift.
        beyond, beyond_broken: runs of the stepsizes for which the theorem does not speak (larger ones, or all others
            where it speaks of one only), and how many of them broke its inequality: evidence that the check can fail.
        controls, controls_failed: negative controls that were run, and how many failed as they must; None without any.
    """

    method: str
    theorem: str
    reference: str
    where: dict[str, Any]
    applicable: int
    runs: int
    judgement: Judgement
    reason: str
    smallest_slack: float
    tightness: float
    law: str
    fitted: float
    promised: float
    steps: int
    seeds: int | None
    power: float | None
    beyond: int
    beyond_broken: int
    controls: int | None = None
    controls_failed: int | None = None


def judge(results: Results, by: Sequence[str] = (), standard: Standard | None = None) -> list[TheoremVerdict]:
    """One verdict for every theorem of every method of the sweep that applies to at least one run.

    Args:
        by: columns of the runs, e.g. "problem.kind": a verdict for each of their values.

    Raises:
        InvalidInput: the runs have no such column, or not those of a verdict.
    """
    unknown = [name for name in by if name not in results.runs]
    if unknown:
        raise InvalidInput(f"the runs have no column {', '.join(unknown)}; they have {', '.join(results.runs.columns)}")
    standard = standard or Standard()
    parts = [part for part in _parts(results, by) if len(part.applicable)]
    checks = sum(part.applicable[~part.applicable.deterministic].group.nunique() for part in parts)
    recorded = cache(partial(_recorded, results))  # many parts are about theorems of one name
    return [_judge_part(results, part, recorded, standard, checks) for part in parts]


@dataclass(frozen=True)
class Part:
    """The runs that one verdict is about."""

    kind: str
    theorem: Theorem
    where: dict[str, Any]
    figures: Table  # of all runs of the method there; of those whose assumptions fail, `applies` is missing

    @property
    def applicable(self) -> Table:
        """The runs of which the theorem speaks."""
        return self.figures[self.figures.applies.eq(True)]

    @property
    def beyond(self) -> Table:
        """The runs of which only the stepsize is not the theorem's."""
        return self.figures[self.figures.applies.eq(False)]


def _parts(results: Results, by: Sequence[str]) -> Iterator[Part]:
    table: Table = results.runs
    for (kind, *values), runs in table.groupby(["method.kind", *by], sort=True, dropna=False):
        for theorem in registered(Method)[str(kind)].theorems:
            if column(theorem.name, "applies") in runs:
                yield Part(str(kind), theorem, dict(zip(by, values, strict=True)), _figures(theorem, runs))


def _judge_part(results: Results, part: Part, recorded: Recorded, standard: Standard, checks: int) -> TheoremVerdict:
    applicable, beyond, theorem = part.applicable, part.beyond, part.theorem
    deterministic, random = applicable[applicable.deterministic], applicable[~applicable.deterministic]
    findings = [judge_run(theorem, run, results.config.precision) for run in deterministic.itertuples()]
    if len(random):
        findings += _judge_groups(recorded(theorem.name), theorem, random, standard, checks)
    finding = worst(findings)
    return TheoremVerdict(
        method=part.kind,
        theorem=theorem.name,
        reference=theorem.reference,
        where=part.where,
        applicable=len(applicable),
        runs=len(part.figures),
        judgement=finding.judgement,
        reason=finding.reason,
        smallest_slack=_finite(deterministic.smallest_slack.min()),
        tightness=applicable.groupby("group").excess.mean().max(),
        law=theorem.law,
        fitted=applicable.fitted_rate.median(),
        promised=applicable.promised_rate.median(),
        steps=int(deterministic.judged_rounds.sum() + random.bet_rounds.sum()),
        seeds=finding.seeds,
        power=finding.power,
        beyond=int(beyond.deterministic.sum()),
        beyond_broken=int((beyond.deterministic & (beyond.violations > 0)).sum()),
    )


def _recorded(results: Results, theorem: str) -> tuple[Table, Table]:
    """The bets against the theorems of that name, adaptive ones and ratios: a row a round, a column a run."""
    names = [column(theorem, name) for name in ("log_capital", "log_ratio")]
    traces: Table = results.trace_columns(["run", "round", *names]).set_index(["round", "run"])
    adaptive, ratios = (traces[name].unstack("run") for name in names)
    missing = set(results.runs.run) - set(adaptive)
    if missing:
        raise InvalidInput(f"{results.folder} is damaged: its traces have no run {min(missing)}")
    return adaptive, ratios


def _judge_groups(
    recorded: tuple[Table, Table], theorem: Theorem, runs: Table, standard: Standard, checks: int
) -> Iterator[Finding]:
    adaptive, ratios = recorded
    for _, group in runs.groupby("group"):
        own = ratios[group.run].to_numpy(float)
        bets = Bets(adaptive[group.run].to_numpy(float), None if theorem.drifts else own)
        yield judge_seeds(theorem, group, bets, adaptive.index.to_numpy(), standard, checks)


def _figures(theorem: Theorem, runs: Table) -> Table:
    """The theorem's columns under plain names, beside what identifies a group of seeds."""
    names = [column(theorem.name, name) for name in VERDICT_FIGURES]
    missing = [name for name in names if name not in runs]
    if missing:
        raise InvalidInput(
            f"the runs have no column {missing[0]}: another version of efsim has written them; compute them again"
        )
    figures = runs[names].set_axis(list(VERDICT_FIGURES), axis=1)
    return figures.assign(
        run=runs.run, group=_groups(runs), deterministic=runs.deterministic.astype(bool), status=runs.status
    )


def _groups(runs: Table) -> Table:
    """A number for every set of runs that differ in the seed only."""
    choices = [name for name in runs if name.startswith(("problem.", "method."))] + ["rule", "stepsize"]
    return runs[choices].astype(str).groupby(choices, sort=False, dropna=False).ngroup()


def with_controls(verdict: TheoremVerdict, outcomes: Sequence[bool]) -> TheoremVerdict:
    """The verdict, given of each of its negative controls whether the check failed there, as it must.

    What has no control that fails is untested, not true.
    """
    verdict = replace(verdict, controls=len(outcomes), controls_failed=sum(outcomes))
    if verdict.judgement is Judgement.HOLDS and not any(outcomes):
        reason = f"none of {len(outcomes)} negative controls makes its check fail"
        return replace(verdict, judgement=Judgement.UNTESTED, reason=reason)
    return verdict


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else float("nan")
