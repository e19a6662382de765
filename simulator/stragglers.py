"""Stragglers: which workers are late in a round, so that the server goes on without what they send."""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, frozen_pytree
from simulator.parameters import check_number, check_whole
from simulator.selection import largest

__all__ = ["FixedStragglers", "GilbertElliott", "IndependentStragglers", "Stragglers"]


class Stragglers(ABC):
    """A random process of sets of workers; subclasses are frozen pytrees."""

    kind: ClassVar[str]

    @abstractmethod
    def start(self, key: Array, workers: int) -> Array:
        """Who is late in the round before the first. -> [n], true or false."""

    @abstractmethod
    def draw(self, key: Array, late: Array) -> Array:
        """Who is late in a round, given who was in the one before. late [n] -> [n]."""

    def check(self, workers: int) -> None:  # noqa: B027  (most are possible everywhere)
        """Raise InvalidInput where n workers cannot be late in this way."""


@frozen_pytree
class IndependentStragglers(Stragglers):
    """Every worker is late with the same probability in every round, whatever was before."""

    chance: float
    kind = "independent-stragglers"

    def __post_init__(self) -> None:
        check_number("the chance to be late", self.chance, "[0, 1)")

    def start(self, key: Array, workers: int) -> Array:
        return self.draw(key, jnp.zeros(workers, bool))

    def draw(self, key: Array, late: Array) -> Array:
        return jax.random.uniform(key, late.shape, float) < self.chance


@frozen_pytree
class FixedStragglers(Stragglers):
    """`workers` of the n workers are late, the last ones, every set of so many with the same probability."""

    workers: int
    kind = "fixed-stragglers"

    def __post_init__(self) -> None:
        check_whole("the number of workers that are late", self.workers, least=0)

    def start(self, key: Array, workers: int) -> Array:
        return self.draw(key, jnp.zeros(workers, bool))

    def draw(self, key: Array, late: Array) -> Array:
        scores = jax.random.uniform(key, late.shape, jnp.float64, 1.0, 2.0)
        return largest(scores, jnp.maximum(self.workers, 1)) & (jnp.asarray(self.workers) > 0)

    def check(self, workers: int) -> None:
        if self.workers >= workers:
            raise InvalidInput(f"{self.workers} workers cannot be late where there are {workers}; one must answer")


@frozen_pytree
class GilbertElliott(Stragglers):
    """Bursts: a worker that is in time is late next with probability `begin`, and one that is late in time with `end`.

    The chain of every worker begins in its stationary distribution, in which it is late with begin / (begin + end).
    A burst has 1/end rounds in the mean; begin + end = 1 makes the rounds independent.
    """

    begin: float
    end: float
    kind = "gilbert-elliott"

    def __post_init__(self) -> None:
        check_number("the chance that a burst begins", self.begin, "(0, 1)")
        check_number("the chance that a burst ends", self.end, "(0, 1]")

    def start(self, key: Array, workers: int) -> Array:
        return jax.random.uniform(key, (workers,), float) < self.begin / (self.begin + self.end)

    def draw(self, key: Array, late: Array) -> Array:
        drawn = jax.random.uniform(key, late.shape, float)
        return jnp.where(late, drawn >= self.end, drawn < self.begin)
