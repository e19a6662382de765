"""Gradient codes: what workers compute twice, so that the server has the whole sum although some of them are late.

The data of n workers are the n partitions of a code. In a round a worker goes through some of them and sends one linear
combination of their gradients; the rows of the code's matrix B [n, n] are those of the workers. From the workers that
are in time the server has sum_j grad f_j exactly, if weights a with a_i = 0 for the others exist that solve
a^T B = 1^T.

Tandon, Lei, Dimakis, Karampatziakis (arXiv 1612.03301); the constructions here are the paper's, written down from
memory and checked for every set of stragglers.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import InvalidInput, frozen_pytree, static
from simulator.parameters import check_whole

__all__ = ["CyclicRepetition", "FractionalRepetition", "GradientCode", "decoding_weights"]


class GradientCode(ABC):
    """What workers compute and when the server has it all; subclasses are frozen pytrees.

    Gradients are recovered in the round in which they are asked for, or `delay` rounds later.

    Attributes:
        tolerance: how many late workers the server does without in a round; of a sequential code, on average.
    """

    kind: ClassVar[str]
    tolerance: int

    @property
    def delay(self) -> int:
        """In which round after its own, T, a gradient must have been recovered."""
        return 0

    @property
    def sums(self) -> int:
        """How many sums a worker sends for a gradient."""
        return 1

    @abstractmethod
    def redundancy(self, workers: int) -> float:
        """What a worker goes through in a round, in partitions: n times the normalized load of the papers."""

    @property
    @abstractmethod
    def copies(self) -> int | None:
        """How many workers have all data of a worker, so that messages need not be sums; None where nobody has."""

    def awaited(self, workers: int) -> int:
        """For how many workers the server waits in a round, if as many are late as the code is made for."""
        return workers - self.tolerance

    @abstractmethod
    def start(self, workers: int) -> Any:
        """What the server remembers before the first round."""

    @abstractmethod
    def receive(self, memory: Any, late: Array) -> tuple[Any, Array]:
        """What it remembers after a round, and whether it has the gradient that was asked for `delay` rounds before.

        late [n] -> [].
        """

    @abstractmethod
    def check(self, workers: int) -> None:
        """Raise InvalidInput where there is no such code for n workers."""


class RepetitionCode(GradientCode):
    """Every worker has s + 1 partitions, and every partition s + 1 workers, for s = `tolerance` stragglers."""

    def __post_init__(self) -> None:
        check_whole("the number of stragglers that a code tolerates", self.tolerance, least=0)

    @abstractmethod
    def matrix(self, workers: int) -> np.ndarray:
        """B, whose row i says what worker i sends. -> [n, n]."""

    def redundancy(self, workers: int) -> float:
        return self.tolerance + 1.0

    @property
    def copies(self) -> int:
        return self.tolerance + 1

    def start(self, workers: int) -> Any:
        return ()

    def check(self, workers: int) -> None:
        if self.tolerance >= workers:
            raise InvalidInput(f"a code of {workers} workers tolerates at most {workers - 1} stragglers")


@frozen_pytree
class FractionalRepetition(RepetitionCode):
    """Groups of s + 1 workers that have the same s + 1 partitions and send their sum; s + 1 must divide n.

    The server needs one worker of every group: any s stragglers are tolerated, and more where they are spread. Tandon
    et al. (arXiv 1612.03301).

    Args:
        tolerance: s, the stragglers that are tolerated whoever they are.
    """

    tolerance: int = static()
    kind = "fractional-repetition"

    def receive(self, memory: Any, late: Array) -> tuple[Any, Array]:
        return memory, jnp.all(jnp.any(~late.reshape(-1, self.copies), axis=1))

    def matrix(self, workers: int) -> np.ndarray:
        return np.kron(np.eye(workers // self.copies), np.ones((self.copies, self.copies)))

    def check(self, workers: int) -> None:
        super().check(workers)
        if workers % self.copies:
            raise InvalidInput(f"fractional repetition needs that s + 1 = {self.copies} divides the {workers} workers")


@frozen_pytree
class CyclicRepetition(RepetitionCode):
    """Worker i has the partitions i, ..., i + s, modulo n, and sends a combination that a random matrix determines.

    The rows of B span the null space of a random H [s, n] with H 1 = 0, so that any n - s of them have the vector of
    ones in their span, and fewer do not, with probability 1. Tandon et al. (arXiv 1612.03301).

    Args:
        tolerance: s, the stragglers that are tolerated.
        seed: of H.
    """

    tolerance: int = static()
    seed: int = static(default=0)
    kind = "cyclic-repetition"

    def receive(self, memory: Any, late: Array) -> tuple[Any, Array]:
        return memory, jnp.sum(late) <= self.tolerance

    def matrix(self, workers: int) -> np.ndarray:
        s, matrix = self.tolerance, np.eye(workers)
        null = np.random.default_rng(self.seed).standard_normal((s, workers))
        null[:, -1] = -null[:, :-1].sum(axis=1)
        for worker in range(workers if s else 0):
            others = (worker + 1 + np.arange(s)) % workers
            matrix[worker, others] = np.linalg.solve(null[:, others], -null[:, worker])
        return matrix


def decoding_weights(matrix: np.ndarray, late: np.ndarray) -> np.ndarray:
    """a with a^T B = 1^T and a_i = 0 for those that are late, nearest to it where there is none. -> [n]."""
    weights = np.zeros(len(matrix))
    weights[~late] = np.linalg.lstsq(matrix[~late].T, np.ones(len(matrix)), rcond=None)[0]
    return weights
