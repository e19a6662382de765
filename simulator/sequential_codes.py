"""Sequential gradient codes: what stragglers owe of a gradient is made up for in the rounds after.

Krishnan, Ebrahimi, Khisti (arXiv 2211.13802). A gradient that is asked for in round r is recovered by round r + T;
until then gradients of other models are computed, T + 1 models in turn, so that none is stale. The codes are made for
stragglers that come in bursts, the model (B, W, lambda) of the paper: in any W rounds on end at most lambda workers are
late, and from the first to the last round in which one of them is there are at most B.

Loads, delays and the order of the tasks are the paper's and its code's; that the schemes recover every gradient under
that model is checked.
"""

from math import ceil
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, frozen_pytree, static
from simulator.gradient_code import GradientCode
from simulator.parameters import check_whole

__all__ = ["Multiplexed", "SelectiveRepeat"]


class SequentialCode(GradientCode):
    """A code for the stragglers of the model (B, W, lambda)."""

    burst: int  # B
    window: int  # W
    distinct: int  # lambda

    def __post_init__(self) -> None:
        for name in ("burst", "window", "distinct"):
            check_whole(f"{name} of a sequential gradient code", getattr(self, name))
        if self.burst >= self.window:
            raise InvalidInput(f"a burst of {self.burst} rounds must be shorter than the window, {self.window} rounds")

    @property
    def tolerance(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many are late in a round on average, rounded up, if there are as many as the model allows."""
        return ceil(self.burst * self.distinct / (self.window - 1 + self.burst))

    def check(self, workers: int) -> None:
        if self.distinct >= workers:
            raise InvalidInput(f"of {workers} workers at most {workers - 1} can be late, not {self.distinct}")


@frozen_pytree
class SelectiveRepeat(SequentialCode):
    """SR-SGC: an (n, s) code, s = ceil(B lambda / (W - 1 + B)); what is missing beyond s is repeated B rounds later.

    Delay T = B, load (s + 1) / n. B must divide W - 1. A worker that repeats does not begin what it would have done.

    Args:
        burst: B.
        window: W.
        distinct: lambda.
    """

    burst: int = static()
    window: int = static()
    distinct: int = static()
    kind = "selective-repeat"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.window - 1) % self.burst:
            raise InvalidInput(f"selective repeat needs that B = {self.burst} divides W - 1 = {self.window - 1}")

    @property
    def delay(self) -> int:
        return self.burst

    def redundancy(self, workers: int) -> float:
        return self.tolerance + 1.0

    @property
    def copies(self) -> int:
        return self.tolerance + 1

    def start(self, workers: int) -> Array:
        """Who owes its part of the gradients of the last B rounds, the oldest first. -> [B, n]."""
        return jnp.zeros((self.burst, workers), bool)

    def receive(self, memory: Array, late: Array) -> tuple[Array, Array]:
        owed = memory[0]
        repeats = owed & (jnp.cumsum(owed) <= jnp.sum(owed) - self.tolerance)
        missing = owed & ~(repeats & ~late)
        return jnp.concatenate([memory[1:], (late | repeats)[None]]), jnp.sum(missing) <= self.tolerance


class Unfinished(NamedTuple):
    """The gradients of the last W - 1 + B rounds, the newest first."""

    done: Array  # how many of its own parts a worker has sent, [W - 1 + B, n]
    enough: Array  # whether of every coded part so far enough workers have sent their sum, [W - 1 + B]


@frozen_pytree
class Multiplexed(SequentialCode):
    """M-SGC: W - 1 uncoded parts of a worker's own, repeated where they fail, and B parts in (n, lambda) codes.

    A gradient takes a worker one part in each of W - 1 + B rounds, the uncoded ones first; in the last B of them it
    repeats what it still owes, else it sends its coded part of the round. Delay T = W - 2 + B, load
    (lambda + 1)(W - 1 + B) / (n (B + (W - 1)(lambda + 1))).

    Args:
        burst: B.
        window: W.
        distinct: lambda, below n.
    """

    burst: int = static()
    window: int = static()
    distinct: int = static()
    kind = "multiplexed"

    @property
    def sums(self) -> int:
        return self.window - 1 + self.burst

    @property
    def delay(self) -> int:
        return self.sums - 1

    def redundancy(self, workers: int) -> float:
        coded = self.distinct + 1
        return coded * self.sums / (self.burst + (self.window - 1) * coded)

    @property
    def copies(self) -> None:
        return None

    def start(self, workers: int) -> Unfinished:
        return Unfinished(jnp.zeros((self.sums, workers), jnp.int32), jnp.ones(self.sums, bool))

    def receive(self, memory: Unfinished, late: Array) -> tuple[Unfinished, Array]:
        own, age, in_time = self.window - 1, jnp.arange(self.sums)[:, None], ~late[None]
        done, enough = self.start(len(late))  # the round's own gradient, and those before
        done, enough = (jnp.concatenate([new[:1], old[:-1]]) for new, old in zip((done, enough), memory, strict=True))
        coded = (age >= own) & (done >= own)
        sent = jnp.sum(coded & in_time, axis=1)
        enough = enough & ((age[:, 0] < own) | (sent >= len(late) - self.distinct))
        done = done + (in_time & ~coded).astype(done.dtype)
        return Unfinished(done, enough), jnp.all(done[-1] >= own) & enough[-1]
