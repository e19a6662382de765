"""The engine against the loops that papers' scripts use and against plain JAX, on the same problems.

Times on a shared machine drift by tens of percent, so what counts are the ratios within one run, in which all
contestants are interleaved. All do the same work: EF21 with Top-k in float64, from x0 = 0. "engine" checks all its
theorems at every round, "engine, unchecked" none. Nothing is asserted about time.
"""

import argparse
import json
import sys
import time
from itertools import groupby
from pathlib import Path

import jax

from tests.benchmarks.growth import BASE, Growth, measure_growth
from tests.benchmarks.limits import fastest
from tests.benchmarks.measure import Disagreement, Measurement, measure
from tests.benchmarks.report import as_json, growth_table, machine_lines, summary, workload_report
from tests.benchmarks.workloads import WORKLOADS, Recipe, named

START = time.perf_counter()


def main() -> None:
    arguments = _arguments()
    # what compilation costs is measured, and must not come from a disk
    jax.config.update("jax_enable_compilation_cache", False)
    groups = [list(group) for _, group in groupby(arguments.only, _shape)]
    measured = [one for group in groups for one in _group(group, arguments.repetitions)]
    growth = _growth() if arguments.growth else []
    machine = fastest([one.machine for one in measured])
    print(f"{machine_lines(machine)}\n\n{summary(measured, machine)}")
    if arguments.json:
        text = json.dumps(as_json(measured, machine, growth), indent=1, allow_nan=False)
        arguments.json.write_text(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure the speed of the engine.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--only", type=_recipes, metavar="NAME[,NAME]", help="workloads, by how their names begin")
    parser.add_argument("--repetitions", type=_count, default=5, metavar="N", help="that count (default: 5)")
    parser.add_argument(
        "--growth",
        action=argparse.BooleanOptionalAction,
        help="how time and memory grow with n, d, S and T (default: unless --only is given)",
    )
    arguments = parser.parse_args()
    if arguments.growth is None:
        arguments.growth = arguments.only is None
    arguments.only = arguments.only or list(WORKLOADS)
    return arguments


def _recipes(names: str) -> list[Recipe]:
    try:
        return named(names.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, not {text!r}")
    return int(text)


def _shape(recipe: Recipe) -> tuple[str, int]:
    """What a program is compiled for; k may differ."""
    return recipe.kind, recipe.runs


def _group(recipes: list[Recipe], repetitions: int) -> list[Measurement]:
    """Workloads of one shape: the first pays for the compilation."""
    jax.clear_caches()
    return [_measured(recipe, repetitions) for recipe in recipes]


def _measured(recipe: Recipe, repetitions: int) -> Measurement:
    """One workload; its table is printed as soon as it is there."""
    try:
        measured = measure(recipe.build(), repetitions, lambda what: _progress(f"{recipe.name}: {what}"))
    except Disagreement as error:
        sys.exit(str(error))
    print(workload_report(measured), flush=True)
    return measured


def _growth() -> list[Growth]:
    growth = measure_growth(lambda what: _progress(f"growth: {what}"))
    base = ", ".join(f"{name} = {value}" for name, value in BASE._asdict().items())
    print(f"Growth of the unchecked engine around {base} (95% intervals)\n\n{growth_table(growth)}\n", flush=True)
    return growth


def _progress(what: str) -> None:
    print(f"[{time.perf_counter() - START:4.0f} s] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
