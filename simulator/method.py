"""The abstract method: what every worker and the server remember, and what a round does to it."""

from abc import ABC, abstractmethod
from dataclasses import fields
from math import prod
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jax import Array

from problems import Problem
from problems.errors import InvalidInput, unknown_name
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.papers import Paper
from simulator.participation import Participation
from simulator.theorem import Theorem
from simulator.working_times import WorkingTimes

__all__ = ["Initial", "Method", "check_initial"]

Initial = Literal["gradient", "compressed", "zero"]
INITIALS = ("gradient", "compressed", "zero")


class Method(ABC):
    """A distributed method; subclasses are frozen pytrees, one file each, and `kind` is the name that configs use.

    A state is a NamedTuple with at least `x`, the model [d], `gradients`, the exact worker gradients at x [n, d], and
    `traffic`, what the round that led to it has sent: every round evaluates the gradients once, at its new x, so that
    measuring and checking cost no evaluation of their own.

    Attributes:
        paper: where the method comes from.
        compressor: of the uplink; Identity for a method without one.
        random: whether a round draws more than its components (compressors, oracle, participation, times) do.
        theorems: all of the method's guarantees.
        overlapped: the part of its computing that a worker does while messages travel; only simulated time asks for it.
        no_theorem: of a method without any, why, and what comes nearest, in words that complete "no theorem applies,
            because ...".
    """

    kind: ClassVar[str]
    paper: ClassVar[Paper | None] = None
    theorems: ClassVar[tuple[Theorem, ...]]
    no_theorem: ClassVar[str | None] = None
    random: ClassVar[bool] = False
    overlapped: float = 0.0
    compressor: Compressor

    @abstractmethod
    def init(self, problem: Problem, x0: Array, key: Array) -> Any:
        """The state of round 0. x0 [d]."""

    @abstractmethod
    def step(self, problem: Problem, stepsize: Array, state: Any, key: Array) -> Any:
        """The state after one round. stepsize []; the key is this round's own."""

    def stationarity(self, stepsize: Array, state: Any) -> Array:
        """What the method drives to zero: |grad f(x)|^2, unless its objective has another measure. -> []."""
        return jnp.sum(jnp.mean(state.gradients, axis=0) ** 2)

    def gradient_passes(self, problem: Problem) -> float:
        """Passes over its data that a worker makes in a round for its gradients, expected, on average over the workers.

        A full gradient is one pass, a minibatch a part of one; a worker that does not take part makes none.
        """
        return self.gradient_oracle.passes(problem) * self._presence(problem.num_workers)

    def workers_computing(self, problem: Problem) -> float:
        """How many workers compute in a round, expected: those that take part."""
        return problem.num_workers * self._presence(problem.num_workers)

    def _presence(self, workers: int) -> float:
        return prod(part.probability(workers) for part in self.components if isinstance(part, Participation))

    def workers_awaited(self, problem: Problem) -> float:
        """For how many of them a round waits, expected: for all of them, where it is synchronous."""
        return self.workers_computing(problem)

    def elapsed(self, state: Any) -> Array:
        """The simulated time since round 0, on the method's own clock; 0 for a method without one. -> []."""
        return jnp.zeros(())

    @property
    def has_clock(self) -> bool:
        """Whether it says how much time has elapsed."""
        return type(self).elapsed is not Method.elapsed

    @property
    def second_compressor(self) -> Compressor:
        """Of a worker's second message or of the server's, for a method that has one."""
        return Identity()

    @property
    def gradient_oracle(self) -> GradientOracle:
        """Of the gradients that the workers use, the component of that type, or exact ones."""
        return next((part for part in self.components if isinstance(part, GradientOracle)), Exact())

    def resolved(self, problem: Problem) -> "Method":
        """The method with the parameters filled in that theory chooses; on the host, before a run."""
        return self

    @property
    def deterministic(self) -> bool:
        """Whether runs with different seeds are the same."""
        return not self.random and all(part.deterministic for part in self.components)

    @property
    def components(self) -> list[Any]:
        """The compressors, the oracle, the participation and the working times that the method is made with."""
        values = (getattr(self, field.name) for field in fields(self))  # pyright: ignore[reportArgumentType]
        kinds = Compressor | GradientOracle | Participation | WorkingTimes
        return [value for value in values if isinstance(value, kinds)]

    def check(self, problem: Problem) -> None:
        """Raise InvalidInput where a component is missing or does not fit the problem."""
        if not hasattr(self, "compressor"):
            raise InvalidInput(f"the method {self.kind} has no compressor; one that compresses nothing has Identity()")
        for part in self.components:
            if isinstance(part, Compressor):
                part.check(problem.dim, problem.num_workers)
            elif isinstance(part, Participation | WorkingTimes):
                part.check(problem.num_workers)
            else:
                part.check(problem)

    def theorem(self, name: str) -> Theorem:
        """The theorem called `name`.

        Raises:
            InvalidInput: the method has none of that name.
        """
        if not self.theorems:
            raise InvalidInput(f"{self.kind} has no theorem that could name a stepsize; give a number")
        for theorem in self.theorems:
            if theorem.name == name:
                return theorem
        raise unknown_name(f"theorem of {self.kind}", name, (theorem.name for theorem in self.theorems))


def check_initial(initial: object) -> None:
    """Raise InvalidInput where `initial` is not one of INITIALS."""
    if initial not in INITIALS:
        raise unknown_name("initial estimates", str(initial), INITIALS)
