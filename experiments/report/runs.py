"""The table of runs, and what their problems are called."""

from typing import Any, NamedTuple

from experiments.columns import column
from experiments.figures.sweep import Sweep, method_of
from experiments.report.words import unicode_text
from experiments.summary import cells, header, varying
from experiments.tables import number
from experiments.words import said, say

__all__ = ["RunRow", "RunTable", "problem_names", "table_of_runs"]


class RunRow(NamedTuple):
    """A run: its id, by what it is filtered, and its cells."""

    run: str
    method: str
    problem: int
    status: str
    cells: list[str]


class RunTable(NamedTuple):
    """The runs in the order of the results, the names of their columns, and which of these hold numbers."""

    header: list[str]
    numeric: list[bool]
    rows: list[RunRow]
    methods: list[str]
    statuses: list[str]


def problem_names(sweep: Sweep) -> list[str]:
    """What every problem is called: how it differs from the others, or what it is where there is one."""
    names = [name for name in varying(sweep.runs) if name.startswith("problem.")]
    rows = [row for _, row in sweep.runs.drop_duplicates("panel").iterrows()]
    return [
        unicode_text(", ".join(said(row, names))) if names else say("problem.kind", row["problem.kind"]) for row in rows
    ]


def table_of_runs(sweep: Sweep) -> RunTable:
    """A row a run: what varies, what came of it, and its smallest slack."""
    names, theorems = varying(sweep.runs), _theorems(sweep)
    rows = [_row(run, names, theorems[run["method.kind"]]) for run in sweep.runs.to_dict("records")]
    return RunTable(
        header=[*header(sweep.results, names), "smallest slack"],
        numeric=[all(map(_is_number, column)) for column in zip(*(row.cells for row in rows), strict=True)],
        rows=rows,
        methods=sorted({row.method for row in rows}),
        statuses=sorted({row.status for row in rows}),
    )


def _theorems(sweep: Sweep) -> dict[str, list[str]]:
    """The names of every method's theorems of which the runs tell."""
    kinds = sweep.runs["method.kind"].unique()
    named = {kind: [theorem.name for theorem in method_of(kind).theorems] for kind in kinds}
    return {kind: [name for name in names if column(name, "applies") in sweep.runs] for kind, names in named.items()}


def _row(run: dict[str, Any], names: list[str], theorems: list[str]) -> RunRow:
    slack = number(_smallest_slack(run, theorems), 3)
    return RunRow(run["run"], run["method.kind"], run["panel"], run["status"], [*cells(run, names), slack])


def _smallest_slack(run: dict[str, Any], theorems: list[str]) -> float | None:
    """Over the theorems that speak of the run; None where it draws, as inequalities then hold in expectation only."""
    speaking = [name for name in theorems if run["deterministic"] and run[column(name, "applies")] == True]  # noqa: E712
    slacks = [run[column(name, "smallest_slack")] for name in speaking]
    return min((slack for slack in slacks if abs(slack) < float("inf")), default=None)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "-"
    return True
