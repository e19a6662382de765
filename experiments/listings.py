"""The lists of `efsim list`: what configs may name, as entries, and as plain text of at most 110 columns."""

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from experiments.descriptions import (
    assumptions_text,
    field_texts,
    first_line,
    methods_by_year,
    paper_text,
    properties,
    silence_text,
    stepsize_bound,
)
from experiments.spec import constructors
from experiments.tables import render, wrapped
from problems import Problem
from problems.datasets import dataset_infos
from problems.registry import registered
from simulator import (
    Compressor,
    GradientCode,
    GradientOracle,
    InnerOptimizer,
    Participation,
    ProximalRegularizer,
    Stragglers,
    WorkingTimes,
)

__all__ = ["LISTINGS", "Listing"]

Entry = dict[str, Any]


class Listing(NamedTuple):
    """One of the lists.

    Attributes:
        entries: what is on it now.
        text: its entries to read.
    """

    entries: Callable[[], list[Entry]]
    text: Callable[[list[Entry]], str]


def _methods() -> list[Entry]:
    return [
        {
            "kind": kind,
            "does": first_line(cls),
            "paper": paper_text(cls.paper),
            "theorems": [theorem.name for theorem in cls.theorems],
            "remark": silence_text(cls),
            "fields": field_texts(cls),
        }
        for kind, cls in methods_by_year().items()
    ]


def _theorems() -> list[Entry]:
    """Method after method."""
    return [
        {
            "method": kind,
            "theorem": theorem.name,
            "stepsize": stepsize_bound(theorem),
            "assumptions": assumptions_text(theorem),
            "reference": theorem.reference,
        }
        for kind, cls in methods_by_year().items()
        for theorem in cls.theorems
    ]


def _components(base: type) -> list[Entry]:
    return [
        {"kind": kind, "does": first_line(cls), "fields": field_texts(cls)}
        | ({"properties": properties(cls)} if base is Compressor else {})
        for kind, cls in registered(base).items()
    ]


def _problems() -> list[Entry]:
    return [
        {
            "kind": kind,
            "does": first_line(constructor.__self__),  # type: ignore[attr-defined]  (recipes are class methods)
            "recipe": first_line(constructor),
            "fields": field_texts(constructor),
        }
        for kind, constructor in constructors(Problem).items()
    ]


def _datasets() -> list[Entry]:
    return [
        {"name": info.name, "samples": info.samples, "features": info.features, "found": info.found}
        for info in dataset_infos()
    ]


def _kinds_text(entries: list[Entry]) -> str:
    """A kind with what it does, and labelled lines below."""
    return "\n\n".join(_kind_text(**entry) for entry in entries)


def _kind_text(kind: str, does: str, **details: Any) -> str:
    lines = [wrapped(does, f"{kind}: ", "    ")]
    for label, told in details.items():
        text = ", ".join(told) if isinstance(told, list) else told
        lines += [wrapped(text, f"  {label}: ", "    ")] if text else []
    return "\n".join(lines)


def _theorems_text(entries: list[Entry]) -> str:
    """Of every theorem the stepsizes for which it holds, its assumptions and its reference."""
    return "\n\n".join(_method_text(kind, list(own)) for kind, own in groupby(entries, itemgetter("method")))


def _method_text(kind: str, theorems: list[Entry]) -> str:
    margin = max(len(theorem["theorem"]) for theorem in theorems) + 4
    lines = [f"{kind}: largest stepsize; assumptions; reference"]
    for theorem in theorems:
        details = f"{theorem['assumptions']}; {theorem['reference']}"
        lines += [wrapped(theorem["stepsize"], f"  {theorem['theorem']}".ljust(margin), " " * margin)]
        lines += [wrapped(details, " " * margin, " " * margin)]
    return "\n".join(lines)


def _datasets_text(entries: list[Entry]) -> str:
    rows = [tuple(map(str, entry.values())) for entry in entries]
    return render(("data set", "samples", "features", "found"), rows)


LISTINGS = {
    "methods": Listing(_methods, _kinds_text),
    "theorems": Listing(_theorems, _theorems_text),
    "compressors": Listing(lambda: _components(Compressor), _kinds_text),
    "oracles": Listing(lambda: _components(GradientOracle), _kinds_text),
    "inner-optimizers": Listing(lambda: _components(InnerOptimizer), _kinds_text),
    "participations": Listing(lambda: _components(Participation), _kinds_text),
    "times": Listing(lambda: _components(WorkingTimes), _kinds_text),
    "regularizers": Listing(lambda: _components(ProximalRegularizer), _kinds_text),
    "codes": Listing(lambda: _components(GradientCode), _kinds_text),
    "stragglers": Listing(lambda: _components(Stragglers), _kinds_text),
    "problems": Listing(_problems, _kinds_text),
    "datasets": Listing(_datasets, _datasets_text),
}
