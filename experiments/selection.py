"""Runs by what their config chooses for them, before they are computed and after."""

from collections.abc import Iterable
from typing import Any

from experiments.spec import Spec
from problems import InvalidInput
from problems.errors import suggestion

__all__ = ["MEASURED", "Row", "choices", "configuration", "named_column", "quantity", "select"]

Row = dict[str, Any]  # of a run, by the columns of runs.parquet
UNSET = "unset"

# Columns of numbers that a run has beside what its config chooses.
MEASURED = (
    *("target_round", "final_loss", "final_grad_norm_sq", "stepsize", "num_workers", "dim"),
    *("L", "L_AM", "L_QM", "L_var", "L_plus", "mu", "alpha", "omega"),
)


def choices(problems: Iterable[Spec], methods: Iterable[tuple[int, Spec, Iterable[Any]]]) -> list[Row]:
    """A row for every problem with every method at every stepsize: what is known of a run before it is computed."""
    tables = [
        ({f"method.{name}": value for name, value in method.flat().items()}, stepsize)
        for _, method, stepsizes in methods
        for stepsize in stepsizes
    ]
    return [
        {f"problem.{name}": value for name, value in problem.flat().items()} | method | _stepsize_columns(stepsize)
        for problem in problems
        for method, stepsize in tables
    ]


def _stepsize_columns(stepsize: Any) -> Row:
    by_rule = stepsize.rule is not None
    given = {"multiple": stepsize.multiple} if by_rule else {"stepsize": stepsize.multiple}
    return {"rule": stepsize.rule, "multiple": None, "stepsize": None} | given


def configuration(row: Row) -> tuple[str, ...]:
    """What runs that differ in the seed only have in common."""
    chosen = (name for name in row if name.startswith(("problem.", "method.")))
    return tuple(f"{name} = {row[name]}" for name in (*chosen, "rule", "multiple", "stepsize"))


def select(rows: list[Row], selection: Row) -> list[Row]:
    """The rows that have these values in these columns; method = "ef21" says method.kind = "ef21".

    The word "unset" selects the rows that have no value there.

    Raises:
        InvalidInput: there is no such column, or no such row.
    """
    for name, value in selection.items():
        column = named_column(rows, name)
        found = [row for row in rows if _equal(row.get(column), value)]
        if not found:
            present = sorted({str(row.get(column)) for row in rows})
            raise InvalidInput(f"no run with {name} = {value!r}; accepted here: {', '.join(present)}")
        rows = found
    return rows


def named_column(rows: list[Row], name: str, others: tuple[str, ...] = ()) -> str:
    """The column that is meant by `name`: one of the rows' choices, or of `others`.

    Raises:
        InvalidInput: there is none.
    """
    known = {*_chosen(rows), *others}
    for candidate in (name, f"{name}.kind", name.removesuffix(".kind")):
        if candidate in known:
            return candidate
    listed = sorted(known)
    raise InvalidInput(f"unknown column {name!r}; accepted: {', '.join(listed)}{suggestion(name, listed)}")


def _chosen(rows: list[Row]) -> set[str]:
    columns = {name for row in rows for name in row}
    return {name for name in columns if name.startswith(("problem.", "method.")) or name in ("rule", "multiple")} | (
        {"stepsize"} & columns
    )


def _equal(cell: Any, value: Any) -> bool:
    """A parameter that is a number here and a word there is a word in results; in those nothing is None or NaN."""
    if value == UNSET:
        return cell is None or cell != cell
    return cell == value or str(cell) == str(value)


def quantity(rows: list[Row], text: str) -> tuple[str, str | None]:
    """The columns of "one" or of the ratio "one/other".

    Raises:
        InvalidInput: there is no such column.
    """
    one, slash, other = (part.strip() for part in text.partition("/"))
    return named_column(rows, one, MEASURED), named_column(rows, other, MEASURED) if slash else None
