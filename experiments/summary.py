"""The table of runs that ends a sweep."""

from typing import Any

from experiments.results import Results
from experiments.tables import number, render

__all__ = ["cells", "header", "summarize", "varying"]

MOST_ROWS = 40


def summarize(results: Results) -> str:
    """What differs between the runs, with what came of each; the first MOST_ROWS of them."""
    results = results.timed()
    runs: Any = results.runs
    names = varying(runs)
    target = results.config.target
    rows = [cells(run, names) for run in runs.head(MOST_ROWS).to_dict("records")]
    hidden = len(runs) - MOST_ROWS
    more = [f"... and {hidden} more, in {results.folder / 'runs.parquet'}"] if hidden > 0 else []
    note = f"(rounds to {target:g}: first round with |grad f(x)|^2 <= {target:g} |grad f(x^0)|^2)"
    return "\n".join([render(header(results, names), rows), *more, note])


def varying(runs: Any) -> list[str]:
    """The columns of what the config chooses in which runs differ."""
    choices = [name for name in runs if name.startswith(("problem.", "method."))] + ["rule", "multiple", "seed"]
    return [name for name in choices if runs[name].astype(str).nunique() > 1]


def header(results: Results, names: list[str]) -> list[str]:
    """The names of the columns: what varies, then what came of a run."""
    short = [name.removeprefix("problem.").removeprefix("method.") for name in names]
    reached = [f"rounds to {results.config.target:g}", *(["simulated s"] if results.clock else [])]
    return [*short, "L_QM/L_AM", "stepsize", *reached, "last |grad f|^2", "status"]


def cells(run: dict[str, Any], names: list[str]) -> list[str]:
    """The cells of a run, below `header`."""
    reached, diverged = run["target_round"], run["diverged_round"]
    return [
        *(number(run[name]) for name in names),
        number(run["L_QM"] / run["L_AM"]),
        number(run["stepsize"]),
        "-" if reached != reached else f"{reached:.0f}",
        *([number(run["target_seconds"])] if "target_seconds" in run else []),
        number(run["final_grad_norm_sq"], 3),
        "finished" if diverged != diverged else f"diverged in round {diverged:.0f}",
    ]
