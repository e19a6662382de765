"""Methods whose server moves along the mean of estimates of the worker gradients: EF21 and the 3PC family."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import Problem
from simulator.compressor import Compressor
from simulator.keys import RoundKeys, round_keys
from simulator.method import Initial, Method, check_initial
from simulator.traffic import Size, Traffic, dense, nothing, traffic

__all__ = ["EstimateState", "EstimatingMethod", "Movement", "follow", "start_estimates", "start_following"]


class EstimateState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]
    estimates: Array  # g_i, what the server knows of the gradients; it moves along their mean, [n, d]
    traffic: Traffic


class Movement(NamedTuple):
    """What a worker knows when it renews its estimate; [n, d] each."""

    estimates: Array  # h = g_i
    old: Array  # y = grad f_i(x)
    new: Array  # grad f_i(x+), the target


class EstimatingMethod(Method):
    """x+ = x - gamma (1/n) sum_i g_i, then g_i+ = C_{g_i, grad f_i(x)}(grad f_i(x+)), a three point compressor (3PC).

    Richtarik, Sokolov, Gasanov, Fatkhullin, Li, Gorbunov (arXiv 2202.00998). The estimates start as the gradients, as
    what `renew` makes of zero, or as zero (`initial`).
    """

    initial: Initial

    def __post_init__(self) -> None:
        check_initial(self.initial)

    @abstractmethod
    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        """The new estimates [n, d] and the size of what was sent for them."""

    def init(self, problem: Problem, x0: Array, key: Array) -> EstimateState:
        gradients = problem.worker_gradients(x0)

        def compressed() -> tuple[Array, Size]:
            known = Movement(jnp.zeros_like(gradients), gradients, gradients)
            return self.renew(problem, known, round_keys(key))

        estimates, size = start_estimates(self.initial, gradients, compressed)
        return EstimateState(x0, gradients, estimates, traffic(size, nothing))

    def step(self, problem: Problem, stepsize: Array, state: EstimateState, key: Array) -> EstimateState:
        x = state.x - stepsize * jnp.mean(state.estimates, axis=0)
        gradients = problem.worker_gradients(x)
        known = Movement(state.estimates, state.gradients, gradients)
        estimates, size = self.renew(problem, known, round_keys(key))
        return EstimateState(x, gradients, estimates, traffic(size, dense(len(x))))


def follow(
    compressor: Compressor, key: Array, estimates: Array, targets: Array, scales: Any = 1.0
) -> tuple[Array, Size]:
    """g_i + s_i C((target_i - g_i) / s_i) of every worker, and the size of what it sends for that.

    Estimates and targets [n, d], scales [n, 1] or 1 -> [n, d].
    """
    messages = compressor.compress_rows(key, (targets - estimates) / scales)
    return estimates + scales * messages, compressor.size(messages, messages.shape[1])


def start_following(
    initial: Initial, compressor: Compressor, key: Array, targets: Array, scales: Any = 1.0
) -> tuple[Array, Size]:
    """g_i^0 and what is sent for it: the targets [n, d] in full, s_i C(target_i / s_i), or zero."""
    return start_estimates(initial, targets, lambda: follow(compressor, key, jnp.zeros_like(targets), targets, scales))


def start_estimates(
    initial: Initial, targets: Array, compressed: Callable[[], tuple[Array, Size]]
) -> tuple[Array, Size]:
    """g_i^0 and what was sent for it: the targets [n, d] in full, zero, or what `compressed` returns."""
    if initial == "zero":
        return jnp.zeros_like(targets), nothing
    return (targets, dense(targets.shape[1])) if initial == "gradient" else compressed()
