"""What the figures draw: the recorded rounds of every run, thinned and rounded so that the page stays small."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from experiments.columns import column
from experiments.figures import curves
from experiments.figures.style import COLORS
from experiments.figures.sweep import Look, Sweep, Table, method_of
from experiments.report.metrics import Metric, metrics
from experiments.report.words import unicode_text
from problems import InvalidInput

__all__ = ["FEWEST_POINTS", "MOST_NUMBERS", "Lines", "lines"]

MOST_NUMBERS = 300_000  # in all lines, about 10 bytes each
FEWEST_POINTS = 25  # of a line; rather than have fewer, theorems are left out
MOST_POINTS = 400
LARGEST_WHOLE = 1e15  # that floats tell apart; smaller ones are written without a point
WITHOUT_THEOREMS = 6  # columns: three horizontal ones, two that are measured, and a mean or smallest value
EXACT = ("round", "bits_per_worker")  # beside these, four digits are told
# The markers of the figures as characters; the last one asks for no emoji.
MARKERS = {"": "", "o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "<": "◀\ufe0e", ">": "▶\ufe0e"}


class Horizontal(NamedTuple):
    """What the horizontal axis can show."""

    column: str
    choice: str  # what it is called among the others
    label: str  # of the axis
    unit: str  # of a number


HORIZONTALS = (
    Horizontal("round", "rounds", "round t", "rounds"),
    Horizontal("bits_per_worker", "bits", "bits sent by each worker", "bits"),
    Horizontal("passes", "passes over the data", "passes over the data of each worker", "passes"),
    Horizontal("seconds", "simulated time", curves.HORIZONTALS["time"].label, "s"),
    Horizontal("elapsed", "simulated time", curves.HORIZONTALS["elapsed"].label, "local works"),
)


@dataclass(frozen=True)
class Lines:
    """The lines of all figures.

    Attributes:
        metrics: what the vertical axis can show.
        horizontals: what the horizontal one can.
        points, recorded: how many rounds of a run are drawn, and how many are recorded, at most.
        omitted: the theorems without lines, for want of room.
        data: for the script; numbers of runs, metrics, looks and columns are indices into its lists.
    """

    metrics: list[Metric]
    horizontals: list[Horizontal]
    points: int
    recorded: int
    omitted: list[str]
    data: dict[str, Any]


def lines(sweep: Sweep) -> Lines:
    """The lines of a sweep, with as many points as fit.

    Raises:
        InvalidInput: the traces are missing or damaged.
    """
    drawable = _drawable(sweep)
    theorems, most = _that_fit(drawable, len(sweep.runs))
    shown, traces, passes = metrics(sweep, theorems), _traces(sweep), _passes(sweep)
    horizontals = _horizontals(sweep, passes)
    times = [each.column for each in horizontals if each.column not in (*EXACT, "passes")]
    columns = [*EXACT, *times, *dict.fromkeys(name for metric in shown for name in metric.columns)]
    recorded = max(map(len, traces.values()))
    pool: dict[tuple, int] = {}
    runs = [_run(run, _thinned(traces[run["run"]], most), columns, pool) for run in sweep.runs.to_dict("records")]
    data = {
        "columns": columns,
        "metrics": [metric._asdict() for metric in shown],
        "horizontals": {each.column: each._asdict() for each in horizontals},
        "looks": [_look(look) for look in sweep.looks],
        "runs": runs,
        "pool": list(pool),
        "passes": passes,
        "several_seeds": bool(sweep.runs.seed.nunique() > 1),
    }
    omitted = [name for name in drawable if name not in theorems]
    return Lines(shown, horizontals, min(most, recorded), recorded, omitted, data)


def _horizontals(sweep: Sweep, passes: list[float] | None) -> list[Horizontal]:
    """Those that the results have."""
    there = {"passes": passes is not None, "seconds": sweep.results.clock is not None, "elapsed": sweep.has_clocks}
    return [each for each in HORIZONTALS if there.get(each.column, True)]


def _that_fit(drawable: dict[str, int], runs: int) -> tuple[list[str], int]:
    """The first theorems, as many as leave room for FEWEST_POINTS of every line, and how many points then have room."""
    numbers = runs * WITHOUT_THEOREMS + 2 * np.cumsum([0, *drawable.values()])  # a point, by the number of theorems
    count = max(0, int(np.sum(numbers * FEWEST_POINTS <= MOST_NUMBERS)) - 1)
    return list(drawable)[:count], int(np.clip(MOST_NUMBERS // numbers[count], 2, MOST_POINTS))


def _passes(sweep: Sweep) -> list[float] | None:
    """Of every run, its passes over the data in a round; None where results of before do not tell."""
    passes = sweep.runs.get("passes_per_round")
    return None if passes is None or passes.isna().any() else passes.tolist()


def _drawable(sweep: Sweep) -> dict[str, int]:
    """How many runs each theorem can be drawn for; those that name stepsizes first."""
    runs = sweep.runs
    kinds = runs["method.kind"]
    known = [(kind, theorem.name) for kind in kinds.unique() for theorem in method_of(kind).theorems]
    counts: dict[str, int] = {}
    for kind, name in known:
        applies = runs.get(column(name, "applies"))
        if applies is not None and (count := int((applies.notna() & (kinds == kind)).sum())):
            counts[name] = counts.get(name, 0) + count
    rules = set(runs.rule.dropna())
    return dict(sorted(counts.items(), key=lambda item: item[0] not in rules))


def _traces(sweep: Sweep) -> dict[str, Table]:
    missing = set(sweep.runs.run) - set(sweep.traces)
    if missing:
        raise InvalidInput(f"{sweep.results.folder} is damaged: its traces have no run {min(missing)}")
    return sweep.traces


def _thinned(trace: Table, most: int) -> Table:
    """The first record, the last one, and evenly spaced ones between."""
    return trace.iloc[np.unique(np.linspace(0, len(trace) - 1, most).round().astype(int))]


def _run(run: dict[str, Any], trace: Table, columns: list[str], pool: dict[tuple, int]) -> dict[str, Any]:
    """A run for the script; its columns are numbers of those in the pool, which runs share, or -1."""
    return {
        "id": run["run"],
        "problem": run["panel"],
        "look": run["variant"],
        "seed": run["seed"],
        "diverged": run["status"] == "diverged",
        "columns": [_place(pool, _told(name, trace[name])) if _exists(run, name) else -1 for name in columns],
    }


def _exists(run: dict[str, Any], name: str) -> bool:
    """Whether the run has the column: a bound needs a theorem that speaks of it, a Lyapunov value one that applies."""
    what, _, theorem = name.partition("_")
    allowed = {"bound": (True,), "lyapunov": (True, False)}  # of a theorem that does not apply `applies` is missing
    return what not in allowed or run.get(f"applies_{theorem}") in allowed[what]


def _place(pool: dict[tuple, int], values: tuple) -> int:
    return pool.setdefault(values, len(pool))


def _told(name: str, values: Any) -> tuple:
    """The numbers as they are written; what is not finite is null."""
    digits = 15 if name in EXACT else 4
    return tuple(_rounded(value, digits) if np.isfinite(value) else None for value in values.tolist())


def _rounded(value: float, digits: int) -> float | int:
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < LARGEST_WHOLE else rounded


def _look(look: Look) -> dict[str, Any]:
    return {"label": unicode_text(look.label), "color": COLORS.index(look.color), "marker": MARKERS[look.marker]}
