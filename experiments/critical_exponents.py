"""How critical stepsizes follow the heterogeneity L_QM / L_AM: exponents with intervals, and the table of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.columns import differs, named
from experiments.critical import CONVERGENCE
from experiments.exponents import fit_exponent
from experiments.tables import number, render

__all__ = ["RATIO", "described", "groups", "render_exponents", "varying"]

RATIO = "problem.smoothness_ratio"  # the field along which exponents are fitted


class Group(NamedTuple):
    """The rows of one criterion, problem and method, which differ in the heterogeneity only."""

    criterion: str
    problem: str
    method: str
    rows: Any  # of the table of critical stepsizes, by increasing ratio


def varying(table: Any, prefix: str, *but: str) -> list[str]:
    """The columns with that prefix that tell the table's problems, or its methods, apart."""
    names = [name for name in named(table, prefix) if name not in but]
    return [name for name in names if differs(table, name, f"{prefix}kind")] or [f"{prefix}kind"]


def words(row: Any, names: list[str]) -> str:
    """What the row has in the named columns: words as they are, numbers with their names."""
    texts = [
        value if isinstance(value, str) else f"{name.split('.')[-1]}={number(value)}"
        for name, value in ((name, row[name]) for name in names)
        if not pd.isna(value)
    ]
    return " ".join(texts)


def described(table: Any, problem: list[str], method: list[str]) -> Any:
    """The table with `problem` and `method` in the words of these columns and `heterogeneity`, sorted by the last."""
    return table.assign(
        problem=[words(row, problem) for _, row in table.iterrows()],
        method=[words(row, method) for _, row in table.iterrows()],
        heterogeneity=(table.L_QM / table.L_AM).round(9),  # equal ones, but for rounding, keep their order
    ).sort_values("heterogeneity", kind="stable")


def groups(table: Any) -> Iterator[Group]:
    """The groups of a table of critical stepsizes, criterion by criterion, in the table's order."""
    rows = described(table, varying(table, "problem.", RATIO), varying(table, "method."))
    for criterion in table.criterion.unique():
        own = rows[rows.criterion == criterion].groupby(["problem", "method"], sort=False)
        yield from (Group(criterion, problem, method, group) for (problem, method), group in own)


def render_exponents(table: Any) -> str:
    """The exponents of every group, what its theorem's stepsize has, and where nothing was found."""
    header = ("criterion", "problem", "method", "points", "exponent", "95%", "start's", "critical/start", "rounds")
    rows = [_row(group) for group in groups(table)]
    legend = (
        "exponent: of critical stepsize x L in L_QM/L_AM, and half of its 95% interval; start's: that of the stepsize\n"
        "where the search began, the theorem's own (for convergence the largest of them).  critical/start: range.\n"
        "rounds: exponent of the rounds to the target at the start, over the points that reached it."
    )
    return "\n".join([render(header, rows), "", legend, *_unresolved(table)])


def _row(group: Group) -> tuple[str, ...]:
    rows = group.rows
    ratio, bounded = rows.heterogeneity.to_numpy(float), rows.holds.where(rows.fails.notna())
    fit = fit_exponent(ratio, (bounded * rows.L).to_numpy(float))
    start = fit_exponent(ratio, (rows.stepsize * rows.L).to_numpy(float))
    rounds = fit_exponent(ratio, rows.target_round.to_numpy(float))
    relative = (bounded / rows.stepsize).dropna()
    extent = f"{relative.min():.3g} to {relative.max():.3g}" if len(relative) else "-"
    points = f"{fit.points} of {len(rows)}"
    figures = (_rounded(value) for value in (fit.exponent, fit.margin, start.exponent))
    return (group.criterion, group.problem, group.method, points, *figures, extent, _rounded(rounds.exponent))


def _rounded(exponent: float) -> str:
    return "-" if np.isnan(exponent) else f"{exponent:.2f}".replace("-0.00", "0.00")


def _unresolved(table: Any) -> list[str]:
    """A line for each case whose critical stepsize is no number: what is known instead."""
    at_start, endless = table[table.holds.isna()], table[table.holds.notna() & table.fails.isna()]
    return [
        f"{_failure(row)} at {row.stepsize:.4g}, where the search starts: {_case(row, table)}"
        for _, row in at_start.iterrows()
    ] + [
        f"no failure of {row.criterion} found: critical stepsize > {row.holds:.4g}: {_case(row, table)}"
        for _, row in endless.iterrows()
    ]


def _failure(row: Any) -> str:
    if row.criterion != CONVERGENCE:
        return f"FINDING: the inequality of {row.criterion} fails"
    if row.status == "diverged":
        return "FINDING: the run diverges"
    return "the rounds do not suffice to converge"


def _case(row: Any, table: Any) -> str:
    problem = words(row, varying(table, "problem.", RATIO))
    return f"{problem}, L_QM/L_AM = {row.L_QM / row.L_AM:.4g}, {words(row, varying(table, 'method.'))}"
