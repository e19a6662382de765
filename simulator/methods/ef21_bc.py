"""EF21-BC: EF21 with compression in both directions."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants, Scalar, theta, xi
from simulator.distortion import ARITHMETIC_MEAN, EF21_DISTORTIONS, QUADRATIC_MEAN, Distortion, cautious
from simulator.estimates import follow, start_estimates, start_following
from simulator.keys import RoundKeys, round_keys
from simulator.method import Initial, Method, check_initial
from simulator.theorem import CONTRACTIVE, Assumption, Descent
from simulator.traffic import Size, Traffic, traffic

__all__ = ["EF21BC"]

CONTRACTIVE_DOWNLINK = Assumption(
    "contractive-downlink", lambda c: c.second_alpha is not None, "a contractive compressor of the downlink"
)


class BidirectionalState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]
    estimates: Array  # h_i, which the server knows, [n, d]
    broadcast: Array  # g, which everyone knows and moves along, [d]
    traffic: Traffic


def _amplification(c: Constants) -> Scalar:
    """1 + 8 xi_2^2, how much the downlink makes of the uplink's distortion."""
    return 1 + 8 * xi(c.second_alpha) ** 2


def _theorem(distortion: Distortion, reference: str) -> Descent:
    def max_stepsize(c: Constants) -> Scalar:
        factor = 16 * xi(c.second_alpha) ** 2 + 2 * xi(c.alpha) ** 2 * _amplification(c)
        return cautious(c.smoothness, factor * distortion.smoothness(c) ** 2)

    def potential(c: Constants, stepsize: Scalar, state: BidirectionalState) -> Array:
        behind = jnp.sum((state.broadcast - jnp.mean(state.estimates, axis=0)) ** 2)
        errors = distortion.of(c, state.estimates - state.gradients)
        return stepsize * (behind / theta(c.second_alpha) + _amplification(c) / theta(c.alpha) * errors)

    return Descent(
        name=distortion.prefix,
        reference=reference,
        formula=f"1 / (L + {distortion.constant} sqrt(16 xi2^2 + 2 xi1^2 (1 + 8 xi2^2)))",
        max_stepsize=max_stepsize,
        assumptions=(CONTRACTIVE, CONTRACTIVE_DOWNLINK),
        potential=potential,
        noise_weight=lambda c, stepsize: 1 / theta(c.second_alpha) + _amplification(c) / theta(c.alpha),
    )


@frozen_pytree
class EF21BC(Method):
    """EF21-BC: x+ = x - gamma g, h_i+ = h_i + C1(grad f_i(x+) - h_i), g+ = g + C2(<h_i+> - g); both ways compressed.

    Fatkhullin, Sokolov, Gorbunov, Li, Richtarik (arXiv 2110.03294). g^0 = <h_i^0>, sent in full, in compressed form or
    not at all, as the h_i^0 are.

    Guarantees, with xi_1, theta_1 of the workers' compressor and xi_2, theta_2 of the server's, for gamma <= 1/(L + L_a
    sqrt(16 xi_2^2 + 2 xi_1^2 (1 + 8 xi_2^2))) and V = f - f_inf + (gamma/theta_2) |g - <h_i>|^2 + (gamma/theta_1) (1 +
    8 xi_2^2) G(h_i - grad f_i):  V+ <= V - (gamma/2) |grad f|^2 (derived).
    """

    compressor: Compressor
    downlink_compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "ef21-bc"
    paper = papers.BELLS
    theorems = (
        _theorem(QUADRATIC_MEAN, "EF21-BC (arXiv 2110.03294); derived"),
        _theorem(ARITHMETIC_MEAN, "EF21-BC (arXiv 2110.03294) by weighted analysis; derived"),
        *EF21_DISTORTIONS,
    )

    def __post_init__(self) -> None:
        check_initial(self.initial)

    @property
    def second_compressor(self) -> Compressor:
        return self.downlink_compressor

    def _answered(self, broadcast: Array, estimates: Array, keys: RoundKeys) -> tuple[Array, Size]:
        owed = jnp.mean(estimates, axis=0) - broadcast
        message = self.downlink_compressor.compress(keys.second_compression, owed)
        return broadcast + message, self.downlink_compressor.size(message, len(message))

    def init(self, problem: Problem, x0: Array, key: Array) -> BidirectionalState:
        gradients, keys = problem.worker_gradients(x0), round_keys(key)
        estimates, uplink = start_following(self.initial, self.compressor, keys.compression, gradients)
        mean = jnp.mean(estimates, axis=0, keepdims=True)
        broadcast, downlink = start_estimates(
            self.initial, mean, lambda: self._answered(jnp.zeros_like(x0), estimates, keys)
        )
        return BidirectionalState(x0, gradients, estimates, broadcast.reshape(x0.shape), traffic(uplink, downlink))

    def step(self, problem: Problem, stepsize: Array, state: BidirectionalState, key: Array) -> BidirectionalState:
        keys = round_keys(key)
        x = state.x - stepsize * state.broadcast
        gradients = problem.worker_gradients(x)
        estimates, uplink = follow(self.compressor, keys.compression, state.estimates, gradients)
        broadcast, downlink = self._answered(state.broadcast, estimates, keys)
        return BidirectionalState(x, gradients, estimates, broadcast, traffic(uplink, downlink))
