"""How time and memory of the unchecked engine grow with n, d, S and T."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.exponents import Exponent, fit_exponent
from tests.benchmarks.growth_point import Cost, Point

__all__ = ["AXES", "BASE", "Growth", "measure_growth"]

BASE = Point(workers=64, dim=64, runs=64, rounds=32)
AXES = {
    "workers": (16, 32, 64, 128, 256),
    "dim": (16, 32, 64, 128, 256),
    "runs": (16, 32, 64, 128, 256),
    "rounds": (8, 16, 32, 64, 128),
}
# Freed arrays go back to the system at once, so that what is in use can be seen; a GPU is not taken as a whole.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class Growth(NamedTuple):
    """One of n, d, S, T varied, with the others as in BASE."""

    axis: str
    values: tuple[int, ...]
    costs: list[Cost]
    time: Exponent
    memory: Exponent


def measure_growth(progress: Callable[[str], object]) -> list[Growth]:
    """Every axis; points that axes share are measured once."""
    known: dict[Point, Cost] = {}
    for point in (BASE._replace(**{axis: value}) for axis, values in AXES.items() for value in values):
        if point not in known:
            progress(", ".join(f"{name} = {value}" for name, value in point._asdict().items()))
            known[point] = _in_a_new_process(point)
    return [
        _growth(axis, values, [known[BASE._replace(**{axis: value})] for value in values])
        for axis, values in AXES.items()
    ]


def _growth(axis: str, values: tuple[int, ...], costs: list[Cost]) -> Growth:
    x = np.array(values, float)
    time, memory = (_fit(x, np.array(column)) for column in zip(*costs, strict=True))
    return Growth(axis, values, costs, time, memory)


def _fit(x: np.ndarray, y: np.ndarray) -> Exponent:
    return fit_exponent(x, np.where(y > 0, y, np.nan))  # noise may leave nothing of a small difference


def _in_a_new_process(point: Point) -> Cost:
    command = [sys.executable, "-m", "tests.benchmarks.growth_point", *map(str, point)]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))
