"""The abstract method: what every worker and the server remember, and what a round does to it."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem
from problems.errors import unknown_name
from simulator.compressor import FLOAT_BITS, Compressor
from simulator.theorem import Theorem

__all__ = ["Bits", "Initial", "Method", "check_initial", "initial_bits", "initial_estimates"]

Initial = Literal["gradient", "compressed", "zero"]
INITIALS = ("gradient", "compressed", "zero")


class Bits(NamedTuple):
    """Bits between one worker and the server."""

    initial: int  # sent by the worker before the first round
    uplink: int  # sent by the worker in a round
    downlink: int  # sent to the worker in a round


class Method(ABC):
    """A distributed method; subclasses are frozen pytrees, one file each, and `kind` is the name that configs use.

    A state is a NamedTuple with at least `x`, the model [d], and `gradients`, the exact worker gradients at x [n, d]:
    every round evaluates them once, at its new x, so that measuring and checking cost no evaluation of their own.

    Attributes:
        compressor: of the uplink; Identity for a method without one.
        theorems: all of the method's guarantees.
    """

    kind: ClassVar[str]
    theorems: ClassVar[tuple[Theorem, ...]]
    compressor: Compressor

    @abstractmethod
    def init(self, problem: Problem, x0: Array, key: Array) -> Any:
        """The state of round 0. x0 [d]."""

    @abstractmethod
    def step(self, problem: Problem, stepsize: Array, state: Any, key: Array) -> Any:
        """The state after one round. stepsize []; the key is this round's own."""

    @abstractmethod
    def bits(self, dim: int) -> Bits:
        """What one worker exchanges with the server."""

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


def initial_estimates(initial: Initial, compressor: Compressor, gradients: Array, key: Array) -> Array:
    """g_i^0: the worker gradients, sent in full or compressed, or zero. [n, d] -> [n, d]."""
    if initial == "zero":
        return jnp.zeros_like(gradients)
    return gradients if initial == "gradient" else compressor.compress_rows(key, gradients)


def initial_bits(initial: Initial, compressor: Compressor, dim: int) -> int:
    """Bits that one worker sends for its g_i^0."""
    return {"zero": 0, "gradient": FLOAT_BITS * dim, "compressed": compressor.bits(dim)}[initial]
