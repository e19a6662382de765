"""CO2: local steps while the differences of the round before are on their way."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.compressors.identity import Identity
from simulator.inner_optimizers import SGD, InnerOptimizer
from simulator.keys import round_keys
from simulator.local_steps import OuterMethod
from simulator.norms import norm
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.parameters import check_number, check_whole
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["CO2"]


class CO2State(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    velocity: Array  # u, of the outer momentum, [d]
    travelling: Array  # mean differences that have not arrived, the oldest first, [s, d]
    origins: Array  # the models that these began at, [s, d]
    memory: Any  # of the inner optimisers
    errors: Array  # e_i, what compression has withheld so far, [n, d]
    traffic: Traffic


@frozen_pytree
class CO2(OuterMethod):
    """CO2: D^t = <C(x^t - x_i + e_i)> after H local steps from x^t, u+ = clip(m u + D^(t-1) / Lambda), x+ = x - eta u+.

    Sun et al. (arXiv 2401.16265): the differences of a round travel during the next one, so that the server moves along
    those of the round before; D^(-1) = 0. Every coordinate of u+ is clipped to [-clip, clip]. Lambda >= 1 penalises the
    gap between the model that a difference was made at and the one that it moves. The places of m, Lambda and eta are
    those of the authors' code, where Lambda is a given number, 1 by default, and the clipped u+ is computed but not
    used; here it is. The paper measures Lambda in every round, by a formula that we could not check. Where none is
    given we take 1 + |x^t - x^(t-1)| / |D^(t-1)|: how far the model has moved since, in units of the step, in the
    manner of gap-aware penalties (Barkai et al., arXiv 1909.10802; from memory).

    A delay of 0 is the synchronous method, SlowMo (arXiv 1910.00643; from memory), where the gap is 0 and Lambda = 1;
    with m = 0, eta = 1 and no clipping as well it is local SGD. Compressor and feedback are an addition.

    Args:
        local_steps: H, in a round.
        delay: s, how many rounds a difference travels; 1 in CO2.
        outer_stepsize: eta > 0.
        outer_momentum: m, in [0, 1).
        penalty: Lambda >= 1 for all rounds; without one it is measured in every round.
        clip: of the coordinates of u, > 0; without one nothing is clipped.
        feedback: how much of what the compressor has withheld joins the next difference: 0 nothing, 1 all of it.
        inner: the optimiser of the local steps.
    """

    compressor: Compressor = Identity()
    local_steps: int = static(default=10)
    delay: int = static(default=1)
    outer_stepsize: float = 1.0
    outer_momentum: float = 0.5
    penalty: float | None = None
    clip: float | None = None
    feedback: float = 0.0
    inner: InnerOptimizer = SGD()
    oracle: GradientOracle = Exact()
    kind = "co2"
    paper = papers.CO2
    theorems = ()
    no_theorem = (
        "the paper's own ignores the clipping, and the catalogue has none for differences that arrive late; without "
        "delay, momentum and clipping, and with one local step of SGD, it is GD"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("delay", self.delay, least=0)
        if self.penalty is not None:
            check_number("penalty", self.penalty, "[1, inf)")
        if self.clip is not None:
            check_number("clip", self.clip, "(0, inf)")

    @property
    def overlapped(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The differences of a round travel during all local steps of the next one."""
        return 1.0 if self.delay else 0.0

    def init(self, problem: Problem, x0: Array, key: Array) -> CO2State:
        gradients = problem.worker_gradients(x0)
        zeros, still = jnp.zeros_like(gradients), jnp.zeros_like(x0)
        none, here = (jnp.broadcast_to(vector, (self.delay, len(x0))) for vector in (still, x0))
        memory = self.inner.start(zeros)
        return CO2State(x0, gradients, still, none, here, memory, zeros, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: CO2State, key: Array) -> CO2State:
        keys = round_keys(key)
        workers = self.descend_from(problem, stepsize, state.x, state.memory, keys.sampling)
        sent = self.exchange(keys.compression, state.x, workers.models, state.errors)
        travelling = jnp.concatenate([state.travelling, sent.mean[None]])
        origins = jnp.concatenate([state.origins, state.x[None]])
        pull = travelling[0] / self._gap(state.x - origins[0], travelling[0])
        velocity = self._clipped(self.outer_momentum * state.velocity + pull)
        x = state.x - self.outer_stepsize * velocity
        gradients, size = problem.worker_gradients(x), traffic(sent.size, dense(len(x)))
        return CO2State(x, gradients, velocity, travelling[1:], origins[1:], workers.memory, sent.errors, size)

    def _gap(self, moved: Array, difference: Array) -> Array | float:
        """Lambda, of a difference that arrives when the model has moved since. [d], [d] -> [1]."""
        if self.penalty is not None:
            return self.penalty
        length = norm(difference)
        return 1 + norm(moved) / jnp.where(length > 0, length, 1)

    def _clipped(self, velocity: Array) -> Array:
        return velocity if self.clip is None else jnp.clip(velocity, -self.clip, self.clip)
