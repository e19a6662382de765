"""efsim verify: the runs of a results folder judged, and how commands that judge are told by what standard."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from experiments.commands.options import results_argument
from experiments.commands.output import Answer, answers

if TYPE_CHECKING:
    from experiments.claims import Outcome
    from experiments.results import Results
    from experiments.verdicts import TheoremVerdict

__all__ = ["Judging", "judged", "judging_options", "verify"]

STATUSES = {0: "all claims hold", 1: "a claim does not hold", 3: "a claim is undecided or untested"}
BROKEN = "a run is above its certificate, or a certificate above its theorem"


class Judging(NamedTuple):
    """By what standard runs are judged, as the options say it."""

    controls: bool
    false_alarm: float
    excess: float


def judging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of Judging."""
    options = (
        click.option(
            "--controls", is_flag=True, help="Rerun every claim where it must be false; its check must fail there."
        ),
        click.option(
            "--false-alarm",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=1e-3,
            show_default=True,
            help="Probability that any check of random runs calls a true theorem violated.",
        ),
        click.option(
            "--excess",
            type=click.FloatRange(0, min_open=True),
            default=1.0,
            show_default=True,
            callback=_finite,
            help="Relative excess over a bound that the seeds must be able to show.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _finite(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number")
    return value


def judged(results: Results, judging: Judging, by: tuple[str, ...] = ()) -> list[TheoremVerdict]:
    """The verdicts on the runs, with negative controls where they are asked for."""
    from experiments.controls import control_verdicts
    from experiments.evidence import Standard
    from experiments.verdicts import judge

    standard = Standard(judging.false_alarm, judging.excess)
    verdicts = judge(results, by, standard)
    return control_verdicts(verdicts, results.config, standard) if judging.controls else verdicts


@click.command()
@results_argument
@judging_options
@click.option("--by", multiple=True, metavar="COLUMN", help="A verdict for each value, e.g. --by problem.kind.")
@click.option(
    "--certify", is_flag=True, help="Put the worst case over the runs' class beside what they did and their theorems."
)
@click.option("--allow-undecided", is_flag=True, help="Exit with 0 where nothing is violated.")
@answers(
    "status and meaning (the exit status and what it says), verdicts, claims (each with its status and reason), "
    "remarks (why methods without theorems have none), "
    "certificates (the rows of certificates.parquet; null without --certify)"
)
def verify(folder: Path, by: tuple[str, ...], certify: bool, allow_undecided: bool, **judging: Any) -> Answer:
    """Judge the runs in DIR by their theorems, and by what their config expects.

    Exit status: 0 if all claims hold, 1 if one does not, 3 if one is undecided, or untested because no negative control
    of it fails. A verdict that the config expects, [[expect]], is no failure. With --certify the status is also 1 if a
    run is above its certificate, or a certificate above its theorem; the certificates are written into DIR.
    """
    from experiments.claims import report
    from experiments.descriptions import silences
    from experiments.results import load_results

    results = load_results(folder)
    certified = _certified(results) if certify else None
    verdicts = judged(results, Judging(**judging), by)
    outcomes = report(results, verdicts)
    status = _status(outcomes, allow_undecided)
    meaning = "nothing is violated" if allow_undecided and status == 0 else STATUSES[status]
    if certified is not None and not certified.holds:
        status, meaning = 1, BROKEN
    document = {"folder": folder, "status": status, "meaning": meaning, "verdicts": verdicts}
    document["claims"] = [_claim(outcome, results) for outcome in outcomes]
    document["remarks"] = silent = silences(results.runs["method.kind"].unique())
    document["certificates"] = None if certified is None else certified.rows
    text = "\n\n".join([_text(results, verdicts, outcomes, silent), *([] if certified is None else [certified.text])])
    return Answer(text, document, status)


def _claim(outcome: Outcome, results: Results) -> dict[str, Any]:
    """What became of a claim, for machines."""
    return {
        "name": outcome.claim.name,
        "statement": outcome.claim.expectation.statement,
        "reference": outcome.claim.reference,
        "stated_by": "config" if outcome.claim.expectation in results.config.expect else "theorem",
        "status": outcome.status.lower(),
        "reason": outcome.reason,
    }


class Certified(NamedTuple):
    """What certificates say of runs; whether measured <= certified <= theorem."""

    rows: list[dict[Any, Any]]
    text: str
    holds: bool


def _certified(results: Results) -> Certified:
    from experiments.chain import broken_links, certify_runs, chain_text

    table = certify_runs(results)
    holds = broken_links(table, results.config.precision).empty
    return Certified(table.to_dict("records"), chain_text(results, table), holds)


def _text(results: Results, verdicts: list[TheoremVerdict], outcomes: list[Outcome], silent: dict[str, str]) -> str:
    from experiments.claims import render_outcomes
    from experiments.tables import wrapped
    from experiments.verdict_table import text_table, totals

    silence = "no theorem applies to any run: its assumptions fail, the stepsize is too large for it, or there is none"
    parts = [text_table(verdicts), totals(verdicts)] if verdicts else [silence]
    remarks = [wrapped(f"{kind}: {told}", "", "    ") for kind, told in silent.items()]
    outcomes_told = [render_outcomes(outcomes, results.config)] if results.config.expect else []
    return "\n\n".join([*parts, *remarks, *outcomes_told])


def _status(outcomes: list[Outcome], allow_undecided: bool) -> int:
    from experiments.claims import Status

    found = {outcome.status for outcome in outcomes}
    if Status.NOT_MET in found:
        return 1
    return 0 if allow_undecided or found == {Status.MET} else 3
