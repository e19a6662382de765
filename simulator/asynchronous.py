"""Methods whose workers do local steps in their own time, and whose server aggregates what has arrived."""

from abc import abstractmethod
from dataclasses import field, replace
from typing import Literal, NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import Problem, frozen_pytree, static
from problems.errors import unknown_name
from simulator.arrivals import pass_time
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.inner_optimizers import SGD
from simulator.keys import round_keys
from simulator.local_steps import LocalMethod, Workers
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.parameters import check_number
from simulator.traffic import Traffic, dense, nothing, times, traffic
from simulator.working_times import FixedTimes, WorkingTimes

__all__ = ["AsynchronousMethod", "AsynchronousState", "Weighting"]

Weighting = Literal["unbiased", "identical"]
WEIGHTINGS = ("unbiased", "identical")


class AsynchronousState(NamedTuple):
    x: Array  # of the server, [d]
    gradients: Array  # of the workers at x, [n, d]
    starts: Array  # s_i, the models from which the workers' present works began, [n, d]
    errors: Array  # e_i, what compression has withheld so far, [n, d]
    remaining: Array  # the time until the present works are done, [n]
    elapsed: Array  # the time since the start, in float64, []
    traffic: Traffic


@frozen_pytree
class AsynchronousMethod(LocalMethod):
    """x+ = x - eta sum_i w_i C(e_i + Delta_i) over the workers that arrive in a round; each of them then begins at x+.

    Delta_i = s_i - y_i^H is what H local steps y^{h+1} = y^h - gamma ghat_i(y^h) from y^0 = s_i, where the worker
    began, have changed; e_i+ = e_i + Delta_i - C(e_i + Delta_i) for those who arrive. A subclass says how long a round
    lasts. The frame, rounds that end when the server aggregates and weights that are random by who arrives, is that of
    Fraboni et al. (arXiv 2206.10189); its formulas are from memory, the expected weights derived.

    Attributes:
        weights: w_i, filled in by `resolved`. [n].
    """

    compressor: Compressor = field(default=Identity(), kw_only=True)
    oracle: GradientOracle = field(default=Exact(), kw_only=True)
    times: WorkingTimes = field(default=FixedTimes(), kw_only=True)
    local_steps: int = static(default=1, kw_only=True)
    server_stepsize: float = field(default=1.0, kw_only=True)
    weighting: Weighting = static(default="unbiased", kw_only=True)
    weights: Array | None = field(default=None, kw_only=True)
    inner = SGD()
    feedback = 1.0
    theorems = ()
    no_theorem = (
        "the catalogue has none for local steps from stale models (that of arXiv 2206.10189 is not in it); where all "
        "workers arrive in every round and take one step it is GD, and with a compressor EF14, whose theorems smooth "
        "and nonconvex come nearest"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("the server's stepsize", self.server_stepsize, "(0, inf)")
        if self.weighting not in WEIGHTINGS:
            raise unknown_name("weighting", str(self.weighting), WEIGHTINGS)

    @abstractmethod
    def span(self, remaining: Array) -> Array:
        """How long the round lasts, given the times until the workers arrive. [n] -> []."""

    @abstractmethod
    def arrival_chances(self, workers: int) -> np.ndarray:
        """P_i, the share of the rounds at whose end worker i has arrived, in the long run. -> [n]."""

    def expected_weights(self, workers: int) -> np.ndarray:
        """q_i = w_i P_i, with which f_i counts in the long run; sum_i q_i = 1. -> [n]."""
        chances = self.arrival_chances(workers)
        return chances * self._weights(chances)

    def _weights(self, chances: np.ndarray) -> np.ndarray:
        """w_i = 1/(n P_i), or the same for all. P_i [n] -> [n]."""
        return (
            1 / (len(chances) * chances) if self.weighting == "unbiased" else np.full_like(chances, 1 / chances.sum())
        )

    def resolved(self, problem: Problem) -> Self:
        return replace(self, weights=jnp.asarray(self._weights(self.arrival_chances(problem.num_workers))))

    def gradient_passes(self, problem: Problem) -> float:
        return float(np.mean(self.arrival_chances(problem.num_workers))) * super().gradient_passes(problem)

    def elapsed(self, state: AsynchronousState) -> Array:
        return state.elapsed

    def init(self, problem: Problem, x0: Array, key: Array) -> AsynchronousState:
        gradients = problem.worker_gradients(x0)
        starts = jnp.broadcast_to(x0, gradients.shape)
        remaining = self.times.draw(round_keys(key).participation, len(gradients)).astype(x0.dtype)
        sent = traffic(nothing, nothing)
        return AsynchronousState(
            x0, gradients, starts, jnp.zeros_like(gradients), remaining, jnp.zeros((), float), sent
        )

    def step(self, problem: Problem, stepsize: Array, state: AsynchronousState, key: Array) -> AsynchronousState:
        assert self.weights is not None, "resolved() has filled them in"
        keys, span = round_keys(key), self.span(state.remaining)
        following = self.times.draw(keys.participation, len(state.remaining)).astype(span.dtype)
        arrived, remaining = pass_time(state.remaining, span, following)
        arriving, began = arrived[:, None], Workers(state.starts, self.inner.start(state.starts))
        models = self.descend(problem, stepsize, began, keys.sampling).models
        sent = self.exchange(keys.compression, state.starts, models, state.errors)
        weighted = jnp.where(arriving, self.weights[:, None] * sent.messages, 0)
        x = state.x - self.server_stepsize * jnp.sum(weighted, axis=0)
        return AsynchronousState(
            x=x,
            gradients=problem.worker_gradients(x),
            starts=jnp.where(arriving, x[None, :], state.starts),
            errors=jnp.where(arriving, sent.errors, state.errors),
            remaining=remaining,
            elapsed=state.elapsed + span,
            traffic=traffic(times(sent.size, arrived), times(dense(len(x)), arrived)),
        )
