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
        random: whether a round draws more than its components (compressors, oracle, participation) do.
        theorems: all of the method's guarantees.
    """

    kind: ClassVar[str]
    paper: ClassVar[Paper | None] = None
    theorems: ClassVar[tuple[Theorem, ...]]
    random: ClassVar[bool] = False
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
        present = (part.probability(problem.num_workers) for part in self.components if isinstance(part, Participation))
        return self.gradient_oracle.passes(problem) * prod(present)

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
        """The compressors, the oracle and the participation that the method is made with."""
        values = (getattr(self, field.name) for field in fields(self))  # pyright: ignore[reportArgumentType]
        return [value for value in values if isinstance(value, Compressor | GradientOracle | Participation)]

    def check(self, problem: Problem) -> None:
        """Raise InvalidInput where a component is missing or does not fit the problem."""
        if not hasattr(self, "compressor"):
            raise InvalidInput(f"the method {self.kind} has no compressor; one that compresses nothing has Identity()")
        for part in self.components:
            if isinstance(part, Compressor):
                part.check(problem.dim, problem.num_workers)
            elif isinstance(part, Participation):
                part.check(problem.num_workers)
            else:
                part.check(problem)

    def theorem(self, name: str) -> Theorem:
        """The theorem called `name`.

        Raises:
            InvalidInput: the method has none of that name.
        """
        for theorem in self.theorems:
            if theorem.name == name:
                return theorem
        raise unknown_name(f"theorem of {self.kind}", name, (theorem.name for theorem in self.theorems))


def check_initial(initial: object) -> None:
    """Raise InvalidInput where `initial` is not one of INITIALS."""
    if initial not in INITIALS:
        raise unknown_name("initial estimates", str(initial), INITIALS)
