"""Deep Gradient Compression: Top-k with error feedback and momentum at the workers."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, Problem, frozen_pytree, static
from simulator import papers
from simulator.compressors.top_k import TopK
from simulator.keys import round_keys
from simulator.method import Method
from simulator.norms import norm
from simulator.oracle import GradientOracle
from simulator.oracles.exact import Exact
from simulator.parameters import check_number, check_whole
from simulator.selection import largest
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["DGC"]

# Of the warm-up. With a last share of 0.001 they send 25, 6.3, 1.6 and 0.4 percent of the coordinates.
STAGES = 4


class DGCState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, exact, [n, d]
    momenta: Array  # u_i; the gradients themselves without momentum correction, [n, d]
    owed: Array  # v_i, what the workers have gathered and not sent, [n, d]
    velocity: Array  # along which x has moved; it has a momentum only without momentum correction, [d]
    rounds: Array  # made so far, int32 []
    traffic: Traffic


@frozen_pytree
class DGC(Method):
    """DGC: u_i+ = m u_i + g_i, v_i+ = v_i + u_i+, x+ = x - gamma <v_i+ on S_i>, then u_i+ = v_i+ = 0 on S_i.

    Lin, Han, Mao, Wang, Dally (arXiv 1712.01887). S_i are the k largest entries of v_i+, chosen exactly, where the
    authors' code estimates a threshold from a sample. Of the momenta that they describe it is the heavy ball's, not
    Nesterov's. Each of its four parts can be left out, so that its effect is measured:

    Momentum correction is momentum at the workers. Without it (equation 5 of the paper) they gather gradients and the
    server has the momentum: v_i+ = v_i + g_i, u+ = m u + <v_i+ on S_i>, x+ = x - gamma u+.
    Local clipping shortens g_i, as a part g_i/n of the mean gradient, to the norm clip/sqrt(n), so that the mean of n
    alike may have the norm sqrt(n) clip. (The gradients of the paper's nodes are such parts; those of the code are not,
    and are clipped in other ways.)
    Momentum factor masking is u_i+ = 0 on S_i. There is no u_i to mask without momentum correction.
    Warm-up lets k fall to its last value over four stages of equal length, in which the share k/d is the last one to
    the powers 1/5, ..., 4/5, rounded to a whole k (the code rounds up). For a last share of 0.001 they are near the
    paper's 25, 6.25, 1.5625 and 0.4 percent.

    Without momentum, clipping and warm-up it is EF14. Where everything is sent, masking forgets the momentum in every
    round, which is gradient descent; without masking it is the heavy ball.

    Args:
        compressor: Top-k with the last k.
        momentum: m.
        momentum_correction: whether the momentum is the workers'.
        clip: the threshold of a mean of unlike gradients, from which that of each worker follows; none for no clipping.
        momentum_masking: whether a worker forgets its momentum where it has sent.
        warmup: the rounds of the warm-up; 0 for none.
        oracle: what a worker knows of its gradient.
    """

    compressor: TopK  # pyright: ignore[reportIncompatibleVariableOverride]
    momentum: float = 0.9
    momentum_correction: bool = static(default=True)
    clip: float | None = None
    momentum_masking: bool = static(default=True)
    warmup: int = 0
    oracle: GradientOracle = Exact()
    kind = "dgc"
    paper = papers.DGC
    theorems = ()
    no_theorem = (
        "masking and clipping discard what error feedback would send later, so that no perturbed iterate follows an "
        "uncompressed method; without momentum, clipping and warm-up it is ef14, whose theorems then hold"
    )

    def __post_init__(self) -> None:
        if not isinstance(self.compressor, TopK):
            raise InvalidInput(f"DGC sends the largest entries: its compressor must be top-k, not {self.compressor!r}")
        check_number("momentum", self.momentum, "[0, 1)")
        check_whole("warmup", self.warmup, least=0)
        if self.clip is not None:
            check_number("clip", self.clip, "(0, inf)")

    def init(self, problem: Problem, x0: Array, key: Array) -> DGCState:
        gradients, rounds = problem.worker_gradients(x0), jnp.zeros((), jnp.int32)
        none = jnp.zeros_like(gradients)
        return DGCState(x0, gradients, none, none, jnp.zeros_like(x0), rounds, traffic(nothing, nothing))

    def step(self, problem: Problem, stepsize: Array, state: DGCState, key: Array) -> DGCState:
        at_workers, at_server = (self.momentum, 0.0) if self.momentum_correction else (0.0, self.momentum)
        observed = self.oracle.draw(problem, state.x, state.gradients, round_keys(key).sampling)
        momenta = at_workers * state.momenta + self._clipped(observed)
        owed = state.owed + momenta
        top = self._top(state.rounds, len(state.x))
        chosen = largest(owed, top.k)
        messages = jnp.where(chosen, owed, 0)
        velocity = at_server * state.velocity + jnp.mean(messages, axis=0)
        x = state.x - stepsize * velocity
        return DGCState(
            x,
            problem.worker_gradients(x),
            jnp.where(chosen, 0, momenta) if self.momentum_masking else momenta,
            owed - messages,
            velocity,
            state.rounds + 1,
            traffic(top.size(messages, len(x)), dense(len(x))),
        )

    def _clipped(self, gradients: Array) -> Array:
        if self.clip is None:
            return gradients
        longest = self.clip * len(gradients) ** 0.5  # g_i/n to clip/sqrt(n)
        return gradients * (longest / jnp.maximum(norm(gradients), longest))

    def _top(self, rounds: Array, dim: int) -> TopK:
        """Top-k with the k of this round."""
        last = self.compressor.k
        stage = STAGES * rounds // jnp.maximum(self.warmup, 1) + 1
        falling = jnp.round(dim * (last / dim) ** (stage / (STAGES + 1))).astype(jnp.int32)
        k: Any = jnp.where(rounds < self.warmup, falling, last)
        return TopK(k)
