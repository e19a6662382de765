"""Streaming DiLoCo: the model is exchanged in fragments, one after another, while the workers go on."""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.inner_optimizers import AdamW, InnerOptimizer
from simulator.keys import round_keys
from simulator.local_steps import OuterMethod, Workers
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.parameters import check_number, check_whole
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["StreamingDiLoCo"]


class StreamingState(NamedTuple):
    x: Array  # the global model, [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    velocity: Array  # u, of the outer momentum, [d]
    models: Array  # x_i, of the workers, [n, d]
    memory: Any  # of the inner optimisers
    errors: Array  # e_i, what compression has withheld so far, [n, d]
    round: Array  # int32 []
    traffic: Traffic


@frozen_pytree
class StreamingDiLoCo(OuterMethod):
    """Streaming DiLoCo: fragment p of the model is exchanged every H steps, and arrives tau steps later.

    D = (1/n) sum_i C(x - x_i + e_i) on the coordinates of the fragment; tau local steps later, there,
    u+ = m u + D, x+ = x - eta (D + m u+) and x_i <- alpha x_i + (1 - alpha) x+. Douillard et al. (arXiv 2501.18512).
    The fragments are strided (coordinate j is of fragment j mod P), and one is sent every H/P steps. P = 1, tau = 0 and
    alpha = 0 is DiLoCo.

    A round is H/P local steps in which one fragment is sent, after the first H/P - tau of them, and arrives at the end:
    tau is at most H/P, so that one fragment travels at a time. A link has max(tau, 1) local steps to carry its d/P
    coordinates, where that of DiLoCo has one for d.

    From the paper: the schedule, alpha = 0 and 1/2, 4 bits a coordinate. From memory: that 3 of these are an exponent
    (`fp4`), and eta and m. Public code agrees on the update; some renews x when a fragment is sent, which nobody sees
    before it arrives. The published method has no error feedback; feedback is an addition.

    Args:
        local_steps: H, between two exchanges of one fragment; a multiple of P.
        fragments: P, which divides d.
        overlap: tau, from 0 to H/P: how many local steps the workers take while a fragment travels.
        mixing: alpha, in [0, 1): how much of its own model a worker keeps where a fragment arrives.
        outer_stepsize: eta > 0.
        outer_momentum: m, in [0, 1).
        feedback: how much of what the compressor has withheld joins the next difference: 0 nothing, 1 all of it.
        inner: the optimiser of the local steps.
    """

    compressor: Compressor = Identity()
    local_steps: int = static(default=10)
    fragments: int = static(default=2)
    overlap: int = static(default=0)
    mixing: float = 0.0
    outer_stepsize: float = 0.7
    outer_momentum: float = 0.9
    feedback: float = 0.0
    inner: InnerOptimizer = AdamW()
    oracle: GradientOracle = Exact()
    kind = "streaming-diloco"
    paper = papers.STREAMING_DILOCO
    theorems = ()
    no_theorem = (
        "none is known for fragments that arrive late; with one fragment and no overlap it is DiLoCo, and with one "
        "local step of SGD as well, outer stepsize 1 and no momentum GD, or EF14 with a compressor and feedback"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("fragments", self.fragments)
        check_whole("overlap", self.overlap, least=0)
        check_number("mixing", self.mixing, "[0, 1)")
        if self.local_steps % self.fragments:
            raise InvalidInput(f"{self.local_steps} local_steps are no multiple of {self.fragments} fragments")
        if self.overlap > self.interval:
            told = f"{self.local_steps} local_steps / {self.fragments} fragments"
            raise InvalidInput(f"overlap must be at most {self.interval}, {told}, not {self.overlap}")

    @property
    def interval(self) -> int:
        """H/P, the local steps of a round."""
        return self.local_steps // self.fragments

    @property
    def overlapped(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A fragment travels during tau of the round's local steps."""
        return self.overlap / self.interval

    def init(self, problem: Problem, x0: Array, key: Array) -> StreamingState:
        gradients = problem.worker_gradients(x0)
        models, zeros = jnp.broadcast_to(x0, gradients.shape), jnp.zeros_like(gradients)
        memory, begin = self.inner.start(zeros), jnp.zeros((), jnp.int32)
        still = jnp.zeros_like(x0)
        return StreamingState(x0, gradients, still, models, memory, zeros, begin, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: StreamingState, key: Array) -> StreamingState:
        keys, sending = round_keys(key), self.interval - self.overlap
        own = partial(self._fragment, state.round)
        workers = Workers(state.models, state.memory)
        workers = self.descend(problem, stepsize, workers, keys.sampling, 0, sending)
        sent = self.exchange(keys.compression, own(state.x), own(workers.models), own(state.errors))
        models, memory = self.descend(problem, stepsize, workers, keys.sampling, sending, self.interval)
        moved, velocity = self.nesterov(own(state.x), sent.mean, own(state.velocity))

        put = partial(self._put, state.round)
        x, errors = put(state.x, moved), put(state.errors, sent.errors)
        mixed = self.mixing * own(models) + (1 - self.mixing) * moved[None]
        gradients, size = problem.worker_gradients(x), traffic(sent.size, dense(len(moved)))
        velocity = put(state.velocity, velocity)
        return StreamingState(x, gradients, velocity, put(models, mixed), memory, errors, state.round + 1, size)

    def _fragment(self, number: Array, values: Array) -> Array:
        """The coordinates that are sent in this round. [], [..., d] -> [..., d / P]."""
        strided = values.reshape(*values.shape[:-1], -1, self.fragments)
        return jnp.take(strided, number % self.fragments, axis=-1)

    def _put(self, number: Array, values: Array, fragment: Array) -> Array:
        """The values with this fragment in its place. [], [..., d], [..., d / P] -> [..., d]."""
        here = jnp.arange(values.shape[-1]) % self.fragments == number % self.fragments
        return jnp.where(jnp.broadcast_to(here, values.shape), jnp.repeat(fragment, self.fragments, axis=-1), values)

    def gradient_passes(self, problem: Problem) -> float:
        return super().gradient_passes(problem) / self.fragments

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if problem.dim % self.fragments:
            raise InvalidInput(f"fragments = {self.fragments} must divide the dimension d = {problem.dim}")
        self.compressor.check(problem.dim // self.fragments, problem.num_workers)
