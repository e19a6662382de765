"""How long a worker takes for its local work: distributions of times, some workers slower than others."""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import zeta

from problems import frozen_pytree
from simulator.parameters import check_number

__all__ = ["SIMULTANEOUS", "ExponentialTimes", "FixedTimes", "ParetoTimes", "WorkingTimes"]

# Times that differ by less are the same: rounding would tell apart multiples of one time.
SIMULTANEOUS = 1e-6


@frozen_pytree
class WorkingTimes(ABC):
    """Random times T_i > 0, independent between workers and works; subclasses are frozen pytrees.

    The means tau_i rise evenly from the first worker to the last. Their mean over the workers is 1, the unit of time.

    Attributes:
        spread: the mean time of the slowest worker over that of the fastest.
        deterministic: whether `draw` ignores its key.
    """

    spread: float = 1.0
    kind: ClassVar[str]
    deterministic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_number("the spread of the working times", self.spread, "[1, inf)")

    @abstractmethod
    def draw(self, key: Array, workers: int) -> Array:
        """A time for the next work of every worker. -> [n]."""

    @abstractmethod
    def whole_intervals(self, length: float, workers: int) -> np.ndarray:
        """E ceil(T_i / length), in how many intervals of a length > 0 a work is done, the last one included. -> [n]."""

    def means(self, workers: int) -> Array:
        """tau_i, [n]."""
        steps = 1 + (self.spread - 1) * jnp.arange(workers) / max(workers - 1, 1)
        return steps / jnp.mean(steps)

    def check(self, workers: int) -> None:  # noqa: B027  (most exist for every number of workers)
        """Raise InvalidInput where there are no such times of n workers."""


@frozen_pytree
class FixedTimes(WorkingTimes):
    """T_i = tau_i, always.

    Args:
        spread: tau_n / tau_1, at least 1; the tau_i rise evenly from worker to worker, and their mean is 1.
    """

    kind = "fixed"
    deterministic = True

    def draw(self, key: Array, workers: int) -> Array:
        return self.means(workers)

    def whole_intervals(self, length: float, workers: int) -> np.ndarray:
        return np.maximum(1.0, np.ceil((np.asarray(self.means(workers)) - SIMULTANEOUS) / length))


@frozen_pytree
class ExponentialTimes(WorkingTimes):
    """T_i is exponential with mean tau_i: how long a work still takes does not depend on how long it has taken.

    Args:
        spread: tau_n / tau_1, at least 1; the tau_i rise evenly from worker to worker, and their mean is 1.
    """

    kind = "exponential"

    def draw(self, key: Array, workers: int) -> Array:
        return self.means(workers) * jax.random.exponential(key, (workers,), float)

    def whole_intervals(self, length: float, workers: int) -> np.ndarray:
        return -1 / np.expm1(-length / np.asarray(self.means(workers)))


@frozen_pytree
class ParetoTimes(WorkingTimes):
    """T_i is heavy-tailed with mean tau_i: P(T_i > t) = (m_i / t)^a for t >= m_i = tau_i (a - 1) / a.

    Args:
        spread: tau_n / tau_1, at least 1; the tau_i rise evenly from worker to worker, and their mean is 1.
        tail: a > 2: with an infinite variance, runs would hardly ever come near what is expected of them.
    """

    tail: float = 2.5
    kind = "pareto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("the tail of the working times", self.tail, "(2, inf)")

    def _least(self, workers: int) -> Array:
        return self.means(workers) * (self.tail - 1) / self.tail

    def draw(self, key: Array, workers: int) -> Array:
        chances = jax.random.uniform(key, (workers,), float)
        return self._least(workers) * (1 - chances) ** (-1 / self.tail)

    def whole_intervals(self, length: float, workers: int) -> np.ndarray:
        # the sum of P(T_i > k length) over k >= 0: ones as far as m_i, then a tail of the zeta function
        least = np.asarray(self._least(workers)) / length
        certain = np.floor(least) + 1
        return certain + least**self.tail * zeta(self.tail, certain)
