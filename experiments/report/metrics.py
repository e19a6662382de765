"""What the vertical axis of a figure can show: what is measured, and of every theorem what it bounds."""

from typing import NamedTuple

from experiments.columns import column
from experiments.figures.sweep import Sweep, method_of, own_stationarity
from experiments.words import MINUS
from simulator import Theorem

__all__ = ["Metric", "metrics"]

BOUNDED = {
    "lyapunov": "Lyapunov value",
    "mean_grad_norm_sq": "mean of |∇f(xˢ)|² over s < t",
    "min_grad_norm_sq": "smallest |∇f(xˢ)|² over s < t",
}


class Metric(NamedTuple):
    """What the vertical axis shows: a column, and the column of its bound or "".

    Lines of a metric with a bound are those of runs that have one.
    """

    label: str
    measured: str
    bound: str
    theorem: str

    @property
    def columns(self) -> list[str]:
        """Those of the traces that it needs."""
        return list(filter(None, (self.measured, self.bound)))


def metrics(sweep: Sweep, theorems: list[str]) -> list[Metric]:
    """What can be drawn: what is measured, then for each theorem what it bounds, and its Lyapunov value anyhow."""
    found = _measured(sweep)
    for kind in sweep.runs["method.kind"].unique():
        for theorem in method_of(kind).theorems:
            if theorem.name in theorems:
                found += _theorem_metrics(theorem)
    return sorted(dict.fromkeys(found), key=lambda metric: theorems.index(metric.theorem) if metric.theorem else -1)


def _measured(sweep: Sweep) -> list[Metric]:
    gap = f"f(xᵗ) {MINUS} f*" if sweep.runs.minimum_known.all() else f"f(xᵗ) {MINUS} lower bound"
    stationarity = "stationarity (squared norm)" if own_stationarity(sweep.runs) else "|∇f(xᵗ)|²"
    return [Metric(stationarity, "grad_norm_sq", "", ""), Metric(f"loss gap {gap}", "loss_gap", "", "")]


def _theorem_metrics(theorem: Theorem) -> list[Metric]:
    value, bound = column(theorem.name, "lyapunov"), column(theorem.name, "bound")
    if theorem.bounded == "lyapunov":
        return [Metric(f"{BOUNDED['lyapunov']} and its bound", value, bound, theorem.name)]
    bounded = Metric(f"{BOUNDED[theorem.bounded]} and its bound", theorem.bounded, bound, theorem.name)
    return [Metric(BOUNDED["lyapunov"], value, "", theorem.name), bounded]
