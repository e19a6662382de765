"""Theorems as declarations: assumptions, the largest stepsize, the inequality of one round, and the rate that follows.

Every theorem here has the form

    V(s+) <= (1 - rate) V(s) - decrease(s) + drift(s),    V(s) = f(point(s)) - f_inf + potential(s)

for the states s, s+ before and after a round, in conditional expectation where the compressor is random. `Descent`
(rate = 0) bounds the mean of |grad f|^2 over the rounds, `Contraction` (decrease = 0) bounds V itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jax import Array

from problems import Problem
from simulator.constants import Constants, Scalar

__all__ = ["Contraction", "Descent", "Theorem", "loss_gap"]

# What a theorem may assume beyond smoothness and a lower bound: whether it holds, and how to say it.
ASSUMPTIONS: dict[str, tuple[Callable[[Constants], bool], str]] = {
    "contractive": (lambda c: c.alpha is not None, "a contractive compressor (one with an alpha)"),
    "unbiased": (lambda c: c.omega is not None, "an unbiased compressor (one with an omega)"),
    "pl": (
        lambda c: c.pl_constant is not None,
        "a constant mu with which f satisfies the Polyak-Lojasiewicz inequality",
    ),
    "strongly-convex": (
        lambda c: c.strong_convexity is not None,
        "a constant mu with which f is strongly convex",
    ),
    "convex-workers": (lambda c: c.workers_convex is not None, "convex f_i"),
    "single-worker": (lambda c: c.num_workers == 1, "a single worker (n = 1)"),
}


def at_model(state: Any) -> Array:
    """x, the point that most Lyapunov functions look at."""
    return state.x


def nothing(constants: Constants, stepsize: Scalar, state: Any) -> Scalar:
    """No potential, or no drift."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Theorem(ABC):
    """One guarantee of one method, as a declaration. Instances are hashable: the engine compiles them in.

    Attributes:
        name: by which configs ask for its stepsize, unique within a method.
        reference: paper and theorem, and whether constants are published or derived.
        formula: of the largest stepsize, to read.
        max_stepsize: constants -> the largest stepsize gamma for which the theorem holds.
        assumptions: names out of ASSUMPTIONS.
        point: state -> where V evaluates f, [d].
        potential: constants, stepsize, state -> V without its loss term, >= 0.
        drift: constants, stepsize, state -> what a round may add to V; heterogeneity or noise that keeps the method
            from converging.
        units: of V: that of the loss, where V contains f(point) - f_inf, or else of a squared distance or gradient.
    """

    name: str
    reference: str
    formula: str
    max_stepsize: Callable[[Constants], Scalar]
    assumptions: tuple[str, ...] = ()
    point: Callable[[Any], Array] = at_model
    potential: Callable[[Constants, Scalar, Any], Scalar] = nothing
    drift: Callable[[Constants, Scalar, Any], Scalar] = nothing
    units: Literal["loss", "squared-distance", "squared-gradient"] = "loss"

    bounded: ClassVar[Literal["mean_grad_norm_sq", "lyapunov"]]  # what `bound` is a bound on

    @abstractmethod
    def retained(self, constants: Constants, stepsize: Scalar) -> Scalar:
        """1 - rate."""

    @abstractmethod
    def removed(self, problem: Problem, constants: Constants, stepsize: Scalar, state: Any) -> Scalar:
        """rate times V(s)."""

    @abstractmethod
    def decrease(self, constants: Constants, stepsize: Scalar, grad_norm_sq: Array) -> Scalar:
        """What a round from a point with the given |grad f|^2 takes from V."""

    @abstractmethod
    def bound(self, constants: Constants, stepsize: Any, rounds: Any, budget: Any) -> Any:
        """What the theorem promises about `bounded` after `rounds` rounds; the arguments broadcast.

        `budget` starts at V^0 and follows budget+ = (1 - rate) budget + drift.
        """

    @property
    def uses_loss(self) -> bool:
        """Whether V contains f(point) - f_inf."""
        return self.units == "loss"

    def obstacle(self, constants: Constants) -> str | None:
        """The first assumption that fails, in words, or None where the theorem applies."""
        for assumption in self.assumptions:
            holds, words = ASSUMPTIONS[assumption]
            if not holds(constants):
                return f"it needs {words}"
        return None

    def lyapunov(self, problem: Problem, constants: Constants, stepsize: Scalar, state: Any) -> Array:
        """V(s). -> []."""
        gap = loss_gap(problem, constants, self.point(state)) if self.uses_loss else 0.0
        return gap + self.potential(constants, stepsize, state)


def half(constants: Constants) -> Scalar:
    """The share of gamma |grad f|^2 that most descent theorems promise."""
    return 0.5


@dataclass(frozen=True, kw_only=True)
class Descent(Theorem):
    """V+ <= V - progress gamma |grad f|^2 + drift, so the mean of |grad f|^2 is at most budget / (progress gamma T)."""

    progress: Callable[[Constants], Scalar] = half
    bounded = "mean_grad_norm_sq"

    def retained(self, constants: Constants, stepsize: Scalar) -> Scalar:
        return 1.0

    def removed(self, problem: Problem, constants: Constants, stepsize: Scalar, state: Any) -> Scalar:
        return 0.0

    def decrease(self, constants: Constants, stepsize: Scalar, grad_norm_sq: Array) -> Scalar:
        return self.progress(constants) * stepsize * grad_norm_sq

    def bound(self, constants: Constants, stepsize: Any, rounds: Any, budget: Any) -> Any:
        return budget / (self.progress(constants) * stepsize * rounds)


@dataclass(frozen=True, kw_only=True)
class Contraction(Theorem):
    """V+ <= (1 - rate) V + drift, so V^T is at most the budget.

    Attributes:
        rate: constants, stepsize -> the part of V that a round removes.
    """

    rate: Callable[[Constants, Scalar], Scalar]
    bounded = "lyapunov"

    def retained(self, constants: Constants, stepsize: Scalar) -> Scalar:
        return 1 - self.rate(constants, stepsize)

    def removed(self, problem: Problem, constants: Constants, stepsize: Scalar, state: Any) -> Scalar:
        return self.rate(constants, stepsize) * self.lyapunov(problem, constants, stepsize, state)

    def decrease(self, constants: Constants, stepsize: Scalar, grad_norm_sq: Array) -> Scalar:
        return 0.0

    def bound(self, constants: Constants, stepsize: Any, rounds: Any, budget: Any) -> Any:
        return budget


def loss_gap(problem: Problem, constants: Constants, x: Array) -> Array:
    """f(x) - f_inf; where the minimiser is known, f(x) - f* without cancellation. x [d] -> []."""
    if constants.minimizer is None:
        return problem.loss(x) - constants.lower_bound
    return problem.loss_difference(constants.minimizer, x - constants.minimizer)
