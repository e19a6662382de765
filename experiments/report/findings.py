"""What was claimed and what became of it: the claims of the config, and a verdict for every theorem."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.claims import Outcome, Status, report
from experiments.descriptions import silences
from experiments.expectations import VerdictExpectation
from experiments.results import Results
from experiments.verdict_table import EXPLANATIONS, controlled, header, row, totals
from experiments.verdicts import Judgement, TheoremVerdict

__all__ = ["Findings", "VerdictRow", "findings"]


@dataclass(frozen=True)
class VerdictRow:
    """A row of the table of verdicts.

    Attributes:
        cells: by the names of their columns, the verdict first, where a phone shows it.
        expected: whether the config expects a verdict other than "holds", and this is it.
    """

    cells: dict[str, str]
    judgement: Judgement
    expected: bool
    reference: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """What the first section of a report tells.

    Attributes:
        headline: what became of all claims, in a sentence.
        summary: of the verdicts, in a sentence.
        tally: how many verdicts there are of every kind.
        claims: what became of the tables [[expect]] of the config.
        silences: why methods without theorems have none, by their kinds.
        explanations: what the columns of the verdicts mean, by their names.
        controlled: whether negative controls were run.
    """

    headline: str
    summary: str
    tally: dict[Judgement, int]
    claims: list[Outcome]
    verdicts: list[VerdictRow]
    silences: dict[str, str]
    explanations: dict[str, str]
    controlled: bool


def findings(results: Results, verdicts: Sequence[TheoremVerdict]) -> Findings:
    """Hold the claims of a sweep to its verdicts."""
    outcomes, expect = report(results, verdicts), results.config.expect
    columns = header(verdicts) if verdicts else ()
    return Findings(
        headline=_headline(outcomes),
        summary=totals(verdicts),
        tally={judgement: sum(verdict.judgement is judgement for verdict in verdicts) for judgement in Judgement},
        claims=[outcome for outcome in outcomes if outcome.claim.expectation in expect],
        verdicts=[_verdict_row(verdict, columns, results) for verdict in verdicts],
        silences=silences(results.runs["method.kind"].unique()),
        explanations={name: text for name, text in EXPLANATIONS.items() if name in columns},
        controlled=controlled(verdicts),
    )


def _headline(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    if counts[Status.MET] == len(outcomes):
        return "Every claim is met." if outcomes else "Nothing was claimed that could be checked."
    parts = [f"{counts[status]} {status.lower()}" for status in Status if counts[status]]
    return f"Of {len(outcomes)} claims: {', '.join(parts)}."


def _verdict_row(verdict: TheoremVerdict, columns: Sequence[str], results: Results) -> VerdictRow:
    cells = dict(zip(columns, row(verdict), strict=True))
    return VerdictRow(
        cells={"verdict": cells["verdict"], **cells},
        judgement=verdict.judgement,
        expected=verdict.judgement is not Judgement.HOLDS and _is_expected(verdict, results),
        reference=verdict.reference,
        reason=verdict.reason,
    )


def _is_expected(verdict: TheoremVerdict, results: Results) -> bool:
    return any(
        isinstance(claim, VerdictExpectation)
        and (claim.method, claim.theorem, claim.verdict) == (verdict.method, verdict.theorem, verdict.judgement.lower())
        for claim in results.config.expect
    )
