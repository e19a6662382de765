"""Names of the columns that theorems have in results."""

__all__ = ["VERDICT_FIGURES", "column"]

# The fields of a `Verdict` with one value a run, as they stand in runs.parquet for every theorem.
VERDICT_FIGURES = (
    "applies",
    "smallest_slack",
    "smallest_slack_round",
    "violations",
    "judged_rounds",
    "excess",
    "total_slack",
)


def column(theorem: str, what: str) -> str:
    """The column that says `what` about the theorem, e.g. lyapunov_quadratic_mean."""
    return f"{what}_{theorem.replace('-', '_')}"
