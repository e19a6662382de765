"""The table of runs that ends a sweep."""

from typing import Any

from experiments.results import Results
from experiments.tables import number, render

__all__ = ["summarize"]

MOST_ROWS = 40


def summarize(results: Results) -> str:
    """What differs between the runs, with what came of each; the first MOST_ROWS of them."""
    runs: Any = results.runs
    varying = _varying(runs)
    target = f"rounds to {results.config.target:g}"
    header = [*map(_short, varying), "L_QM/L_AM", "stepsize", target, "last |grad f|^2", "status"]
    rows = [_row(run, varying) for run in runs.head(MOST_ROWS).to_dict("records")]
    hidden = len(runs) - MOST_ROWS
    more = [f"... and {hidden} more, in {results.folder / 'runs.parquet'}"] if hidden > 0 else []
    note = f"({target}: first round with |grad f(x)|^2 <= {results.config.target:g} |grad f(x^0)|^2)"
    return "\n".join([render(header, rows), *more, note])


def _varying(runs: Any) -> list[str]:
    choices = [name for name in runs if name.startswith(("problem.", "method."))] + ["rule", "multiple", "seed"]
    return [name for name in choices if runs[name].astype(str).nunique() > 1]


def _short(column: str) -> str:
    return column.removeprefix("problem.").removeprefix("method.")


def _row(run: dict[str, Any], varying: list[str]) -> list[str]:
    reached, diverged = run["target_round"], run["diverged_round"]
    return [
        *(number(run[name]) for name in varying),
        number(run["L_QM"] / run["L_AM"]),
        number(run["stepsize"]),
        "-" if reached != reached else f"{reached:.0f}",
        number(run["final_grad_norm_sq"], 3),
        "finished" if diverged != diverged else f"diverged in round {diverged:.0f}",
    ]
