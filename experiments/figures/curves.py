"""Curves: what is drawn of a run, or of runs that differ in the seed only, with the bounds of theorems."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.columns import column
from experiments.figures.sweep import Look, Sweep, Table, applicable, method_of
from simulator import Theorem
from simulator.theorem import at_model

__all__ = ["HORIZONTALS", "METRICS", "Curve", "Metric", "curves_of", "visible_limits"]

DIVERGING = 1e3  # growth over the start beyond which a curve leaves its axes
SEEDS_OF_A_BAND = 5  # fewer are lines of their own
QUANTILES = (0.1, 0.5, 0.9)


class Metric(NamedTuple):
    """What the vertical axis shows, and the theorems' bounds that belong there."""

    values: Callable[[Any, pd.DataFrame], np.ndarray]  # of a run, given its row and its trace, [R]
    bounds: Callable[[Any, pd.DataFrame], dict[str, np.ndarray]]  # by what they bound (`Theorem.bounded`), [R] each
    words: dict[str, str]  # for the lines of the bounds, by what they bound


class Horizontal(NamedTuple):
    """What the horizontal axis shows."""

    values: Callable[[Any, Table], Any]  # likewise
    label: str


HORIZONTALS = {
    "rounds": Horizontal(lambda run, trace: trace["round"], "round $t$"),
    "bits": Horizontal(lambda run, trace: trace["bits_per_worker"], "bits sent by each worker"),
    "gradients": Horizontal(
        lambda run, trace: trace["round"] * run.passes_per_round, "passes of each worker over its data, expected"
    ),
    "time": Horizontal(lambda run, trace: trace["seconds"], "simulated time, by the cost model of the config (s)"),
    "elapsed": Horizontal(lambda run, trace: trace["elapsed"], "simulated time, in mean times of a local work"),
}


class Curve(NamedTuple):
    """One line in one panel."""

    name: str  # of the run, or of the first of several
    look: Look
    x: np.ndarray  # [R]
    y: np.ndarray  # measured, NaN from where the run diverged; of several runs the median, [R]
    band: tuple[np.ndarray, np.ndarray] | None  # of several runs, between which 80% of them are, [R] each
    bounds: dict[str, np.ndarray]  # on the same axis, by what they bound, [R] each
    diverged_at: float | None  # in units of x


def curves_of(sweep: Sweep, panel: int, metric: Metric, horizontal: Horizontal) -> list[Curve]:
    """What there is to draw in a panel."""
    runs = sweep.runs[sweep.runs.panel == panel]
    return [
        curve
        for _, group in runs.groupby("variant", sort=False)
        for part in _lines(group)
        if np.isfinite((curve := _curve(sweep, part, metric, horizontal)).y).any()
    ]


def _lines(runs: Table) -> Iterator[Table]:
    """Runs that differ in the seed only, as they are drawn: in one band, or one by one."""
    if len(runs) >= SEEDS_OF_A_BAND and runs.diverged_round.isna().all():
        yield runs
    else:
        yield from (runs.iloc[[index]] for index in range(len(runs)))


def _curve(sweep: Sweep, runs: Table, metric: Metric, horizontal: Horizontal) -> Curve:
    rows = [run for _, run in runs.iterrows()]
    traces = [sweep.traces[run.run] for run in rows]
    drawn = list(zip(rows, traces, strict=True))
    values = np.array([metric.values(*each) for each in drawn], float)
    low, middle, high = np.quantile(values, QUANTILES, axis=0) if len(rows) > 1 else values[[0, 0, 0]]
    bounds = [metric.bounds(*each) for each in drawn]
    x = np.median([horizontal.values(*each) for each in drawn], axis=0)
    first, rounds = rows[0], traces[0]["round"]
    return Curve(
        name=first.run,
        look=sweep.looks[first.variant],
        x=x,
        y=middle,
        band=(low, high) if len(rows) > 1 else None,
        bounds={name: np.median([each[name] for each in bounds], axis=0) for name in bounds[0]},
        diverged_at=None if pd.isna(first.diverged_round) else float(np.interp(first.diverged_round, rounds, x)),
    )


def visible_limits(curves: list[Curve], precision: str) -> tuple[float, float] | None:
    """Of the vertical axis; None where nothing is positive.

    Curves that grow far above the start leave at the top, those that fall to rounding error at the bottom.
    """
    if not curves or not (start := max(curve.y[0] for curve in curves)) > 0:
        return None
    calm = [curve for curve in curves if curve.diverged_at is None]
    measured = np.concatenate([[start], *(edge for curve in calm for edge in (curve.y, *(curve.band or ())))])
    bounds = np.concatenate([[start], *(bound for curve in calm for bound in curve.bounds.values())])
    lowest = max(np.nanmin(measured[measured > 0]), start * np.finfo(precision).eps ** 1.5)
    highest = min(max(np.nanmax(measured), np.nanmax(bounds)), DIVERGING * start)
    highest = max(highest, 10 * lowest, 10 * start if len(calm) < len(curves) else start)
    margin = (highest / lowest) ** 0.04
    return lowest / margin, highest * margin


# --- what theorems bound ------------------------------------------------------------------------------------------


def _smallest(run: Any, trace: pd.DataFrame, theorems: list[Theorem]) -> np.ndarray | None:
    """The bound of the theorem that named the stepsize, else the one that is smallest in the end; None without any."""
    bounds = {theorem.name: trace[column(theorem.name, "bound")].to_numpy() for theorem in theorems}
    smallest = min(bounds, key=lambda name: bounds[name][-1], default="")
    return bounds.get(run.rule, bounds.get(smallest))


def _bounds_on(*quantities: str) -> Callable[[Any, pd.DataFrame], dict[str, np.ndarray]]:
    """The bounds to draw, one for everything that a theorem which applies bounds."""

    def bounds(run: Any, trace: pd.DataFrame) -> dict[str, np.ndarray]:
        found = {
            bounded: _smallest(run, trace, [t for t in applicable(run) if t.bounded == bounded and _on_axis(t)])
            for bounded in quantities
        }
        return {bounded: bound for bounded, bound in found.items() if bound is not None}

    return bounds


def _on_axis(theorem: Theorem) -> bool:
    """Whether a bound on V is one on the loss gap: not where V looks at another point, or at distances only."""
    return theorem.bounded != "lyapunov" or (theorem.uses_loss and theorem.point is at_model)


# --- Lyapunov functions -------------------------------------------------------------------------------------------


def _leading(run: Any) -> Theorem | None:
    """The theorem whose Lyapunov function is drawn: the one that named the stepsize, else the first that applies."""
    named = [theorem for theorem in method_of(run["method.kind"]).theorems if theorem.name == run.rule]
    return next(iter([*named, *applicable(run)]), None)


def _lyapunov(run: Any, trace: pd.DataFrame) -> np.ndarray:
    theorem = _leading(run)
    name = "" if theorem is None else column(theorem.name, "lyapunov")
    return trace[name].to_numpy() if name in trace else np.full(len(trace), np.nan)


def _lyapunov_bound(run: Any, trace: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the theorem promises of V: its bound, or what is left of V^0 after the decrease that it promises.

    Without a drift, c sum_{s<t} |grad f(x^s)|^2 <= V^0 - V^t is the theorem, and V^0 / (c t) its bound on the mean of
    |grad f(x^s)|^2: so that V^t <= V^0 (1 - mean / bound).
    """
    theorem = _leading(run)
    if theorem is None or theorem not in applicable(run):
        return {}
    bound = trace[column(theorem.name, "bound")].to_numpy()
    if theorem.bounded == "lyapunov":
        return {"lyapunov": bound}
    if theorem.bounded != "mean_grad_norm_sq" or theorem.drifts:
        return {}
    start, mean = trace[column(theorem.name, "lyapunov")].iloc[0], trace["mean_grad_norm_sq"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        left = 1 - np.nan_to_num(mean / bound)
    return {"lyapunov": np.where(left > 0, start * left, np.nan)}


METRICS = {
    "gradient-norm": Metric(
        lambda run, trace: trace["grad_norm_sq"].to_numpy(),
        _bounds_on("mean_grad_norm_sq", "min_grad_norm_sq"),
        {
            "mean_grad_norm_sq": r"theorem's bound on the mean of $\|\nabla f(x^s)\|^2$ over $s < t$",
            "min_grad_norm_sq": r"theorem's bound on the smallest $\|\nabla f(x^s)\|^2$ over $s < t$",
        },
    ),
    "loss-gap": Metric(
        lambda run, trace: trace["loss_gap"].to_numpy(),
        _bounds_on("lyapunov"),
        {"lyapunov": "theorem's bound on its Lyapunov value, at least the loss gap"},
    ),
    "lyapunov": Metric(_lyapunov, _lyapunov_bound, {"lyapunov": "what the theorem promises of it"}),
}
