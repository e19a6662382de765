"""How loose is every theorem? python -m experiments.falsify.table docs/tightness.md [METHOD...] writes the answer.

With methods, only their sections are made anew. The page is written after every method.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from experiments.catalogue import shipped
from experiments.descriptions import methods_by_year
from experiments.falsify.campaign import Budget, Report, falsify
from experiments.falsify.search import COMPRESSED, RESTARTS
from experiments.tables import markdown
from problems.registry import look_up
from simulator import Theorem

__all__ = ["main", "page", "row", "section", "sections"]

TURNS, STEPS, SIZES = 3, 400, ((2, 2), (1, 1))


def _told(sizes: Sequence[tuple[int, int]]) -> str:
    return " and ".join(f"n = {n}, d = {d}" for n, d in sizes)


HEAD = f"""# How tight the theorems are

The largest ratio that [a search for counterexamples](falsify.md) has found for every theorem: what it promises of a
round over what the round delivers, at its largest stepsize (at a smaller one where it promises nothing there). 1 is
tight, above 1 would be false. The true ratio may be larger: this is what {TURNS * RESTARTS} ascents of {STEPS} steps
have reached, for every kind of parts that the theorem allows and every size ({_told(SIZES)}; n = d = 3 for sparse f_i).

*ratio* is the largest over all alpha; *compressed* that of the searches with alpha <= {COMPRESSED:g}, because most
theorems become those of gradient descent as alpha goes to 1, and these are tight. The other columns say where the
largest was found: alpha of the compressor (omega = 1/alpha - 1 of an unbiased one), the method's other number (a
probability, a momentum, alpha of the second compressor), the kind of the parts. *restarts* are all that there were.
Made by `make falsify` in some ten minutes; `make falsify METHODS="ef21 gd"` makes two tables anew.
"""
COLUMNS = ("theorem", "ratio", "compressed", "n", "d", "alpha", "other", "parts", "restarts")


def ratio_text(excess: float) -> str:
    """1 + excess, told by its distance to 1 where that is small."""
    return "1" if abs(excess) < 1e-10 else f"{1 + excess:.4f}" if excess < -1e-4 else f"1 - {-excess:.1e}"


def row(report: Report) -> list[str]:
    """The cells of a line of the table."""
    record, judgement = report.record, report.judgement
    ratio = f"**{1 + judgement.excess:.6g}: broken**" if judgement.broken else ratio_text(judgement.excess)
    n, d = record.vectors.shape
    found = (n, d, f"{record.alpha:.3f}", f"{record.share:.3f}", f"{record.compressor}, {record.gradients}")
    cells = (record.theorem, ratio, ratio_text(math.expm1(report.compressed)), *found, report.restarts)
    return [str(cell) for cell in cells]


def section(kind: str, theorems: Sequence[Theorem]) -> str:
    """The table of a method."""
    reports = falsify(kind, theorems, Budget(turns=TURNS, steps=STEPS), sizes=SIZES)
    return markdown(COLUMNS, [row(report) for report in reports]) + "\n"


def sections(text: str) -> dict[str, str]:
    """Those of a page, by method."""
    return {kind: table.strip() + "\n" for kind, _, table in (part.partition("\n") for part in text.split("\n## ")[1:])}


def page(tables: dict[str, str]) -> str:
    """The page, in the order of the catalogue."""
    ordered = [f"\n## {kind}\n\n{tables[kind]}" for kind in shipped(methods_by_year()) if kind in tables]
    return HEAD + "".join(ordered)


def main(path: Path, *kinds: str) -> None:
    """Write the page, or the sections of these methods in it."""
    methods = shipped(methods_by_year())
    tables = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    for kind in kinds or [kind for kind, cls in methods.items() if cls.theorems]:
        tables[kind] = section(kind, look_up("method", kind, methods).theorems)
        path.write_text(page(tables), encoding="utf-8")
        jax.clear_caches()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
