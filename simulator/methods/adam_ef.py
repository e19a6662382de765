"""Adam on gradients that are compressed with error feedback, both ways."""

from typing import NamedTuple

from jax import Array

from problems import Problem, frozen_pytree
from simulator import papers
from simulator.compensation import Channel, Errors, no_errors
from simulator.compressor import Compressor
from simulator.compressors.one_bit import OneBit
from simulator.keys import round_keys
from simulator.moments import MomentMethod, Moments, no_moments
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.traffic import Traffic, nothing, traffic

__all__ = ["AdamEF"]


class AdamEFState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    moments: Moments
    errors: Errors
    traffic: Traffic


@frozen_pytree
class AdamEF(MomentMethod):
    """Adam with error feedback: g = C2(e + <C1(e_i + ghat_i(x))>), then m+, v+ and x+ of Adam with this g.

    The errors are what a compressor withholds, e_i+ = e_i + ghat_i - C1(e_i + ghat_i) and e+ likewise. The authors of
    1-bit Adam (Tang et al., arXiv 2102.02888) argue that it fails: v is no linear function of g, so that what is
    withheld in one round and sent in another does not cancel in it. As there, the bias of m and v is not corrected.
    That the server compresses as well, which makes the traffic that of 1-bit Adam, is unconfirmed.

    Args:
        compressor: C1, of the workers' messages.
        downlink_compressor: C2, of the server's answer.
        oracle: what a worker knows of its gradient.
        beta1, beta2: b1 and b2.
        epsilon: what keeps the quotient finite.
    """

    compressor: Compressor = OneBit()
    downlink_compressor: Compressor = OneBit()
    oracle: GradientOracle = Exact()
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    kind = "adam-ef"
    paper = papers.ONE_BIT_ADAM
    theorems = ()
    no_theorem = (
        "errors cancel over the rounds only in what is linear in the messages, which v is not; the nearest is ef14's "
        "nonconvex, for gradient descent with the same messages and a contractive compressor"
    )

    @property
    def second_compressor(self) -> Compressor:
        return self.downlink_compressor

    def init(self, problem: Problem, x0: Array, key: Array) -> AdamEFState:
        gradients = problem.worker_gradients(x0)
        return AdamEFState(x0, gradients, no_moments(x0), no_errors(gradients), traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: AdamEFState, key: Array) -> AdamEFState:
        keys = round_keys(key)
        observed = self.oracle.draw(problem, state.x, state.gradients, keys.sampling)
        gradient, errors, sent = Channel(self.compressor, self.downlink_compressor).mean(observed, state.errors, keys)
        moments = self.advanced(state.moments, gradient)
        x = state.x - stepsize * moments.direction(self.epsilon)
        return AdamEFState(x, problem.worker_gradients(x), moments, errors, sent)
