"""Parameters and formulas in words, for figures, tables and reports; formulas as matplotlib typesets them."""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from problems.registry import registered
from simulator import Method

__all__ = ["MINUS", "folded", "said", "say", "seen_length", "spelled", "stepsize_text", "typeset", "wrapped"]

GREEK = ("alpha", "mu", "omega", "theta", "xi")
SYMBOLS = {"L": "L", "mu": r"\mu"}  # that have an index
TIMES, MINUS, ROOT = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}", "\N{SQUARE ROOT}"


def stepsize_text(rule: str | None, multiple: float | None, stepsize: float) -> str:
    if rule is None or pd.isna(rule):
        return f"stepsize {stepsize:g}"
    return f"stepsize {rule}" if multiple == 1 else f"stepsize {multiple:g} {TIMES} {rule}"


def said(row: Any, names: Iterable[str]) -> list[str]:
    """The values that a run has in the named columns, in words."""
    return [say(name, row[name]) for name in names if not pd.isna(row[name])]


def say(name: str, value: Any) -> str:
    """A parameter in words: "EF21", "top-k", "k = 3", "split by-label"."""
    short = name.removeprefix("problem.").removeprefix("method.").removeprefix("compressor.")
    short = short.replace("_", " ").replace(".", " ")
    text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else plain(str(value))
    match name:
        case "method.kind" | "method.method":
            return spelled(text)
        case "problem.kind":
            return text.replace("-", " ")
        case "stepsize_text" | "method.compressor" | "problem.dataset":
            return text
    return f"{short} {text}" if isinstance(value, str) else f"{short} = {text}"


def spelled(kind: str) -> str:
    """A method's kind in the letters of its class: "EF21-W", "EControl"; in capitals where that is called otherwise."""
    cls = registered(Method).get(kind)
    if cls is None or cls.__name__.lower() != kind.replace("-", ""):
        return kind.upper()
    letters = iter(cls.__name__)
    return "".join(letter if letter == "-" else next(letters) for letter in kind)


def plain(text: str) -> str:
    """Text of a config as matplotlib shall show it: no mathematics by accident, of a path the name, not too long."""
    text = text.rsplit("/", 1)[-1]
    return (text if len(text) <= 40 else f"{text[:18]}…{text[-20:]}").replace("$", r"\$")


def typeset(formula: str) -> str:
    """A formula of plain text with its symbols."""
    formula = re.sub(rf"\b({'|'.join(GREEK)})\b", r"$\\\1$", formula.replace("sqrt", ROOT))
    return re.sub(r"\b(L|mu)_(\w+)", lambda found: rf"${SYMBOLS[found[1]]}_\mathrm{{{found[2]}}}$", formula)


def wrapped(items: Iterable[str], width: int) -> str:
    """The items with commas between them, in lines of about `width` characters as they are seen."""
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]}, {item}" if lines else item
        if lines and seen_length(longer) > width:
            lines[-1] += ","
            lines.append(item)
        else:
            lines[-1:] = [longer]
    return "\n".join(lines)


def folded(text: str, width: int) -> str:
    """The text in lines of about `width` characters as they are seen, broken between words."""
    lines: list[str] = []
    for word in re.findall(r"\$[^$]*\$\S*|\S+", text):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and seen_length(longer) > width:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return "\n".join(lines)


def seen_length(text: str) -> int:
    """About how many characters of the text are seen, once its mathematics is typeset."""
    return len(re.sub(r"\\[a-z]+|[${}_^\\]", "", text))
