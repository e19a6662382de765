"""One point of the growth curves, measured in a process of its own: python -m tests.benchmarks.growth_point n d S T."""

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax

from tests.benchmarks.contestants import SHORT_CALL, UncheckedEngine, seconds
from tests.benchmarks.models import Logistic
from tests.benchmarks.workloads import Workload, stepsizes

__all__ = ["Cost", "Point"]

SAMPLES = 32  # m of every worker
FEWEST_REPETITIONS = 3
REPEATED_SECONDS = 0.5  # that repetitions take at least


class Point(NamedTuple):
    """Logistic regression with Top-1."""

    workers: int
    dim: int
    runs: int
    rounds: int


class Cost(NamedTuple):
    """What a call of the unchecked engine takes."""

    seconds: float  # of the rounds
    bytes: float  # largest memory in use less that before the call; NaN where the system does not tell


def measure_point(point: Point) -> Cost:
    """After a call that compiles and does not count."""
    model = Logistic(point.workers, SAMPLES, point.dim)
    engine = UncheckedEngine(Workload("growth", model, 1, stepsizes(point.runs)))
    rounds = SHORT_CALL + point.rounds
    engine.points(rounds)
    gc.collect()
    before = _restart_peak()
    long = _median_seconds(lambda: engine.points(rounds))
    used = _peak() - before
    return Cost(long - _median_seconds(lambda: engine.points(SHORT_CALL)), used)


def _median_seconds(work: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < FEWEST_REPETITIONS or sum(times) < REPEATED_SECONDS:
        times.append(seconds(work))
    return median(times)


# Not getrusage: ru_maxrss cannot be restarted after the compilation, and a new process inherits that of its parent.
def _restart_peak() -> float:
    """Forget the peak of this process and return the bytes in use."""
    if stats := jax.devices()[0].memory_stats():
        return stats["bytes_in_use"]
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("nan")
    return _status("VmRSS")


def _peak() -> float:
    stats = jax.devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] if stats else _status("VmHWM")


def _status(field: str) -> float:
    """Bytes that Linux says of this process; NaN elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))


if __name__ == "__main__":
    print(json.dumps(measure_point(Point(*map(int, sys.argv[1:])))))
