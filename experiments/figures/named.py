"""The figures as functions of a results folder, for notebooks."""

import pandas as pd
from matplotlib.figure import Figure

from experiments.figures.critical import draw_critical
from experiments.figures.curves import HORIZONTALS, METRICS
from experiments.figures.drawing import draw_figure
from experiments.results import Results
from problems.errors import unknown_name

__all__ = [
    "bits_breakdown",
    "certificates",
    "convergence",
    "critical_stepsizes",
    "lyapunov",
    "rounds_to_target",
    "slack",
    "stepsize_tolerance",
    "tightness",
]


def convergence(
    results: Results, metric: str = "gradient-norm", against: str = "rounds", width: str = "double", page: int = 1
) -> Figure:
    """|grad f(x^t)|^2 or f(x^t) - f* ("gradient-norm", "loss-gap") against one of HORIZONTALS.

    That is "rounds", "bits", "gradients", "time", simulated by the clock of the results (`Results.timed`) or of their
    config, or "elapsed", for methods that have a clock of their own.

    Raises:
        InvalidInput: as `draw_figure`.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    if against not in HORIZONTALS:
        raise unknown_name("horizontal axis", against, HORIZONTALS)
    return draw_figure(results, f"{metric}-by-{against}", width, page)


def lyapunov(results: Results, width: str = "double", page: int = 1) -> Figure:
    """V^t of the theorem that named the stepsize, with what the theorem promises of it. Raises as `draw_figure`."""
    return draw_figure(results, "lyapunov", width, page)


def slack(results: Results, width: str = "double") -> Figure:
    """The margin of the theorems' one-step inequalities along deterministic runs. Raises as `draw_figure`."""
    return draw_figure(results, "slack", width)


def stepsize_tolerance(results: Results, width: str = "double", page: int = 1) -> Figure:
    """How far runs come at multiples of a stepsize. Raises as `draw_figure`."""
    return draw_figure(results, "stepsize-tolerance", width, page)


def rounds_to_target(results: Results, width: str = "double") -> Figure:
    """Rounds to the target against L_QM/L_AM. Raises as `draw_figure`."""
    return draw_figure(results, "rounds-to-target", width)


def tightness(results: Results, width: str = "double") -> Figure:
    """Measured / bound of every theorem on every problem. Raises as `draw_figure`."""
    return draw_figure(results, "tightness", width)


def bits_breakdown(results: Results, width: str = "double", page: int = 1) -> Figure:
    """The bits that are sent until the target is reached, by direction. Raises as `draw_figure`."""
    return draw_figure(results, "bits-breakdown", width, page)


def certificates(results: Results, width: str = "double", page: int = 1) -> Figure:
    """Runs, worst cases and theorems against the stepsize, once `efsim verify --certify` has found the worst cases.

    Raises as `draw_figure`.
    """
    return draw_figure(results, "certificates", width, page)


def critical_stepsizes(table: pd.DataFrame, width: str = "double") -> Figure:
    """Critical stepsizes against L_QM/L_AM, of a table that `efsim critical` has made.

    Raises:
        InvalidInput: more methods or profiles than there are colours or markers, or no such width.
    """
    return draw_critical(table, width)
