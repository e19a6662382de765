"""Verdicts as a table to read, in a terminal or in Markdown."""

from collections import Counter
from collections.abc import Sequence

from experiments.tables import markdown, number, render, wrapped
from experiments.verdicts import TheoremVerdict

__all__ = ["markdown_table", "text_table", "totals"]

LEGEND = (
    "runs: those that the theorem speaks of, of all.  steps: rounds judged.  slack: smallest over them, relative to\n"
    "what changes in a round.  tightness: largest measured / bound.  rate: fitted to the measured / to the bound.\n"
    "seeds: the fewest of a random method's runs (and the power with which an excess would show).\n"
    "beyond: runs at stepsizes of which the theorem does not speak (larger ones; all others where it speaks of one\n"
    "only), and how many break the inequality.{controls}\n"
    "`efsim list theorems` has their references."
)
CONTROLS = "  controls: reruns where the claim must be false, and how many fail."


def text_table(verdicts: Sequence[TheoremVerdict]) -> str:
    """The table, what its columns are, and the reasons of what does not simply hold."""
    legend = LEGEND.format(controls=CONTROLS if _controlled(verdicts) else "")
    return "\n".join([render(_header(verdicts), [_row(v) for v in verdicts]), "", legend, *_reasons(verdicts)])


def markdown_table(verdicts: Sequence[TheoremVerdict]) -> str:
    """The table as Markdown."""
    return markdown(_header(verdicts), [_row(v) for v in verdicts])


def _reasons(verdicts: Sequence[TheoremVerdict]) -> list[str]:
    """What does not simply hold, and why; those with the same reason together."""
    names: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict.reason:
            names.setdefault((str(verdict.judgement), verdict.reason), []).append(_name(verdict))
    return [wrapped(f"{what}: {', '.join(who)}: {reason}", "", "    ") for (what, reason), who in names.items()]


def totals(verdicts: Sequence[TheoremVerdict]) -> str:
    """All of them in one line."""
    counts = [f"{count} {judgement}" for judgement, count in Counter(v.judgement for v in verdicts).items()]
    controls = [v for v in verdicts if v.controls is not None]
    failed, run = (sum(getattr(v, name) or 0 for v in controls) for name in ("controls_failed", "controls"))
    told = f"; {failed} of {run} negative controls fail as they must" if controls else ""
    return f"{len(verdicts)} verdicts from {sum(v.steps for v in verdicts):,} judged rounds: {', '.join(counts)}{told}"


def _controlled(verdicts: Sequence[TheoremVerdict]) -> bool:
    return any(verdict.controls is not None for verdict in verdicts)


def _header(verdicts: Sequence[TheoremVerdict]) -> tuple[str, ...]:
    where = [name.rpartition(".")[0] if name.endswith(".kind") else name for name in verdicts[0].where]
    columns = ("method", "theorem", "runs", "verdict", "steps", "slack >=", "tightness", "rate", "seeds", "beyond")
    return (*where, *columns, *(["controls"] if _controlled(verdicts) else []))


def _row(verdict: TheoremVerdict) -> tuple[str, ...]:
    controls = [] if verdict.controls is None else [_share(verdict.controls_failed or 0, verdict.controls)]
    return (
        *(number(value) for value in verdict.where.values()),
        verdict.method,
        verdict.theorem,
        _share(verdict.applicable, verdict.runs),
        str(verdict.judgement),
        str(verdict.steps),
        number(verdict.smallest_slack, 3),
        number(verdict.tightness, 3),
        _rates(verdict),
        _seeds(verdict),
        _share(verdict.beyond_broken, verdict.beyond),
        *controls,
    )


def _seeds(verdict: TheoremVerdict) -> str:
    if verdict.seeds is None:
        return "-"
    return str(verdict.seeds) if verdict.power is None else f"{verdict.seeds} ({number(verdict.power, 2)})"


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole}" if whole else "-"


def _rates(verdict: TheoremVerdict) -> str:
    if verdict.fitted != verdict.fitted:
        return "-"
    shape = "T^{:.3g}" if verdict.law == "power" else "{:.5g}^T"
    return f"{shape.format(verdict.fitted)} / {shape.format(verdict.promised)}"


def _name(verdict: TheoremVerdict) -> str:
    where = "".join(f", {name} = {value}" for name, value in verdict.where.items())
    return f"{verdict.method} {verdict.theorem}{where}"
