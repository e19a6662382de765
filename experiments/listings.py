"""The lists of `efsim list`: what configs may name, in plain text of at most 110 columns where words allow it."""

from experiments.descriptions import (
    assumptions_text,
    field_texts,
    first_line,
    methods_by_year,
    paper_text,
    properties,
    stepsize_bound,
)
from experiments.spec import constructors
from experiments.tables import render, wrapped
from problems import Problem
from problems.datasets import dataset_infos
from problems.registry import registered
from simulator import Compressor, Method

__all__ = ["list_components", "list_datasets", "list_methods", "list_problems", "list_theorems"]


def list_methods() -> str:
    """What every method does, where it comes from, and the names of its theorems."""
    return "\n\n".join(
        _entry(
            kind,
            first_line(cls),
            paper=paper_text(cls.paper),
            theorems=", ".join(theorem.name for theorem in cls.theorems) or "-",
            fields=", ".join(field_texts(cls)),
        )
        for kind, cls in methods_by_year().items()
    )


def list_theorems() -> str:
    """Of every theorem the stepsizes for which it holds, its assumptions and its reference, method after method."""
    return "\n\n".join(_theorems(kind, cls) for kind, cls in methods_by_year().items() if cls.theorems)


def _theorems(kind: str, cls: type[Method]) -> str:
    margin = max(len(theorem.name) for theorem in cls.theorems) + 4
    lines = [f"{kind}: largest stepsize; assumptions; reference"]
    for theorem in cls.theorems:
        details = f"{assumptions_text(theorem)}; {theorem.reference}"
        lines += [wrapped(stepsize_bound(theorem), f"  {theorem.name}".ljust(margin), " " * margin)]
        lines += [wrapped(details, " " * margin, " " * margin)]
    return "\n".join(lines)


def list_components(base: type) -> str:
    """What every component of a method does, and its fields."""
    return "\n\n".join(
        _entry(
            kind,
            first_line(cls),
            fields=", ".join(field_texts(cls)),
            properties=properties(cls) if base is Compressor else "",
        )
        for kind, cls in registered(base).items()
    )


def list_problems() -> str:
    """What every problem is, and the fields that describe it."""
    return "\n\n".join(
        _entry(
            kind,
            first_line(constructor.__self__),  # type: ignore[attr-defined]  (recipes are class methods)
            recipe=first_line(constructor),
            fields=", ".join(field_texts(constructor)),
        )
        for kind, constructor in constructors(Problem).items()
    )


def list_datasets() -> str:
    """Data sets and where they are found."""
    rows = [(info.name, str(info.samples), str(info.features), info.found) for info in dataset_infos()]
    return render(("data set", "samples", "features", "found"), rows)


def _entry(kind: str, does: str, **details: str) -> str:
    """A kind with what it does, and labelled lines below."""
    lines = [wrapped(does, f"{kind}: ", "    ")]
    lines += [wrapped(text, f"  {label}: ", "    ") for label, text in details.items() if text]
    return "\n".join(lines)
