"""Two results folders, compared run by run.

The id of a run is a hash of all that determines it, so equal ids are the same experiment, in whatever sweep. On the
same machine it gives the same bits. Elsewhere (another processor, another number of devices or of lanes in a batch,
another JAX) sums are taken in another order, and how much that may change is what a tolerance says.

**Deviation** of a column of recorded rounds: |a - b| / scale, where scale is the largest finite magnitude of the column
in that run, in either folder. The sums behind a late value are no more precise than those behind the first ones: a
|grad f|^2 of 1e-30 after one of 1 is rounding error, and all its digits may differ. (Of a run that diverges, the scale
is the largest value that it reached.) What is recorded as a logarithm is compared as what it is the logarithm of. A
figure of a run, in runs.parquet, is its own scale, but for the last loss and |grad f|^2, which have that of the
recorded ones. Where just one of two is a finite number, the deviation is infinite, and so it is where words or truth
values differ, or recorded rounds.

Rounds and counts are numbers like others: a target that is reached in round 1519 instead of 1518 deviates by 7e-4. It
takes a value within rounding of the target to do that, so it happens hardly ever, and a tolerance that is coarser than
that allows it. One violation where there was none deviates by 1.

**Tolerance**: 1e-9 by default. An order of summation changes the last bits, 1e-16, and methods that contract hardly
amplify them: measured, between one device and two and between AVX-512 and SSE4, at most 3e-14 over the recorded values.
A compressor that chooses otherwise at a near tie leads to another trajectory, which is a real difference. In float32
the last bits are 1e-7: there, ask for 1e-4 or so. A tolerance of 0 asks for identity of everything.

The figures that judge a run (JUDGED) are quotients of late values. By design they hold rounding errors up to sqrt(eps)
= 1.5e-8 a round, and fitted rates up to a tenth of the values, so that last bits show in them (measured: up to 3e-5 in
fitted rates, 2e-4 in the capital of a bet of 13,000 rounds). They are within tolerance up to JUDGED_TOLERANCE. A bet
ends, and rounds are judged no more, where rounding could decide: from there on its logarithms and the slack are NaN
(ENDING). That may be a round earlier in one folder, so they are compared while it is open in both; when it ends is told
by bet_rounds and judged_rounds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pyarrow.dataset import dataset

from experiments.columns import RECORDED_FIGURES, VERDICT_FIGURES
from experiments.results import Results
from problems import InvalidInput

__all__ = ["JUDGED", "JUDGED_TOLERANCE", "Comparison", "compare"]

TRACE_KEYS = ("run", "seed", "round")
# Equal where ids are; and the batch is a place in a sweep, which says nothing of the run.
IDENTITY = ("run", "batch", "rule", "multiple", "seed")
IDENTITY_PREFIXES = ("problem.", "method.")
SCALED_LIKE = {"final_loss": "loss", "final_grad_norm_sq": "grad_norm_sq"}  # the last of what is recorded
LOGARITHMS = tuple(f"{figure}_" for figure in RECORDED_FIGURES if figure.startswith("log_"))
ENDING = ("slack_", *LOGARITHMS)
JUDGED = ENDING + tuple(f"{figure}_" for figure in VERDICT_FIGURES if figure not in ("applies", "violations"))
JUDGED_TOLERANCE = 1e-3
VALUES_AT_ONCE = 4_000_000  # that are read from one folder: 32 MB
SMALLEST = np.finfo(float).tiny  # what differs deviates, however little

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Comparison:
    """What two results folders have in common, and what not.

    Attributes:
        runs: a row for each run that is in both, in the order of the first folder, with its id as index: `deviation`,
            the largest one of its columns in terms of what is tolerated there; the `column`; the `round` in which this
            first exceeds the tolerance, or deviates most where it does not, NaN where it is a figure of the whole run;
            the values there, `first` and `second`; `departed`, the first round in which any recorded column exceeds
            the tolerance, or NaN; and whether it `differs`.
        only_first, only_second: ids of the runs that are in one folder only.
        columns_only_first, columns_only_second: columns that have values for common runs in one folder only. They are
            told, but are no difference: another version records other figures.
    """

    tolerance: float
    runs: pd.DataFrame
    only_first: list[str]
    only_second: list[str]
    columns_only_first: list[str]
    columns_only_second: list[str]

    @property
    def identical(self) -> pd.DataFrame:
        """The common runs that agree in every bit."""
        return self._those(self.runs["deviation"] == 0)

    @property
    def within(self) -> pd.DataFrame:
        """The common runs that agree within the tolerance, but not in every bit."""
        return self._those((self.runs["deviation"] > 0) & ~self.runs["differs"])

    @property
    def different(self) -> pd.DataFrame:
        """The common runs that do not agree."""
        return self._those(self.runs["differs"])

    def _those(self, which: Any) -> pd.DataFrame:
        rows: Any = self.runs[which]
        return rows

    @property
    def exit_status(self) -> int:
        """0 if both folders have the same runs and these agree, else 1."""
        return int(bool(self.only_first or self.only_second or len(self.different)))


def compare(first: Results, second: Results, tolerance: float) -> Comparison:
    """Compare the runs that two results folders have in common, as told at the top of this module.

    Raises:
        InvalidInput: the tolerance is no number, or a folder is damaged.
    """
    if not 0 <= tolerance < math.inf:
        raise InvalidInput(f"the tolerance is {tolerance}; it must be a finite number >= 0")
    rows = [_rows(results) for results in (first, second)]
    common = rows[0].index[rows[0].index.isin(rows[1].index)]
    worst = _Worst(common, tolerance)
    sides = _Pair(*(_side(results, common) for results in (first, second)))
    aligned = _aligned(sides, worst)
    traced, scales = _compare_traces(_Pair(first, second), aligned, worst)
    figured = _compare_figures(_Pair(*(table.loc[common] for table in rows)), scales, worst)
    alone = [[*ours, *theirs] for ours, theirs in zip(traced, figured, strict=True)]
    only = [table.index.difference(common, sort=False).tolist() for table in rows]
    return Comparison(tolerance, worst.table(), *only, *alone)


class _Pair(NamedTuple):
    """Something of either folder."""

    first: Any
    second: Any


class _Worst:
    """The worst deviation of each common run so far, and where it is."""

    def __init__(self, runs: pd.Index, tolerance: float) -> None:
        self.runs, self.tolerance = runs, tolerance
        self._severity = np.zeros(len(runs))  # deviation, in units in which `tolerance` is tolerated
        self._departed = np.full(len(runs), np.nan)
        self._told = {
            "deviation": np.zeros(len(runs)),
            "column": np.full(len(runs), "", object),
            "round": np.full(len(runs), np.nan),
            "first": np.full(len(runs), None, object),
            "second": np.full(len(runs), None, object),
        }

    def tolerated(self, column: str) -> float:
        """The deviation that is tolerated in a column."""
        judged = column.startswith(JUDGED) and self.tolerance > 0
        return max(self.tolerance, JUDGED_TOLERANCE) if judged else self.tolerance

    def note(self, runs: Numbers, column: str, deviation: Numbers, rounds: Numbers, values: _Pair) -> None:
        """Deviations of some of the runs in a column; of equal ones, the one in the earliest round is kept."""
        tolerated = self.tolerated(column)
        severity = deviation * (self.tolerance / tolerated) if tolerated > self.tolerance else deviation
        beyond = deviation > tolerated
        self._departed[runs[beyond]] = np.fmin(self._departed[runs[beyond]], rounds[beyond])
        before = self._severity[runs]
        worse = (severity > before) | ((severity == before) & (severity > 0) & (rounds < self._told["round"][runs]))
        worse_runs = runs[worse]
        self._severity[worse_runs] = severity[worse]
        self._told["column"][worse_runs] = column
        told = {"deviation": deviation, "round": rounds, "first": values.first, "second": values.second}
        for name, array in told.items():
            self._told[name][worse_runs] = array[worse]

    def table(self) -> pd.DataFrame:
        """A row a run."""
        columns = {**self._told, "departed": self._departed, "differs": self._severity > self.tolerance}
        return pd.DataFrame(columns, index=self.runs)


def _rows(results: Results) -> pd.DataFrame:
    """The table of runs, by id."""
    rows = results.runs.set_index("run")
    twice = rows.index[rows.index.duplicated()]
    if len(twice):
        raise InvalidInput(f"{results.folder} is damaged: run {twice[0]} is there twice")
    return rows


class _Side(NamedTuple):
    """The recorded rounds of the common runs in one folder, sorted by run and round."""

    rows: Numbers  # in the table of traces, [M]
    runs: Numbers  # to which they belong, as places among the common runs, [M]
    rounds: Numbers  # [M]

    def only(self, keep: Numbers) -> "_Side":
        """Some of them. keep: [M]."""
        return _Side(*(array[keep] for array in self))


def _side(results: Results, common: pd.Index) -> _Side:
    keys = results.trace_columns(["run", "round"])
    runs, rounds = common.get_indexer(pd.Index(keys["run"])), keys["round"].to_numpy()
    order = np.lexsort((rounds, runs))
    side = _Side(order, runs[order], rounds[order])
    side = side.only(side.runs >= 0)
    twice = (np.diff(side.runs) == 0) & (np.diff(side.rounds) == 0)
    if twice.any():
        place = int(twice.argmax())
        run, number_ = common[side.runs[place]], side.rounds[place]
        raise InvalidInput(f"{results.folder} is damaged: round {number_} of run {run} is there twice")
    return side


def _aligned(sides: _Pair, worst: _Worst) -> _Pair:
    """The sides, with only those runs of which both recorded the same rounds; the others are noted."""
    counts = [np.bincount(side.runs, minlength=len(worst.runs)) for side in sides]
    same = counts[0] == counts[1]
    cut = _Pair(*(side.only(same[side.runs]) for side in sides))
    same[cut.first.runs[cut.first.rounds != cut.second.rounds]] = False
    for run in np.flatnonzero(~same):
        rounds = _Pair(*(side.rounds[slice(*np.searchsorted(side.runs, [run, run + 1]))] for side in sides))
        (one, *_) = np.setxor1d(*rounds)
        values = _Pair(*(np.array([one if one in present else None], object) for present in rounds))
        worst.note(np.array([run]), "round", np.array([np.inf]), np.array([float(one)]), values)
    return _Pair(*(side.only(same[side.runs]) for side in sides))


class _Segments(NamedTuple):
    """Which of the values of a column belong to one run: those from `starts`, `lengths` of them."""

    runs: Numbers  # [C]
    starts: Numbers  # [C]
    lengths: Numbers  # [C], none is 0
    rounds: Numbers  # of the values, [M]

    def largest(self, values: Numbers) -> Numbers:
        """Of each run. [M] -> [C]."""
        return np.maximum.reduceat(values, self.starts) if len(self.starts) else np.zeros(0)

    def earliest(self, where: Numbers) -> Numbers:
        """The place of each run's first true one; there is a run. [M] -> [C]."""
        places = np.where(where, np.arange(len(where)), len(where))
        return np.minimum.reduceat(places, self.starts)

    def spread(self, values: Numbers) -> Numbers:
        """To all values of each run. [C] -> [M]."""
        return np.repeat(values, self.lengths)


def _segments(side: _Side) -> _Segments:
    runs, starts, lengths = np.unique(side.runs, return_index=True, return_counts=True)
    return _Segments(runs, starts, lengths, side.rounds.astype(float))


def _compare_traces(folders: _Pair, sides: _Pair, worst: _Worst) -> tuple[_Pair, dict[str, Numbers]]:
    """Note how recorded columns deviate. -> those with values on one side only, and the scales of others, [C] each."""
    segments = _segments(sides.first)
    names = _Pair(*([name for name in _trace_names(folder) if name not in TRACE_KEYS] for folder in folders))
    scales: dict[str, Numbers] = {}
    shared = [name for name in names.first if name in names.second]
    read = (_columns(folder, shared, side) for folder, side in zip(folders, sides, strict=True))
    for one, other in zip(*read, strict=True):
        scale = _compare_column(str(one.name), _Pair(one, other), segments, worst)
        if one.name in SCALED_LIKE.values():
            scales[str(one.name)] = np.zeros(len(worst.runs))
            scales[str(one.name)][segments.runs] = scale
    return _alone(names, lambda which, names: _columns(folders[which], names, sides[which])), scales


def _compare_figures(rows: _Pair, scales: dict[str, Numbers], worst: _Worst) -> _Pair:
    """Note how figures of whole runs deviate. -> those with values on one side only."""
    each = np.arange(len(worst.runs))
    segments = _Segments(each, each, np.ones_like(each), np.full(len(each), np.nan))
    names = _Pair(*([name for name in table if not _is_identity(name)] for table in rows))
    for name in names.first:
        if name in names.second:
            least = scales.get(SCALED_LIKE.get(name, ""), np.zeros(len(each)))
            _compare_column(name, _Pair(*(table[name] for table in rows)), segments, worst, least)
    return _alone(names, lambda which, names: (rows[which][name] for name in names))


def _is_identity(column: str) -> bool:
    return column in IDENTITY or column.startswith(IDENTITY_PREFIXES)


def _alone(names: _Pair, values: Any) -> _Pair:
    """The columns that one side alone has, and that are not empty there: a sweep has those of all its runs."""
    missing = ([name for name in own if name not in other] for own, other in (names, names[::-1]))
    return _Pair(*([c.name for c in values(which, own) if c.notna().any()] for which, own in enumerate(missing)))


def _trace_names(results: Results) -> list[str]:
    return dataset(results.folder / "traces", format="parquet").schema.names


def _columns(results: Results, names: list[str], side: _Side) -> Iterator[pd.Series]:
    """Columns of the recorded rounds of a side, one by one; read a few at a time."""
    at_once = max(1, VALUES_AT_ONCE // max(1, len(side.rows)))
    for start in range(0, len(names), at_once):
        part = names[start : start + at_once]
        table = results.trace_columns(part)
        yield from (table[name].iloc[side.rows] for name in part)


def _compare_column(
    name: str, values: _Pair, segments: _Segments, worst: _Worst, least_scale: Numbers | None = None
) -> Numbers:
    """Note how a column deviates. -> its scale in each run of the segments, [C]."""
    numbers = _Pair(*(_numbers(column) for column in values))
    if numbers.first is None or numbers.second is None:
        words = _Pair(*(_words(column) for column in values))
        deviation, scale, told = np.where(words.first == words.second, 0.0, np.inf), np.zeros(len(segments.runs)), words
    else:
        compared = _powers(numbers, segments) if name.startswith(LOGARITHMS) else numbers
        scale = segments.largest(np.fmax(*map(_magnitudes, compared)))
        scale = scale if least_scale is None else np.maximum(scale, least_scale)
        deviation, told = _deviation(compared, _same(numbers), segments.spread(scale)), numbers
        if name.startswith(ENDING):
            ended = np.isnan(numbers.first) != np.isnan(numbers.second)
            deviation = np.where(ended, SMALLEST, deviation)
    if deviation.any():
        peak = segments.largest(deviation)
        beyond = segments.spread(peak > worst.tolerated(name))
        place = segments.earliest(
            np.where(beyond, deviation > worst.tolerated(name), deviation == segments.spread(peak))
        )
        worst.note(segments.runs, name, peak, segments.rounds[place], _Pair(*(array[place] for array in told)))
    return scale


def _numbers(values: pd.Series) -> Numbers | None:
    """The column as numbers, NaN where there is none; None if it holds something else."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(float, na_value=np.nan)
    return np.full(len(values), np.nan) if values.isna().all() else None


def _words(values: pd.Series) -> Numbers:
    """The column as text, None where there is nothing."""
    return np.array([None if missing else str(v) for v, missing in zip(values, values.isna(), strict=True)], object)


def _same(values: _Pair) -> Numbers:
    first, second = values
    return (first == second) | (np.isnan(first) & np.isnan(second))


def _magnitudes(values: Numbers) -> Numbers:
    """Of what is finite; 0 elsewhere."""
    return np.where(np.isfinite(values), np.abs(values), 0.0)


def _powers(logarithms: _Pair, segments: _Segments) -> _Pair:
    """What they are the logarithms of, divided by the largest of its run, which might overflow otherwise."""
    tops = (np.where(np.isfinite(values), values, -np.inf) for values in logarithms)
    top = segments.largest(np.maximum(*tops))
    top = segments.spread(np.where(np.isfinite(top), top, 0.0))
    return _Pair(*(np.exp(values - top) for values in logarithms))


def _deviation(values: _Pair, same: Numbers, scale: Numbers) -> Numbers:
    """|a - b| / scale where they are not the same. [M] each."""
    finite = np.isfinite(values.first) & np.isfinite(values.second)
    with np.errstate(all="ignore"):  # what is not finite, and scales of 0, are sorted out here
        relative = np.abs(values.first / scale - values.second / scale)  # the difference itself might overflow
    return np.where(same, 0.0, np.where(finite, np.fmax(relative, SMALLEST), np.inf))
