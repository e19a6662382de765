"""docs/catalogue.md, made from the docstrings and declarations of all classes in the packages.

python -m experiments.catalogue docs/catalogue.md
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.descriptions import (
    assumptions_text,
    docstring,
    field_texts,
    methods_by_year,
    paper_text,
    properties,
    silence_text,
    stepsize_bound,
)
from experiments.spec import constructors
from problems import Problem
from problems.registry import registered
from simulator import (
    Compressor,
    GradientCode,
    GradientOracle,
    InnerOptimizer,
    Method,
    Paper,
    Participation,
    ProximalRegularizer,
    Stragglers,
    Theorem,
    WorkingTimes,
)

__all__ = ["COMPONENT_SECTIONS", "catalogue", "shipped"]

INTRODUCTION = """\
# Catalogue

Everything that a config can name, with what its class says of itself. Made from the code by `make docs`; do not edit.
The constants are those of `efsim constants`: `L`, `L_i` of the workers, their means `L_AM` and `L_QM`,
`mu`, and `alpha`, `omega` of the compressor. A field takes one value or a list of values to sweep.
"""

COMPONENT_SECTIONS = {
    "Compressors": Compressor,
    "Gradient oracles": GradientOracle,
    "Inner optimisers": InnerOptimizer,
    "Participation": Participation,
    "Working times": WorkingTimes,
    "Proximal regularisers": ProximalRegularizer,
    "Gradient codes": GradientCode,
    "Stragglers": Stragglers,
}


def catalogue() -> str:
    """The catalogue as Markdown. It has the classes of the packages, not those of plugins."""
    parts = [INTRODUCTION, _contents(), "## Methods\n"]
    parts += [_method(kind, cls) for kind, cls in shipped(methods_by_year()).items()]
    for title, base in COMPONENT_SECTIONS.items():
        parts += [f"## {title}\n", *(_component(kind, cls) for kind, cls in shipped(registered(base)).items())]
    parts += ["## Problems\n"]
    parts += [_problem(kind, constructor) for kind, constructor in shipped(constructors(Problem)).items()]
    return "\n".join(parts)


def shipped(known: dict[str, Any]) -> dict[str, Any]:
    """Those of the packages; not those of plugins."""
    return {kind: thing for kind, thing in known.items() if thing.__module__.startswith(("problems.", "simulator."))}


def _contents() -> str:
    """Links to all methods, and to the other sections."""
    methods = ", ".join(f"[{kind}](#{kind})" for kind in shipped(methods_by_year()))
    others = [f"[{title}](#{title.lower().replace(' ', '-')})" for title in (*COMPONENT_SECTIONS, "Problems")]
    return f"[Methods](#methods): {methods}\n\n{', '.join(others)}\n"


def _method(kind: str, cls: type[Method]) -> str:
    paper = f"{_paper(cls.paper)}\n" if cls.paper else ""
    return _section(kind, paper, _text(cls), _fields(cls), _theorems(cls))


def _theorems(cls: type[Method]) -> str:
    """A table, or why there is none."""
    rows = [_theorem_row(theorem) for theorem in cls.theorems]
    if not rows:
        return f"N{silence_text(cls)[1:]}.\n"
    return _table(("theorem", "stepsize", "assumptions", "reference"), rows)


def _theorem_row(theorem: Theorem) -> tuple[str, ...]:
    return (theorem.name, _code(stepsize_bound(theorem)), assumptions_text(theorem), theorem.reference)


def _paper(paper: Paper) -> str:
    number = paper.arxiv
    return paper_text(paper).replace(f"arXiv {number}", f"[arXiv {number}](https://arxiv.org/abs/{number})")


def _component(kind: str, cls: type) -> str:
    declared = f"Declared: {properties(cls)}.\n" if issubclass(cls, Compressor) else ""
    return _section(kind, _text(cls), declared, _fields(cls))


def _problem(kind: str, constructor: Any) -> str:
    return _section(kind, _text(constructor.__self__), _text(constructor), _fields(constructor))


def _section(kind: str, *parts: str) -> str:
    return "\n".join([f"### {kind}\n", *filter(None, parts)])


def _text(documented: Any) -> str:
    """A docstring as it stands: its formulas and indentation are made for a fixed pitch."""
    text = docstring(documented).partition("\n\nRaises:")[0]
    return f"```text\n{text}\n```\n" if text else ""


def _fields(constructor: Callable[..., Any]) -> str:
    texts = field_texts(constructor)
    return "".join(["Fields:\n\n", *(f"- {_code(text)}\n" for text in texts)]) if texts else ""


def _code(text: str) -> str:
    return f"`{text}`"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(catalogue(), encoding="utf-8")
