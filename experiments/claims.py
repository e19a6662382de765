"""Claims: what a config states of its results, in words, and what became of it.

Every theorem that speaks of a run of the sweep is expected to hold there, unless a table [[expect]] says otherwise; the
other tables are claims of their own. What cannot be told (a target that is not reached, too few seeds or points) is
undecided, with the reason, and never counts as met.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from experiments.clock import with_fields
from experiments.colour import coloured
from experiments.config import Config
from experiments.expectations import Exponent, RoundsRatio, SecondsRatio, VerdictExpectation
from experiments.fits import Undecided, exponent, ratio, seconds_ratio
from experiments.plan import Plan, make_cases
from experiments.results import Results
from experiments.selection import Row
from experiments.tables import number, wrapped
from experiments.verdicts import Judgement, TheoremVerdict
from problems.registry import registered
from simulator import Method

__all__ = [
    "Claim",
    "Findings",
    "Outcome",
    "Status",
    "check",
    "claims_of_plan",
    "claims_of_verdicts",
    "render_outcomes",
    "report",
]


class Status(StrEnum):
    """What became of a claim."""

    MET = "met"
    NOT_MET = "NOT MET"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """Something that a config states.

    Attributes:
        expectation: a model of an [[expect]] table.
        reference: where the claim comes from; "" where the config does not say it.
    """

    expectation: Any
    reference: str

    @property
    def name(self) -> str:
        """Short and unique in its config, such as "ef21/arithmetic-mean"."""
        return self.expectation.name


@dataclass(frozen=True)
class Outcome:
    """What became of a claim, and why: the numbers on both sides."""

    claim: Claim
    status: Status
    reason: str

    def __str__(self) -> str:
        told = {
            "claim": self.claim.expectation.statement,
            "reference": self.claim.reference or "none given in the config",
            str(self.status): self.reason,
        }
        return "\n".join(wrapped(text, f"{label + ':':<12}", " " * 12) for label, text in told.items())


@dataclass(frozen=True)
class Findings:
    """What claims are checked against."""

    results: Results
    verdicts: Sequence[TheoremVerdict]

    @cached_property
    def rows(self) -> list[Row]:
        """The table of runs."""
        return _rows(self.results)

    def rows_by(self, clock: dict[str, Any]) -> list[Row]:
        """The table of runs with simulated time, by the config's clock with these fields replaced."""
        assert self.results.config.clock is not None  # the config would have been refused
        return _rows(self.results.timed(with_fields(self.results.config.clock, clock)))


def _rows(results: Results) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in results.runs.to_dict("records")]


def claims_of_plan(plan: Plan) -> list[Claim]:
    """What the config states, before it is computed: every theorem that speaks of a planned run, then [[expect]]."""
    spoken = {
        (batch.case.method.kind, theorem.name)
        for batch in plan.batches
        for theorem in batch.case.method.theorems
        if theorem.obstacle(batch.case.constants) is None
        and any(theorem.speaks_of(batch.case.constants, stepsize) for stepsize in batch.stepsizes)
    }
    return _claims(sorted(spoken), plan.config.expect)


def claims_of_verdicts(verdicts: Iterable[TheoremVerdict], expect: Iterable[Any]) -> list[Claim]:
    """What the config states, after: every theorem that has a verdict, then [[expect]]."""
    return _claims(sorted({(verdict.method, verdict.theorem) for verdict in verdicts}), expect)


def _claims(theorems: Iterable[tuple[str, str]], expect: Iterable[Any]) -> list[Claim]:
    implied = [VerdictExpectation(kind="verdict", method=method, theorem=theorem) for method, theorem in theorems]
    by_name = {expectation.name: expectation for expectation in (*implied, *expect)}  # the config's own word counts
    return [Claim(expectation, _reference(expectation)) for expectation in by_name.values()]


def _reference(expectation: Any) -> str:
    if not isinstance(expectation, VerdictExpectation):
        return expectation.reference
    theorems = registered(Method)[expectation.method].theorems
    return next(theorem.reference for theorem in theorems if theorem.name == expectation.theorem)


def report(results: Results, verdicts: Sequence[TheoremVerdict]) -> list[Outcome]:
    """What became of every claim of a sweep."""
    findings = Findings(results, verdicts)
    return [check(claim, findings) for claim in claims_of_verdicts(verdicts, results.config.expect)]


def render_outcomes(outcomes: Iterable[Outcome], config: Config) -> str:
    """What became of the tables [[expect]] of a config, in colours, below its verdicts; "" where it has none."""
    told = [outcome for outcome in outcomes if outcome.claim.expectation in config.expect]
    return "\n\n".join(str(each).replace(f"\n{each.status}:", f"\n{coloured(each.status)}:", 1) for each in told)


def check(claim: Claim, findings: Findings) -> Outcome:
    """Hold a claim to the results."""
    try:
        met, reason = _measured(claim.expectation, findings)
    except Undecided as undecided:
        return Outcome(claim, Status.UNDECIDED, str(undecided))
    return Outcome(claim, Status.MET if met else Status.NOT_MET, reason)


def _measured(expectation: Any, findings: Findings) -> tuple[bool, str]:
    match expectation:
        case VerdictExpectation():
            return _judged(expectation, findings.verdicts, findings.results.config)
        case RoundsRatio():
            return ratio(expectation, findings.rows, findings.results.config)
        case SecondsRatio():
            rows = findings.rows_by(expectation.clock)
            return seconds_ratio(expectation, rows, findings.results.config)
        case Exponent():
            return exponent(expectation, findings.rows, findings.results.config)
    raise TypeError(f"no expectation: {expectation!r}")


def _judged(expectation: VerdictExpectation, verdicts: Sequence[TheoremVerdict], config: Config) -> tuple[bool, str]:
    """Whether the verdict is the expected one. Neither way is undecided, unless that is what is expected."""
    verdict = _gravest([v for v in verdicts if (v.method, v.theorem) == (expectation.method, expectation.theorem)])
    judgement = Judgement.UNDECIDED if verdict is None else verdict.judgement
    reason = f"{judgement}: {_silence(expectation, config) if verdict is None else _told(verdict)}"
    met = judgement.lower() == expectation.verdict
    if not met and judgement not in (Judgement.HOLDS, Judgement.VIOLATED):
        raise Undecided(reason)
    return met, reason


def _gravest(verdicts: Sequence[TheoremVerdict]) -> TheoremVerdict | None:
    """Of a theorem that is judged on several parts of the runs."""
    return max(verdicts, key=lambda verdict: verdict.judgement.gravity, default=None)


def _silence(expectation: VerdictExpectation, config: Config) -> str:
    """Why the theorem speaks of no run."""
    methods = [case for case in make_cases(config) if case.method.kind == expectation.method]
    obstacles = [case.method.theorem(expectation.theorem).obstacle(case.constants) for case in methods]
    told = "; ".join(dict.fromkeys(obstacle or "the stepsizes are not its own" for obstacle in obstacles))
    return f"the theorem speaks of no run: {told}"


def _told(verdict: TheoremVerdict) -> str:
    slack, tightness = number(verdict.smallest_slack, 3), number(verdict.tightness, 3)
    numbers = f"{verdict.steps} rounds judged, smallest slack {slack}, largest measured / bound {tightness}"
    return "; ".join(filter(None, (verdict.reason, numbers)))
