"""The text of `efsim diff`."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from experiments.differences import JUDGED, Comparison
from experiments.results import Results
from experiments.tables import number, render, wrapped

__all__ = ["render_comparison"]

MOST_ROWS = 10


def render_comparison(comparison: Comparison, first: Results, second: Results) -> str:
    """What was compared, how many runs agree, and the worst of those that do not."""
    identical, within, different = (
        len(part) for part in (comparison.identical, comparison.within, comparison.different)
    )
    lines = [
        f"first:  {first.folder}, {len(first.runs)} runs",
        f"second: {second.folder}, {len(second.runs)} runs",
        f"{len(comparison.runs)} in both: {identical} identical, {within} within {comparison.tolerance:g}, "
        f"{different} different",
        *_largest_within(comparison.within),
        *_listed("runs only in first", comparison.only_first),
        *_listed("runs only in second", comparison.only_second),
        *_listed("columns only in first", comparison.columns_only_first),
        *_listed("columns only in second", comparison.columns_only_second),
        *(["", _table(comparison.different, first)] if different else []),
    ]
    made = [f"made with: {name} {ours} | {theirs}" for name, ours, theirs in _origins(first, second)]
    return "\n".join([*lines, *([""] if made else []), *made])


def _largest_within(within: pd.DataFrame) -> list[str]:
    """Of the values and of the figures that judge them, which are tolerated differently."""
    judged = within["column"].str.startswith(JUDGED)
    parts: Any = {"largest deviation within": within[~judged], "largest within, of what judges": within[judged]}
    lines = []
    for what, part in parts.items():
        if len(part):
            run = part["deviation"].idxmax()
            row: Any = part.loc[run]
            where = "" if math.isnan(row["round"]) else f", round {row['round']:.0f}"
            lines.append(f"{what}: {row['deviation']:.2g} ({row['column']} of run {run}{where})")
    return lines


def _listed(what: str, names: list[str]) -> list[str]:
    more = [f"... ({len(names)} of them)"] if len(names) > MOST_ROWS else []
    return [wrapped(f"{what}: {', '.join([*names[:MOST_ROWS], *more])}", "", "    ")] if names else []


def _table(different: pd.DataFrame, first: Results) -> str:
    """The worst runs: what each is, and where it differs."""
    header = (
        "run",
        "method",
        "problem",
        "stepsize",
        "seed",
        "departs",
        "column",
        "round",
        "deviation",
        "first",
        "second",
    )
    order = different.sort_values(["deviation", "departed"], ascending=[False, True], kind="stable")
    of_runs = first.runs.set_index("run")
    rows = []
    for run, row in order.head(MOST_ROWS).iterrows():
        what: Any = of_runs.loc[run]
        rows.append(
            (
                str(run),
                *(number(what[name]) for name in ("method.kind", "problem.kind", "stepsize", "seed")),
                *(number(value, 12) for value in (row["departed"], row["column"], row["round"])),
                number(row["deviation"], 2),
                *_values(row),
            )
        )
    note = "departs: the first recorded round in which any column exceeds the tolerance; the others: the worst column"
    more = [f"... and {len(order) - MOST_ROWS} more"] if len(order) > MOST_ROWS else []
    return "\n".join([render(header, rows), *more, note])


def _values(row: Any) -> list[str]:
    """Both values, with as many digits as tell them apart."""
    short = [number(row[name], 12) for name in ("first", "second")]
    return short if short[0] != short[1] else [str(row[name]) for name in ("first", "second")]


def _origins(first: Results, second: Results) -> Iterator[tuple[str, str, str]]:
    """What the folders were made with, where it differs."""
    ours, theirs = (_origin(results.provenance) for results in (first, second))
    for name in {**ours, **theirs}:
        one, other = (origin.get(name, "-") for origin in (ours, theirs))
        if one != other:
            yield name, one, other


def _origin(provenance: dict[str, Any]) -> dict[str, str]:
    """What may explain deviations. The parts of a sweep may have been computed in several environments."""
    origin: dict[str, list[str]] = {}
    for environment in provenance.get("environments", [provenance]):
        for name, value in _described(environment):
            values = origin.setdefault(name, [])
            if value not in values:
                values.append(value)
    for kind, what in (("data", "data"), ("plugins", "plugin")):
        for name, checksum in provenance.get(kind, {}).items():
            origin[f"{what} {name}"] = [str(checksum)[:12]]
    return {name: " and ".join(values) for name, values in origin.items()}


def _described(environment: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, version in environment.get("versions", {}).items():
        yield name, version or "-"
    yield "platform", environment.get("platform", "-")
    yield "devices", ", ".join(environment.get("devices", [])) or "-"
    git = environment.get("git")
    yield "git commit", git["commit"] + (" with changes" if git["dirty"] else "") if git else "-"
