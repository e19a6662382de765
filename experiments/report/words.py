"""Words of the figures as plain text: those are written for matplotlib."""

import re
from unicodedata import lookup

from experiments.words import GREEK

__all__ = ["unicode_text"]

LETTERS = {name: lookup(f"GREEK SMALL LETTER {name}") for name in GREEK}


def unicode_text(label: str) -> str:
    r"""The label without matplotlib's markup: $L_\mathrm{QM}$ is L_QM, $\xi$ the letter, and \$ a dollar."""
    return re.sub(r"(?<!\\)\$(.*?)(?<!\\)\$", _symbols, label).replace(r"\$", "$")


def _symbols(found: re.Match[str]) -> str:
    formula = re.sub(r"\\mathrm\{(\w+)\}", r"\1", found[1])
    return re.sub(r"\\(\w+)", lambda name: LETTERS.get(name[1], name[1]), formula)
