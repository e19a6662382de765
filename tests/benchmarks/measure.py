"""One workload: are all contestants right, and how long do they take, interleaved?"""

import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from tests.benchmarks.contestants import Contestant, Engine, Sample, UncheckedEngine
from tests.benchmarks.jax_rivals import JaxScan, JaxStep
from tests.benchmarks.limits import Machine, Work, measure_machine, work_of
from tests.benchmarks.numpy_rivals import NumpyBatch, NumpyLoop, NumpyWorkers
from tests.benchmarks.workloads import Workload

__all__ = ["Disagreement", "Measurement", "Times", "check_agreement", "contestants_of", "measure"]

AGREEMENT_ROUNDS = 3  # the state of the compression shows in x from the second round on
TOLERANCE = 1e-9  # relative; rounding errors are below 1e-14
MOST_ROUNDS = 1000
WORKLOAD_SECONDS = 20.0  # after which no further repetition begins
FEWEST_REPETITIONS = 2  # that are done whatever they take, where as many are asked for
PAUSE_SECONDS = 0.03  # threads of a BLAS wait busily for this long after a product and would disturb the next one


class Disagreement(Exception):
    """Contestants that do not do the same work; the message says which and by how much."""


class Times(NamedTuple):
    """What was measured of one contestant."""

    label: str
    lanes: int  # the number of stepsizes that were timed
    rounds: int  # that a sample timed
    samples: list[Sample]  # of the repetitions
    first_call: float | None  # seconds that it took longer, by compilation; None of others than the engine


class Measurement(NamedTuple):
    """What was measured of a workload."""

    name: str
    workers: int
    dim: int
    k: int
    runs: int
    work: Work
    machine: Machine  # just before the workload
    times: dict[str, Times]  # by the contestants' keys


def contestants_of(workload: Workload) -> list[Contestant]:
    """Those who make sense on the workload, the engine first."""
    # for a single stepsize (b) would be (b1)
    rivals = [NumpyLoop, NumpyWorkers, *([NumpyBatch] if workload.runs > 1 else []), JaxStep, JaxScan]
    return [kind(workload) for kind in (Engine, UncheckedEngine, *rivals)]


def check_agreement(contestants: Sequence[Contestant]) -> None:
    """That all contestants reach the same points as the first, to 1e-9 of the largest coordinate.

    Raises:
        Disagreement: one does not.
    """
    reference, *others = contestants
    expected = reference.points(AGREEMENT_ROUNDS)
    for other in others:
        own = expected[other.lanes]
        error = np.max(np.abs(other.points(AGREEMENT_ROUNDS) - own) / np.max(np.abs(own), axis=1, keepdims=True))
        if not error <= TOLERANCE:  # nor NaN
            raise Disagreement(
                f"{other.workload.name}: after {AGREEMENT_ROUNDS} rounds, x of {other.label!r} differs from that of "
                f"{reference.label!r} by {error:.2g} relative; at most {TOLERANCE:g} would be rounding"
            )


def measure(workload: Workload, repetitions: int, progress: Callable[[str], object]) -> Measurement:
    """Check the contestants, then time them in turn, at most `repetitions` times.

    Raises:
        Disagreement: contestants that do not reach the same points.
    """
    contestants = contestants_of(workload)
    progress("compilation and agreement")
    first_calls = {c.key: c.first_call() for c in contestants if isinstance(c, Engine)}
    check_agreement(contestants)
    rounds = {c.key: _rounds_worth_timing(c) for c in contestants}
    machine = measure_machine()
    samples = _interleaved(contestants, rounds, repetitions, progress)
    times = {
        c.key: Times(c.label, len(c.lanes), rounds[c.key], samples[c.key], first_calls.get(c.key)) for c in contestants
    }
    model = workload.model
    return Measurement(
        workload.name, model.workers, model.dim, workload.k, workload.runs, work_of(workload), machine, times
    )


def _interleaved(
    contestants: Sequence[Contestant], rounds: dict[str, int], repetitions: int, progress: Callable[[str], object]
) -> dict[str, list[Sample]]:
    """One sample of each in turn, again and again, after one time that does not count."""
    samples: dict[str, list[Sample]] = {c.key: [] for c in contestants}
    start = time.perf_counter()
    for repetition in range(repetitions + 1):
        if repetition > FEWEST_REPETITIONS and time.perf_counter() - start > WORKLOAD_SECONDS:
            break
        progress(f"repetition {repetition} of {repetitions}")
        for contestant in contestants:
            time.sleep(PAUSE_SECONDS)
            samples[contestant.key].append(contestant.sample(rounds[contestant.key]))
    return {key: all_samples[1:] for key, all_samples in samples.items()}


def _rounds_worth_timing(contestant: Contestant) -> int:
    """As many as take about `sample_seconds`, found by trying few first. What is timed has been compiled."""
    rounds = contestant.fewest_rounds
    while (stretch := _stretch(contestant, rounds)) < contestant.sample_seconds / 2 and rounds < MOST_ROUNDS:
        factor = min(max(contestant.sample_seconds / max(stretch, 1e-9), 2), 16)
        rounds = min(ceil(rounds * factor), MOST_ROUNDS)
    return rounds


def _stretch(contestant: Contestant, rounds: int) -> float:
    """Seconds that so many rounds really take; the less of two samples, because others may disturb one."""
    share = len(contestant.lanes) / contestant.workload.runs
    first = contestant.sample(rounds).round * rounds * share
    if first > 2 * contestant.sample_seconds:  # long enough even if disturbed, and too long to be repeated
        return first
    return min(first, contestant.sample(rounds).round * rounds * share)
