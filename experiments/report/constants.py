"""The constants: of every problem with a histogram of its L_i, and alpha and omega of every method."""

from collections.abc import Iterable
from math import isclose
from typing import Any, NamedTuple

import numpy as np

from experiments.figures.sweep import Sweep
from experiments.plan import one_thread
from experiments.report.words import unicode_text
from experiments.spec import Spec
from experiments.summary import varying
from experiments.tables import number
from experiments.words import said
from problems import InvalidInput

__all__ = ["Histogram", "MethodConstants", "ProblemConstants", "constants_of_methods", "constants_of_problems"]

COLUMNS = {"n": "num_workers", "d": "dim", **{name: name for name in ("L", "L_AM", "L_QM", "L_var", "mu")}}
MOST_BARS = 16
DECADE = 10.0  # a larger spread is shown on a logarithmic axis


class Bar(NamedTuple):
    """How many workers have an L_i from `low` to `high`; `height` is relative to the highest bar."""

    low: str
    high: str
    workers: int
    height: float


class Histogram(NamedTuple):
    """Of the L_i of one problem, in words too; the bars are equally wide, on a logarithmic axis or a linear one."""

    bars: list[Bar]
    text: str
    logarithmic: bool


class ProblemConstants(NamedTuple):
    """Constants as they are told, with the histogram or why there is none."""

    name: str
    values: dict[str, str]
    histogram: Histogram | None
    obstacle: str


class MethodConstants(NamedTuple):
    """What a method's compressor is worth; a range where it differs between problems."""

    name: str
    alpha: str
    omega: str


def constants_of_problems(sweep: Sweep, names: list[str]) -> list[ProblemConstants]:
    """A row a problem, in the order of their numbers."""
    rows = sweep.runs.drop_duplicates("panel").to_dict("records")
    return [_problem(name, row, sweep.results.config.problems) for name, row in zip(names, rows, strict=True)]


def _problem(name: str, row: dict[str, Any], specs: Iterable[Spec]) -> ProblemConstants:
    values = {symbol: number(row[column]) for symbol, column in COLUMNS.items()}
    try:
        return ProblemConstants(name, values, _histogram(_worker_smoothness(row, specs)), "")
    except InvalidInput as error:
        return ProblemConstants(name, values, None, str(error))


def _worker_smoothness(row: dict[str, Any], specs: Iterable[Spec]) -> np.ndarray:
    """L_i of the problem of a run, which is built once more. -> [n].

    Raises:
        InvalidInput: its data are not on this machine, or are others.
    """
    for spec in specs:
        if _is_same(row, spec):
            with one_thread():
                values = np.asarray(spec.build().worker_smoothness, float)
            if isclose(values.mean(), row["L_AM"], rel_tol=1e-6):
                return values
    raise InvalidInput("the config's problems are not those of the runs")


def _is_same(row: dict[str, Any], spec: Spec) -> bool:
    """Whether the run's problem is the described one; columns that hold words too hold its numbers as words."""
    described = {f"problem.{name}": value for name, value in spec.flat().items()}
    given = {
        name for name, value in row.items() if name.startswith("problem.") and value is not None and value == value
    }
    meant = {name for name, value in described.items() if value is not None}
    return given == meant and all(row[name] in (described[name], str(described[name])) for name in meant)


def _histogram(values: np.ndarray) -> Histogram:
    low, high = float(values.min()), float(values.max())
    if isclose(low, high, rel_tol=1e-9):  # they differ by rounding at most
        bar = Bar(number(low), number(low), len(values), 1.0)
        return Histogram([bar], f"L_i of {len(values)} workers: all {number(low)}", False)
    logarithmic = low > 0 and high > DECADE * low
    bins = min(MOST_BARS, round(2 * np.sqrt(len(values))))
    edges = np.geomspace(low, high, bins + 1) if logarithmic else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high  # else rounding may leave the outermost out
    counts, _ = np.histogram(values, edges)
    ends = [number(edge) for edge in edges.tolist()]
    heights = (counts / counts.max()).tolist()
    bars = list(map(Bar, ends[:-1], ends[1:], counts.tolist(), heights))
    return Histogram(bars, _in_words(values, logarithmic), logarithmic)


def _in_words(values: np.ndarray, logarithmic: bool) -> str:
    low, middle, high = map(number, np.quantile(values, [0, 0.5, 1]).tolist())
    axis = ", on a logarithmic axis" if logarithmic else ""
    return f"Histogram of L_i of {len(values)} workers: from {low} to {high}, median {middle}{axis}"


def constants_of_methods(sweep: Sweep) -> list[MethodConstants]:
    """A row for every method with its parameters."""
    runs = sweep.runs
    named = ["method.kind", *(name for name in runs if name.startswith("method.compressor"))]
    names = list(dict.fromkeys([*named, *(name for name in varying(runs) if name.startswith("method."))]))
    return [
        MethodConstants(unicode_text(", ".join(said(own.iloc[0], names))), _range(own.alpha), _range(own.omega))
        for _, own in runs.groupby("method", sort=True)
    ]


def _range(values: Any) -> str:
    return " to ".join(dict.fromkeys((number(float(values.min())), number(float(values.max())))))
