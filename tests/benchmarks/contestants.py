"""Who is compared: the engine, and what all other contestants have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from simulator import EF21, TopK, constants_of, simulate
from simulator.theorem import Theorem
from tests.benchmarks.workloads import Workload

__all__ = ["Contestant", "Engine", "OneByOne", "Rival", "Sample", "UncheckedEngine", "seconds"]

SHORT_CALL = 1  # rounds
TIMED_RUNS = 4  # of those who take one stepsize after another: their time is proportional to the number


class Sample(NamedTuple):
    """One measurement, in seconds."""

    round: float  # of one round of all stepsizes
    call: float  # of a call beyond its rounds; 0 where only rounds are timed


class Contestant(ABC):
    """A way to run EF21 on a workload."""

    key: ClassVar[str]  # short, for columns and JSON
    label: ClassVar[str]
    fewest_rounds: ClassVar[int]  # that a sample may time
    sample_seconds: ClassVar[float]  # that the rounds of a sample take at least, where they are fast enough

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    @property
    def lanes(self) -> np.ndarray:
        """Which of the stepsizes it is given; the time of the others is extrapolated. [s]."""
        return np.arange(self.workload.runs)

    @abstractmethod
    def points(self, rounds: int) -> np.ndarray:
        """x after the rounds, for the stepsizes `lanes`. [s, d]."""

    @abstractmethod
    def sample(self, rounds: int) -> Sample:
        """Time the rounds once."""


class Engine(Contestant):
    """`simulate`, with all theorems of EF21 checked at every round."""

    key = "engine"
    label = "engine"
    fewest_rounds = 2
    sample_seconds = 0.4  # a difference of calls needs more than a stretch of rounds
    theorems: ClassVar[Sequence[Theorem] | None] = None  # the method's own

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.method = EF21(TopK(workload.k))
        # constants that a problem computes once and keeps are neither time of a call nor of a compilation
        constants_of(workload.model.problem, self.method)

    def points(self, rounds: int) -> np.ndarray:
        trace = simulate(
            self.workload.model.problem,
            self.method,
            stepsize=self.workload.stepsizes,
            rounds=rounds,
            record_every=rounds,
            theorems=self.theorems,
        )
        return trace.final_point

    def sample(self, rounds: int) -> Sample:
        """A long call less the short ones around it, so that the fixed cost of a call does not count as rounds."""
        before = seconds(lambda: self.points(SHORT_CALL))
        long = seconds(lambda: self.points(SHORT_CALL + rounds))
        short = (before + seconds(lambda: self.points(SHORT_CALL))) / 2
        per_round = (long - short) / rounds
        return Sample(per_round, short - SHORT_CALL * per_round)

    def first_call(self) -> float:
        """Seconds that a call takes longer than the one after it: tracing and compilation, unless that was done."""
        first = seconds(lambda: self.points(SHORT_CALL))
        return first - seconds(lambda: self.points(SHORT_CALL))


class UncheckedEngine(Engine):
    """`simulate` without theorems."""

    key = "unchecked"
    label = "engine, unchecked"
    theorems = ()


class Rival(Contestant):
    """A contestant whose rounds can be timed alone: from a state that exists, after compilation."""

    fewest_rounds = 1
    sample_seconds = 0.2

    @abstractmethod
    def start(self, rounds: int) -> Any:
        """Whatever `advance` needs, ready to run: x0 = 0, g_i = grad f_i(x0)."""

    @abstractmethod
    def advance(self, state: Any, rounds: int) -> np.ndarray:
        """x after the rounds, for the stepsizes `lanes`. [s, d]."""

    def points(self, rounds: int) -> np.ndarray:
        return self.advance(self.start(rounds), rounds)

    def sample(self, rounds: int) -> Sample:
        state = self.start(rounds)
        elapsed = seconds(lambda: self.advance(state, rounds))
        return Sample(elapsed * self.workload.runs / len(self.lanes) / rounds, 0.0)


class OneByOne(Rival):
    """A rival that takes one stepsize after another; it is given a few of them."""

    @property
    def lanes(self) -> np.ndarray:
        runs = self.workload.runs
        return np.linspace(0, runs - 1, min(runs, TIMED_RUNS)).astype(int)

    @abstractmethod
    def start_one(self) -> Any:
        """The state of one run."""

    @abstractmethod
    def advance_one(self, stepsize: float, state: Any, rounds: int) -> np.ndarray:
        """x after the rounds. [d]."""

    def start(self, rounds: int) -> list[Any]:
        return [self.start_one() for _ in self.lanes]

    def advance(self, state: list[Any], rounds: int) -> np.ndarray:
        gammas = self.workload.stepsizes[self.lanes]
        return np.stack([self.advance_one(gamma, own, rounds) for gamma, own in zip(gammas, state, strict=True)])


def seconds(work: Callable[[], object]) -> float:
    """The time that the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
