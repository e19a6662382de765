"""docs/config.md, made from the models and constructors that validate configs.

python -m experiments.config_reference docs/config.md
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from experiments.catalogue import COMPONENT_SECTIONS, shipped
from experiments.clock import CLOCK_TABLES, Clock
from experiments.config import MOST_RECORDS, MOST_RUNS
from experiments.config_models import DEEPEST, Rule, Start, schema
from experiments.descriptions import field_meanings, first_line, toml_text, type_text
from experiments.expectations import EXPECTATIONS
from experiments.raw_config import DEEPEST as DEEPEST_TABLES
from experiments.raw_config import MOST_BYTES, MOST_CHARACTERS
from experiments.runs import LARGEST_BATCH
from experiments.schema import FILE, written_schema
from experiments.spec import constructors, parameters, spec_of
from experiments.tables import markdown
from problems import Problem
from simulator import Method

__all__ = ["config_reference"]

INTRODUCTION = f"""\
# Config reference

The fields of a config, made from the code by `make docs`; do not edit. A config is a TOML file; what its methods,
compressors and problems do, and with which formulas, is in the [catalogue](catalogue.md).

`efsim init` writes a commented config to begin with. `efsim schema > {FILE}` writes the JSON Schema of all
this; an editor that reads it (Taplo, Even Better TOML) completes and checks a config whose first line is
`#:schema ./{FILE}`.

- [The whole](#the-whole), [sweeping](#sweeping), [problem](#problem), [method](#method), [stepsize](#stepsize),
  [components](#components), [start](#start), [clock](#clock), [expect](#expect),
  [reduced and overrides](#reduced-and-overrides), [plugins](#plugins), [limits](#limits)
"""

SWEEPING = """\
A field of a problem, a method or a component that takes one value also takes a list of values, which is swept, and so
do `rule`, `multiple` and `seeds`. A table takes a list of tables in the same way: `[[problem]]`, or
`compressor = [{ kind = "top-k", k = [1, 2] }, { kind = "sign" }]`. The runs of a config are all combinations of

- its problems, each with all values of its fields,
- its methods, each with all values of its fields and of those of its components,
- the stepsizes of the method,
- the seeds, for a method that draws; one that does not has a single run, with seed 0.

A value that is listed twice is an error: it would count as two samples where it is one.
"""

CLOCK = """\
`[clock]`: the cost model of simulated time, which [Simulated time](time.md) explains. Figures, tables and expectations
of time need it; no run depends on it, so that it may be changed, or added, when everything is computed.
"""

EXPECT = """\
`[[expect]]`: what the config claims beyond the theorems of its methods.
"""

REDUCED = """\
`efsim run CONFIG --set KEY=VALUE` overrides a field, as often as it is given. The key is a path with dots, the value
is TOML, or a word: `--set problem.workers=50`, `--set method.0.compressor.k=[1,2]`, `--set start.kind=normal`.

`[reduced]` holds such overrides, dotted or nested, that make a small version of the config: `efsim run --reduced` and
`pytest --efsim-reduced` run it. A table is merged into the one of that name, anything else takes the place of what is
there, so that `[[reduced.method]]` tables replace all methods. `--set` comes after it.
"""

PLUGINS = """\
`plugins = ["my_method.py"]` imports Python files, by paths relative to the config, and modules that installed packages
name in the entry-point group `efsim.plugins` are imported anyway. Their classes are named by their `kind`, and
`efsim schema --plugin my_method.py` knows them.
"""

LIMITS = f"""\
- {MOST_RUNS:,} runs, and {MOST_RECORDS:,} records: runs x (rounds / record_every + 2).
- {MOST_BYTES // 2**20} MiB for the file, {MOST_CHARACTERS:,} characters for a word, {DEEPEST_TABLES} levels of tables \
and lists, whole numbers of 64 bits.
- {DEEPEST} levels of components that have components.
- {LARGEST_BATCH} runs are computed together at most; there may be any number of such batches.
"""


def config_reference() -> str:
    """The reference as Markdown. It has the classes of the packages, not those of plugins."""
    sections = {
        "The whole": _fields(schema().whole),
        "Sweeping": SWEEPING,
        "Problem": _choices(Problem, "`[problem]`, or several `[[problem]]`."),
        "Method": _choices(Method, "`[[method]]`. Every method also takes a [stepsize](#stepsize), which is required."),
        "Stepsize": f"A number > 0, or a table:\n\n{_fields(Rule)}",
        "Components": _components(),
        "Start": f"{first_line(Start)}\n\n{_fields(Start)}",
        "Clock": f"{CLOCK}\n{_fields(Clock)}\n{_tagged(CLOCK_TABLES)}",
        "Expect": f"{EXPECT}\n{_tagged(EXPECTATIONS)}",
        "Reduced and overrides": REDUCED,
        "Plugins": PLUGINS,
        "Limits": LIMITS,
    }
    return "\n".join([INTRODUCTION, *(f"## {title}\n\n{text}" for title, text in sections.items())])


def _components() -> str:
    """Tables in the table of a method, and in each other."""
    parts = [_choices(base, f"### {title}") for title, base in COMPONENT_SECTIONS.items()]
    return "\n".join(["A field of a method that takes one of these is a table with a `kind`.\n", *parts])


def _choices(base: type, heading: str) -> str:
    """What the tables of one sort take, kind after kind."""
    known = shipped(constructors(base))
    rows = [row for kind, constructor in known.items() for row in _choice_rows(kind, constructor)]
    return f"{heading}\n\n{markdown(('kind', 'field', 'takes', 'default', 'meaning'), rows)}\n"


def _choice_rows(kind: str, constructor: Callable[..., Any]) -> list[tuple[str, ...]]:
    """A row a field; the first begins with the kind, which leads to what it is."""
    meanings = field_meanings(constructor)
    rows = [
        (f"`{name}`", type_text(hint), _default(required, default), meanings.get(name, ""))
        for name, hint, required, default in parameters(constructor)
    ]
    firsts = [f"[{kind}](catalogue.md#{kind})", *[""] * (len(rows) - 1)]
    return [(first, *row) for first, row in zip(firsts, rows or [("-", "", "", "")], strict=True)]


def _default(required: bool, default: Any) -> str:
    if required:
        return "required"
    return "none" if default is None else f"`{toml_text(spec_of(default))}`"


def _tagged(models: Mapping[str, type[BaseModel]]) -> str:
    """Tables that are the same in every config, kind after kind."""
    return "\n".join(
        f"### {tag.rpartition('.')[2]}\n\n{first_line(model)}\n\n{_fields(model)}" for tag, model in models.items()
    )


def _fields(model: type[BaseModel]) -> str:
    """The fields of a table that is the same in every config."""
    described = written_schema(model)
    required = described.get("required", [])
    rows = [
        (f"`{name}`", _takes(about), _written_default(name in required, about), about.get("description", ""))
        for name, about in described["properties"].items()
    ]
    return f"{markdown(('field', 'takes', 'default', 'meaning'), rows)}\n"


def _written_default(required: bool, about: dict[str, Any]) -> str:
    if required:
        return "required"
    return "none" if about["default"] in ({}, [], "", None) else f"`{toml_text(about['default'])}`"


WORDS = {"string": "text", "integer": "whole number", "number": "number", "object": "table", "boolean": "true or false"}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def _takes(about: dict[str, Any]) -> str:
    """What a property takes, in words."""
    if "const" in about:
        return f"`{toml_text(about['const'])}`"
    if "enum" in about:
        return ", ".join(f"`{toml_text(value)}`" for value in about["enum"])
    if "anyOf" in about:  # one value, or a list of them, or nothing
        first, second = about["anyOf"]
        return f"{_takes(first)}, or a list" if second.get("type") != "null" else _takes(first)
    if about.get("type") == "array":
        return f"list: {_takes(about['items'])}"
    bounds = " and".join(f" {sign} {about[name]}" for name, sign in BOUNDS.items() if name in about)
    return WORDS[about.get("type", "object")] + bounds


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(config_reference(), encoding="utf-8")
