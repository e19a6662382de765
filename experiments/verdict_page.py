"""The verdicts of results folders as a page: `python -m experiments.verdict_page PAGE DIR...`, or `make verdicts`."""

import sys
from collections.abc import Iterable
from pathlib import Path

from experiments.controls import control_verdicts
from experiments.results import Results, load_results
from experiments.verdict_table import markdown_table, totals
from experiments.verdicts import judge

__all__ = ["verdict_page"]

BY = ("problem.kind", "method.compressor")
HEAD = """# Verdicts

Made from results by `make verdicts`; [theorems.md](theorems.md) says what a verdict means. *runs*: those that the
theorem speaks of, of all. *steps*: rounds judged. *slack*: the smallest over them, relative to what changes in a round
(in expectation only where a method draws: no figure). *tightness*: largest measured / bound. *rate*: fitted to the
measured / to the bound. *seeds*: the fewest of a group (and the power with which an excess of 100% would show).
*beyond*: runs at other stepsizes, and how many break the inequality. *controls*: reruns where the claim must be false,
and how many fail. That formulas known to be false fail the same checks is in
[theorems.md](theorems.md#known-false)."""


def verdict_page(folders: Iterable[Path]) -> str:
    """A section for every folder: a verdict for each theorem, problem and compressor, with negative controls.

    Raises:
        InvalidInput: a folder holds no complete results.
    """
    return "\n\n".join([HEAD, *(_section(load_results(folder)) for folder in folders)]) + "\n"


def _section(results: Results) -> str:
    verdicts = control_verdicts(judge(results, [name for name in BY if name in results.runs]), results.config)
    config = results.config
    return f"## {config.name}\n\n{config.description} {totals(verdicts)}.\n\n{markdown_table(verdicts)}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(verdict_page(map(Path, sys.argv[2:])), encoding="utf-8")
