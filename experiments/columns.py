"""The columns of results: what theorems have there, and what the runs were chosen by."""

from typing import Any

__all__ = ["RECORDED_FIGURES", "VERDICT_FIGURES", "column", "differs", "named"]

Table = Any  # a pandas DataFrame; its type stubs do not know what a mask selects

# The fields of a `Verdict` with one value a run, as they stand in runs.parquet for every theorem,
VERDICT_FIGURES = (
    "applies",
    "smallest_slack",
    "smallest_slack_round",
    "worst_change",
    "worst_promise",
    "violations",
    "judged_rounds",
    "bet_rounds",
    "least_noise",
    "excess",
    "fitted_rate",
    "promised_rate",
    "fitted_from",
    "fitted_to",
)
# and those with one value a run and recorded round, in the traces.
RECORDED_FIGURES = ("lyapunov", "bound", "slack", "log_ratio", "log_capital")


def column(theorem: str, what: str) -> str:
    """The column that says `what` about the theorem, e.g. lyapunov_quadratic_mean."""
    return f"{what}_{theorem.replace('-', '_')}"


def named(runs: Table, prefix: str) -> list[str]:
    """The columns of the runs that begin so, such as "problem."."""
    return [name for name in runs if name.startswith(prefix)]


def differs(runs: Table, name: str, kind: str) -> bool:
    """Whether the column differs between runs that have it; those of another kind need not have it."""
    return runs[name].nunique() > 1 or runs.groupby(kind)[name].nunique(dropna=False).max() > 1
