"""Numbers that expectations are about: ratios of rounds and of simulated seconds, and exponents fitted to runs."""

from collections import defaultdict
from typing import Any

import numpy as np

from experiments import exponents
from experiments.config import Config
from experiments.expectations import Exponent, RoundsRatio, SecondsRatio, Selection, told
from experiments.exponents import fit_exponent
from experiments.selection import Row, configuration, quantity, select

__all__ = ["Undecided", "exponent", "ratio", "seconds_ratio"]

FEWEST_POINTS = 3  # two always lie on a line


class Undecided(Exception):
    """The results do not say whether a claim is met; the message says why."""


def ratio(expectation: RoundsRatio, rows: list[Row], config: Config) -> tuple[bool, str]:
    """Whether the ratio of the median rounds to the target is as expected, and the numbers.

    Raises:
        Undecided: a run has not reached the target.
    """
    of, to = _medians(expectation, rows, config, "target_round")
    measured, expected = of / to, expectation.equals
    numbers = f"{of:g} rounds at {told(expectation.of)}, {to:g} at {told(expectation.to)}"
    reason = f"the ratio is {measured:.4g}, {abs(measured / expected - 1):.2%} away from {expected:g}: {numbers}"
    return abs(measured / expected - 1) <= expectation.tolerance, reason


def seconds_ratio(expectation: SecondsRatio, rows: list[Row], config: Config) -> tuple[bool, str]:
    """Whether the ratio of the median simulated seconds to the target is where it is expected, and the numbers.

    Raises:
        Undecided: a run has not reached the target.
    """
    of, to = _medians(expectation, rows, config, "target_seconds")
    low, high = expectation.between
    numbers = f"{of:.4g} simulated seconds at {told(expectation.of)}, {to:.4g} at {told(expectation.to)}"
    return low <= of / to <= high, f"the ratio is {of / to:.4g}: {numbers}"


def _medians(
    expectation: RoundsRatio | SecondsRatio, rows: list[Row], config: Config, column: str
) -> tuple[float, float]:
    """The medians of a column, of both sides of a ratio."""
    of, to = (_median(select(rows, side), side, config, column) for side in (expectation.of, expectation.to))
    return of, to


def _median(rows: list[Row], selection: Selection, config: Config, column: str) -> float:
    _refuse_unreached(rows, told(selection), config)
    if np.median([row["target_round"] for row in rows]) == 0:
        raise Undecided(f"the target is reached at the start at {told(selection)}")
    return float(np.median([row[column] for row in rows]))


def _refuse_unreached(rows: list[Row], where: str, config: Config) -> None:
    unreached = [row for row in rows if not np.isfinite(row["target_round"])]
    if unreached:
        least = min(row["final_grad_norm_sq"] for row in unreached)
        raise Undecided(
            f"{len(unreached)} of {len(rows)} runs at {where} have not reached |grad f(x)|^2 <= {config.target:g} "
            f"|grad f(x^0)|^2 in {config.rounds} rounds (run {unreached[0]['run']}; at least {least:.3g} is left)"
        )


def exponent(expectation: Exponent, rows: list[Row], config: Config) -> tuple[bool, str]:
    """Whether the fitted slope is where it is expected, and the numbers.

    Raises:
        Undecided: a run has not reached the target, a value has no logarithm, or the values are too few.
    """
    points = _points(expectation, select(rows, expectation.where), config)
    x, y = points.T
    distinct = len(np.unique(x))
    if distinct < FEWEST_POINTS:
        needed = f"{FEWEST_POINTS} are needed for a slope"
        raise Undecided(f"{distinct} different values of {expectation.against}, where {needed}")
    fit, (low, high) = fit_exponent(x, y), expectation.between
    if not np.isfinite(fit.exponent):
        raise Undecided(f"the values of {expectation.against} differ by rounding only")
    ends = f"{fit.exponent - fit.margin:.4g} to {fit.exponent + fit.margin:.4g}"
    slope = f"the slope is {fit.exponent:.4g} (95% interval {ends})"
    return low <= fit.exponent <= high, f"{slope}; {_worst(expectation, x, y, fit)}"


def _points(expectation: Exponent, rows: list[Row], config: Config) -> np.ndarray:
    """x and y of every configuration, medians over its seeds. -> [P, 2]."""
    columns = [quantity(rows, text) for text in (expectation.against, expectation.of)]
    if any("target_round" in pair for pair in columns):
        _refuse_unreached(rows, told(expectation.where), config)
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[configuration(row)].append([_value(row, *pair) for pair in columns])
    return np.array([np.median(values, axis=0) for values in groups.values()])


def _value(row: Row, column: str, divisor: str | None) -> float:
    what = column if divisor is None else f"{column}/{divisor}"
    try:
        value = float(row[column]) / (1.0 if divisor is None else float(row[divisor]))
    except (TypeError, ValueError, ZeroDivisionError):
        value = np.nan
    if not (np.isfinite(value) and value > 0):
        raise Undecided(f"{what} of run {row['run']} is not a positive number, which its logarithm needs")
    return value


def _worst(expectation: Exponent, x: np.ndarray, y: np.ndarray, fit: exponents.Exponent) -> str:
    """The point that is farthest from the line, and the points at the ends."""
    fitted = fit.factor * x**fit.exponent
    worst = int(np.argmax(np.abs(np.log(y / fitted))))
    ends = ", ".join(f"{y[i]:.4g} at {x[i]:.4g}" for i in (x.argmin(), x.argmax()))
    return (
        f"{expectation.of} is {ends}; worst at {expectation.against} = {x[worst]:.4g}: "
        f"{y[worst]:.4g}, where the line has {fitted[worst]:.4g}"
    )
