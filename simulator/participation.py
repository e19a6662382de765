"""Partial participation: which workers take part in a round."""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, frozen_pytree
from simulator.parameters import check_number, check_whole
from simulator.selection import largest

__all__ = ["FixedNumber", "Independent", "Participation"]


class Participation(ABC):
    """A random set of workers; subclasses are frozen pytrees. It always takes its key, so it is never deterministic."""

    kind: ClassVar[str]
    deterministic = False

    @abstractmethod
    def draw(self, key: Array, workers: int) -> Array:
        """1 for every worker that takes part, 0 for the others. -> [n]."""

    @abstractmethod
    def probability(self, workers: int) -> float:
        """The probability with which each worker takes part."""

    def check(self, workers: int) -> None:  # noqa: B027  (most are possible everywhere)
        """Raise InvalidInput where n workers cannot take part in this way."""


@frozen_pytree
class Independent(Participation):
    """Every worker tosses a coin of its own."""

    chance: float
    kind = "independent"

    def __post_init__(self) -> None:
        check_number("the chance to take part", self.chance, "(0, 1]")

    def draw(self, key: Array, workers: int) -> Array:
        return 1.0 * (jax.random.uniform(key, (workers,), float) < self.chance)

    def probability(self, workers: int) -> float:
        return self.chance


@frozen_pytree
class FixedNumber(Participation):
    """`workers` of the n workers take part, every set of so many with the same probability."""

    workers: int
    kind = "fixed-number"

    def __post_init__(self) -> None:
        check_whole("the number of workers that take part", self.workers)

    def draw(self, key: Array, workers: int) -> Array:
        return 1.0 * largest(jax.random.uniform(key, (workers,), jnp.float64, 1.0, 2.0), self.workers)

    def probability(self, workers: int) -> float:
        return self.workers / workers

    def check(self, workers: int) -> None:
        if self.workers > workers:
            raise InvalidInput(f"{self.workers} workers cannot take part where there are {workers}")
