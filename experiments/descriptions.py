"""What registered classes say of themselves, in words: for the lists of the command line and for the catalogue."""

import inspect
import json
import re
from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from experiments.spec import Spec, component_of, parameters, spec_of
from problems.registry import registered
from simulator import Compressor, Method, Paper, Theorem

__all__ = [
    "assumptions_text",
    "docstring",
    "field_meanings",
    "field_texts",
    "first_line",
    "methods_by_year",
    "paper_text",
    "properties",
    "silence_text",
    "silences",
    "stepsize_bound",
    "toml_text",
    "type_text",
]

# What a compressor declares, in words for yes and no.
PROPERTIES = {
    "deterministic": ("deterministic", "random"),
    "positively_homogeneous": ("positively homogeneous", "not homogeneous"),
    "shared_randomness": ("randomness shared by the workers", ""),
    "sparsifier": ("sparsifier", ""),
}

# Of fields that many methods share, whose docstrings do not repeat it.
MEANINGS = {
    "compressor": "C.",
    "initial": "what a worker's estimate begins with: grad f_i(x^0), that compressed, or zero.",
    "oracle": "what a worker knows of its gradient.",
    "participation": "which workers take part in a round.",
    "times": "how long a worker takes for its local work.",
}


def methods_by_year() -> dict[str, type[Method]]:
    """Every registered method, the oldest paper first, those without one last."""

    def age(entry: tuple[str, type[Method]]) -> tuple[bool, int, str]:
        kind, cls = entry
        return (cls.paper is None, cls.paper.year if cls.paper else 0, kind)

    return dict(sorted(registered(Method).items(), key=age))


def docstring(documented: Any) -> str:
    """The docstring, without the one that dataclasses make up."""
    text = inspect.getdoc(documented) or ""
    return "" if text.startswith(f"{getattr(documented, '__name__', '')}(") else text


def first_line(documented: Any) -> str:
    """What it is or does, in one line."""
    return docstring(documented).partition("\n")[0]


def paper_text(paper: Paper | None) -> str:
    """Title, year and arXiv number."""
    if paper is None:
        return "-"
    return f"{paper.title} ({paper.year}, arXiv {paper.arxiv})" if paper.arxiv else f"{paper.title} ({paper.year})"


def stepsize_bound(theorem: Theorem) -> str:
    """For which stepsizes the theorem speaks: of those up to the largest, of one only, or of all."""
    if not theorem.limits_stepsize:
        return "every stepsize"
    only = theorem.min_stepsize is theorem.max_stepsize
    return f"{'=' if only else '<='} {theorem.formula}"


def assumptions_text(theorem: Theorem) -> str:
    """The names of the assumptions."""
    return ", ".join(assumption.name for assumption in theorem.assumptions) or "-"


def silence_text(method: type[Method]) -> str:
    """Why no theorem speaks of a method; "" for one that has theorems."""
    told = method.no_theorem or "none has been derived for it"
    return "" if method.theorems else f"no theorem applies, because {told}"


def silences(kinds: Iterable[str]) -> dict[str, str]:
    """Why no theorem speaks of them, of those methods that have none."""
    told = {kind: silence_text(registered(Method)[kind]) for kind in kinds}
    return {kind: text for kind, text in told.items() if text}


def properties(compressor: type[Compressor]) -> str:
    """What the class declares, and what depends on its fields."""
    words, open_ones = [], []
    for name, (yes, no) in PROPERTIES.items():
        declared = inspect.getattr_static(compressor, name, None)
        if isinstance(declared, bool):
            words.append(yes if declared else no)
        elif declared is not None:
            open_ones.append(yes)
    told = ", ".join(filter(None, words))
    decided = f"its fields decide whether {', '.join(open_ones)}" if open_ones else ""
    return "; ".join(filter(None, [told, decided]))


def field_texts(constructor: Callable[..., Any]) -> list[str]:
    """The fields that configs may give, such as "k: whole number", with their defaults as TOML."""
    return [
        f"{name}: {type_text(hint)}" + ("" if required or default is None else f" = {toml_text(spec_of(default))}")
        for name, hint, required, default in parameters(constructor)
    ]


def field_meanings(constructor: Callable[..., Any]) -> dict[str, str]:
    """What is known of fields, by their names: what the docstring says of them below "Args:"."""
    section = re.search(r"^Args:\n((?: {4}.*\n?)+)", docstring(constructor), re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE)
    return MEANINGS | {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}


def type_text(hint: Any) -> str:
    """What a field with this annotation takes, in words."""
    component = component_of(hint)
    if component is not None:
        return _words(component.__name__) + (" or none" if NoneType in get_args(hint) else "")
    if get_origin(hint) is Literal:
        return " | ".join(map(toml_text, get_args(hint)))
    plain = {int: "whole number", float: "number", bool: "true | false", str: "text", NoneType: "none"}
    return " or ".join(plain.get(part, getattr(part, "__name__", str(part))) for part in get_args(hint) or (hint,))


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def toml_text(value: Any) -> str:
    """A value as a config writes it; a component is a table."""
    if isinstance(value, Spec):
        given = {name: part for name, part in value.parameters.items() if part is not None}
        return toml_text({"kind": value.kind, **given})
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {toml_text(part)}' for name, part in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_text, value))}]"
    return json.dumps(value) if isinstance(value, bool | str) else repr(value)
