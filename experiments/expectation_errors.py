"""What is wrong with the [[expect]] tables of a config, told before anything is computed."""

from collections.abc import Iterator
from typing import Any

from experiments.clock import Clock, with_fields
from experiments.expectations import Exponent, RoundsRatio, SecondsRatio, Selection, VerdictExpectation
from experiments.selection import Row, quantity, select
from problems import InvalidInput
from problems.errors import suggestion
from problems.registry import registered
from simulator import Method

__all__ = ["expectation_errors"]


def expectation_errors(expectations: list[Any], rows: list[Row], clock: Clock | None) -> list[str]:
    """Every mistake, with its place; `rows` are the choices of the config, and `clock` is its own."""
    told: list[str] = []
    first: dict[str, int] = {}
    for index, expectation in enumerate(expectations):
        told += [f"expect[{index}]{mistake}" for mistake in _mistakes(expectation, rows)]
        if isinstance(expectation, SecondsRatio):
            told += [f"expect[{index}]{mistake}" for mistake in _wrong_clock(expectation, clock)]
        earlier = first.setdefault(expectation.name, index)
        if earlier != index:
            told.append(f"expect[{index}]: {expectation.name}: expect[{earlier}] is about this already")
    return told


def _mistakes(expectation: Any, rows: list[Row]) -> Iterator[str]:
    match expectation:
        case VerdictExpectation():
            yield from _unknown_theorem(expectation, sorted({row["method.kind"] for row in rows}))
        case RoundsRatio() | SecondsRatio():
            yield from _not_one(".of", expectation.of, rows)
            yield from _not_one(".to", expectation.to, rows)
        case Exponent():
            yield from _unknown_quantity(".of", expectation.of, rows)
            yield from _unknown_quantity(".against", expectation.against, rows)
            yield from _nothing(".where", expectation.where, rows)


def _unknown_theorem(expectation: VerdictExpectation, methods: list[str]) -> Iterator[str]:
    given, theorem = expectation.method, expectation.theorem
    if given not in methods:
        accepted = f"those of this config, {', '.join(methods)}"
        yield f".method: {given!r} is not accepted; accepted: {accepted}{suggestion(given, methods)}"
    elif theorem not in (known := [stated.name for stated in registered(Method)[given].theorems]):
        accepted = f"{', '.join(known)}{suggestion(theorem, known)}"
        yield f".theorem: {theorem!r} is no theorem of {given}; accepted: {accepted}"


def _wrong_clock(expectation: SecondsRatio, clock: Clock | None) -> Iterator[str]:
    if clock is None:
        yield ": seconds need a table [clock], which says what a round costs"
        return
    try:
        with_fields(clock, expectation.clock)
    except InvalidInput as error:
        yield f".clock.{error}"


def _unknown_quantity(where: str, text: str, rows: list[Row]) -> Iterator[str]:
    try:
        quantity(rows, text)
    except InvalidInput as error:
        yield f"{where}: {error}"


def _nothing(where: str, selection: Selection, rows: list[Row]) -> Iterator[str]:
    try:
        select(rows, selection)
    except InvalidInput as error:
        yield f"{where}: {error}"


def _not_one(where: str, selection: Selection, rows: list[Row]) -> Iterator[str]:
    """A ratio is that of two configurations, each with all its seeds."""
    mistakes = list(_nothing(where, selection, rows))
    found = [] if mistakes else select(rows, selection)
    yield from mistakes
    if len(found) > 1:
        different = [name for name in found[0] if len({str(row.get(name)) for row in found}) > 1]
        yield f"{where}: selects {len(found)} configurations, which differ in {', '.join(different)}; needed is one"
