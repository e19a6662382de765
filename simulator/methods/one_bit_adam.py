"""1-bit Adam: Adam, then momentum that is compressed both ways and scaled with a frozen variance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree
from simulator import papers
from simulator.compensation import Channel, Errors, no_errors
from simulator.compressor import Compressor
from simulator.compressors.one_bit import OneBit
from simulator.keys import RoundKeys, round_keys
from simulator.moments import MomentMethod, Moments, averaged, no_moments
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.parameters import check_whole
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["OneBitAdam"]


class OneBitAdamState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    moments: Moments
    errors: Errors  # 0 during the warm-up
    rounds: Array  # made so far, int32 []
    traffic: Traffic


class Exchanged(NamedTuple):
    """What a round's messages make of the moments and the errors."""

    moments: Moments
    errors: Errors
    traffic: Traffic


@frozen_pytree
class OneBitAdam(MomentMethod):
    """1-bit Adam: m_i = b1 m + (1 - b1) ghat_i(x), m+ = C2(e + <C1(e_i + m_i)>), x+ = x - gamma m+/(sqrt(v) + epsilon).

    Tang, Gan, Awan, Rajbhandari, Li, Lian, Liu, Zhang, He (arXiv 2102.02888). The first `warmup` rounds are those of
    Adam, sent in full; then v is frozen, and the errors are what a compressor withholds, e_i+ = e_i + m_i - C1(e_i +
    m_i) and e+ likewise. The bias of m and v is not corrected (so the authors' description and code). In their code
    every worker is the server of a part of the coordinates, with a scale of its own; here there is one server. One bit
    cannot say 0: a coordinate with v = 0, whose gradients were all 0, would move by gamma |m|/epsilon. In their code
    the user masks such coordinates; here there must be none.

    Args:
        warmup: T_w, the rounds after which the compression begins.
        compressor: C1, of the workers' messages.
        downlink_compressor: C2, of the server's answer.
        oracle: what a worker knows of its gradient.
        beta1, beta2: b1 and b2.
        epsilon: what keeps the quotient finite.
    """

    warmup: int
    compressor: Compressor = OneBit()
    downlink_compressor: Compressor = OneBit()
    oracle: GradientOracle = Exact()
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    kind = "one-bit-adam"
    paper = papers.ONE_BIT_ADAM
    theorems = ()
    no_theorem = (
        "the published one assumes that the errors of compression are bounded (from memory), which is not known of a "
        "compressor that does not contract; the nearest is ef14's nonconvex, without momentum and scaling"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("warmup", self.warmup)

    @property
    def second_compressor(self) -> Compressor:
        return self.downlink_compressor

    def init(self, problem: Problem, x0: Array, key: Array) -> OneBitAdamState:
        gradients, rounds = problem.worker_gradients(x0), jnp.zeros((), jnp.int32)
        return OneBitAdamState(x0, gradients, no_moments(x0), no_errors(gradients), rounds, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: OneBitAdamState, key: Array) -> OneBitAdamState:
        keys = round_keys(key)
        observed = self.oracle.draw(problem, state.x, state.gradients, keys.sampling)
        warm = state.rounds < self.warmup
        made = self._in_full(state, observed), self._compressed(state, observed, keys)
        moments, errors, sent = jax.tree.map(lambda one, other: jnp.where(warm, one, other), *made)
        x = state.x - stepsize * moments.direction(self.epsilon)
        return OneBitAdamState(x, problem.worker_gradients(x), moments, errors, state.rounds + 1, sent)

    def _in_full(self, state: OneBitAdamState, observed: Array) -> Exchanged:
        sent = traffic(dense(len(state.x)), dense(len(state.x)))
        return Exchanged(self.advanced(state.moments, jnp.mean(observed, axis=0)), state.errors, sent)

    def _compressed(self, state: OneBitAdamState, observed: Array, keys: RoundKeys) -> Exchanged:
        momenta = averaged(self.beta1, state.moments.first[None], observed)
        first, errors, sent = Channel(self.compressor, self.downlink_compressor).mean(momenta, state.errors, keys)
        return Exchanged(Moments(first, state.moments.second), errors, sent)
