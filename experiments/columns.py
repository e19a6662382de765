"""Names of the columns that theorems have in results."""

__all__ = ["RECORDED_FIGURES", "VERDICT_FIGURES", "column"]

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
