"""Verdicts as a table to read, in a terminal or in Markdown."""

from collections import Counter
from collections.abc import Sequence

from experiments.colour import coloured
from experiments.tables import markdown, number, render, wrapped
from experiments.verdicts import TheoremVerdict

__all__ = ["EXPLANATIONS", "controlled", "header", "markdown_table", "row", "text_table", "totals"]

# What the columns are, beside method, theorem and verdict.
EXPLANATIONS = {
    "runs": "those that the theorem speaks of, of all",
    "steps": "rounds judged",
    "slack >=": "the smallest over them, relative to what changes in a round",
    "tightness": "the largest measured / bound",
    "rate": "fitted to the measured / to the bound",
    "seeds": "the fewest of a random method's runs (and the power with which an excess would show)",
    "beyond": "runs at stepsizes of which the theorem does not speak (larger ones; all others where it speaks of one "
    "only), and how many break the inequality",
    "controls": "reruns where the claim must be false, and how many fail",
}


def text_table(verdicts: Sequence[TheoremVerdict]) -> str:
    """The table in colours, what its columns are, and the reasons of what does not simply hold."""
    columns = header(verdicts)
    legend = "  ".join(f"{name}: {text}." for name, text in EXPLANATIONS.items() if name in columns)
    table = render(columns, [[*map(coloured, row(verdict))] for verdict in verdicts])
    references = "`efsim list theorems` has their references."
    return "\n".join([table, "", wrapped(legend, "", ""), references, *_reasons(verdicts)])


def markdown_table(verdicts: Sequence[TheoremVerdict]) -> str:
    """The table as Markdown."""
    return markdown(header(verdicts), [row(verdict) for verdict in verdicts])


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


def controlled(verdicts: Sequence[TheoremVerdict]) -> bool:
    """Whether negative controls were run."""
    return any(verdict.controls is not None for verdict in verdicts)


def header(verdicts: Sequence[TheoremVerdict]) -> tuple[str, ...]:
    """The names of the columns; there must be a verdict."""
    where = [name.rpartition(".")[0] if name.endswith(".kind") else name for name in verdicts[0].where]
    columns = ("method", "theorem", "runs", "verdict", "steps", "slack >=", "tightness", "rate", "seeds", "beyond")
    return (*where, *columns, *(["controls"] if controlled(verdicts) else []))


def row(verdict: TheoremVerdict) -> tuple[str, ...]:
    """The cells of a verdict, below `header`."""
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
