"""Gradient coding: any method, on workers of which some are late."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from problems import InvalidInput, Problem, frozen_pytree
from simulator import papers
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.constants import Constants
from simulator.gradient_code import GradientCode
from simulator.keys import round_keys
from simulator.method import Method
from simulator.participation import Participation
from simulator.stragglers import Stragglers
from simulator.theorem import Assumption, Theorem
from simulator.traffic import Traffic, times

__all__ = ["GradientCoding"]


class CodedState(NamedTuple):
    within: Any  # the state of the method
    late: Array  # who was late in the last round, [n]
    memory: Any  # what the code remembers
    traffic: Traffic

    @property
    def x(self) -> Array:
        """[d]."""
        return self.within.x

    @property
    def gradients(self) -> Array:
        """[n, d]."""
        return self.within.gradients


@frozen_pytree
class GradientCoding(Method):
    """A method on coded workers: where the server can recover what they send, a round is the method's; else it is lost.

    Tandon, Lei, Dimakis, Karampatziakis (arXiv 1612.03301). What a code recovers is exact, so that a recovered round is
    the method's own; that the decoded sum is the sum, to rounding, is a law of the codes. In a lost round nothing
    moves: the server asks again, which costs what a round costs. What the papers do there, to wait for more workers,
    comes to the same in rounds that count, and differs in time.

    A worker goes through the data of s + 1 workers, which its passes count. Where the workers send d floats each, the
    server needs their sum only, and a worker sends one combination. Compressed messages have no such sum, for C of a
    sum is not the sum of C: a worker then plays all of its s + 1 workers, with the memory and the draws of each, and
    sends s + 1 messages. So the method is itself under any compressor, at s + 1 times the uplink; to compress the
    combinations instead is another method (COCO-EF, arXiv 2603.16353), whose server does not have the exact sum.

    With a sequential code (arXiv 2211.13802) a round of the method takes T + 1 rounds of the workers, which T + 1
    models share in turn: what is counted is this model's part, one round's.

    Args:
        method: what is run, with all workers in every round.
        code: what the workers compute of it, and when the server has it.
        stragglers: which workers are late.
    """

    method: Method
    code: GradientCode
    stragglers: Stragglers
    kind = "gradient-coding"
    paper = papers.GRADIENT_CODING
    random = True
    theorems = ()
    no_theorem = (
        "a lost round does not make the progress that theorems promise of every round; the nearest are those of the "
        "method within, of the rounds that are recovered"
    )

    @property
    def compressor(self) -> Compressor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.compressor

    @property
    def second_compressor(self) -> Compressor:
        return self.method.second_compressor

    @property
    def components(self) -> list[Any]:
        return self.method.components

    @property
    def overlapped(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.overlapped

    def theorem(self, name: str) -> Theorem:
        """That of the method within, which may name a stepsize."""
        stated = self.method.theorem(name)

        def within(c: Constants) -> Constants:
            return c._replace(method=c.method.method)

        def assumption(given: Assumption) -> Assumption:
            return replace(given, holds=lambda c: given.holds(within(c)))

        limit = stated.max_stepsize
        assumptions = tuple(map(assumption, stated.assumptions))
        if not stated.limits_stepsize:
            return replace(stated, assumptions=assumptions)
        return replace(stated, max_stepsize=lambda c: limit(within(c)), assumptions=assumptions)

    def stationarity(self, stepsize: Array, state: CodedState) -> Array:
        return self.method.stationarity(stepsize, state.within)

    def gradient_passes(self, problem: Problem) -> float:
        return self.code.redundancy(problem.num_workers) * self.method.gradient_passes(problem)

    def workers_awaited(self, problem: Problem) -> float:
        return self.code.awaited(problem.num_workers)

    def resolved(self, problem: Problem) -> Method:
        return replace(self, method=self.method.resolved(problem))

    def check(self, problem: Problem) -> None:
        self.method.check(problem)
        self.code.check(problem.num_workers)
        self.stragglers.check(problem.num_workers)
        if any(isinstance(part, Participation) for part in self.components):
            raise InvalidInput(f"gradient coding needs all workers in every round, which {self.method.kind} does not")
        if self.method.has_clock:
            raise InvalidInput(
                f"gradient coding needs a server that waits for its workers: {self.method.kind} has a clock"
            )
        if self.code.copies is None and not isinstance(self.compressor, Identity):
            raise InvalidInput(f"the code {self.code.kind} recovers sums only: it takes methods that do not compress")
        if isinstance(self.method, GradientCoding):
            raise InvalidInput("gradient coding takes a method that is not coded already")

    def init(self, problem: Problem, x0: Array, key: Array) -> CodedState:
        first = self.method.init(problem, x0, key)
        late = self.stragglers.start(round_keys(key).stragglers, problem.num_workers)
        return CodedState(first, late, self.code.start(problem.num_workers), self._sent(first))

    def step(self, problem: Problem, stepsize: Array, state: CodedState, key: Array) -> CodedState:
        late, memory, recovered = self._rounds_of_workers(state, round_keys(key).stragglers)
        after = self.method.step(problem, stepsize, state.within, key)
        within = jax.tree.map(lambda new, old: jnp.where(recovered, new, old), after, state.within)
        return CodedState(within, late, memory, self._sent(after))

    def _rounds_of_workers(self, state: CodedState, key: Array) -> tuple[Array, Any, Array]:
        """Who is late in the last of T + 1 rounds, what the code remembers, and whether the gradient is recovered."""

        def one(turn: tuple[Array, Array, Any, Array]) -> tuple[Array, Array, Any, Array]:
            number, late, memory, _ = turn
            late = self.stragglers.draw(jax.random.fold_in(key, number), late)
            return number + 1, late, *self.code.receive(memory, late)

        first = (jnp.zeros((), jnp.int32), state.late, state.memory, jnp.asarray(False))
        # not a fori_loop, which becomes a scan, for which simulator/lanes.py has no rule
        return lax.while_loop(lambda turn: turn[0] <= self.code.delay, one, first)[1:]

    def _sent(self, within: Any) -> Traffic:
        """What the round sends: as many messages as sums, if every worker sends d floats, else one for every copy."""
        uplink = within.traffic.uplink
        summed = (uplink.floats == len(within.x)) & (uplink.exponents == 0) & (uplink.bits == 0)
        messages = self.code.sums if self.code.copies is None else jnp.where(summed, self.code.sums, self.code.copies)
        return within.traffic._replace(uplink=times(uplink, messages))
