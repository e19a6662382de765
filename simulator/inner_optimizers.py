"""Inner optimisers: how workers turn the gradients at their own models into steps, between two exchanges."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree
from simulator.moments import Moments, check_moments, no_moments
from simulator.parameters import check_number

__all__ = ["SGD", "AdamW", "InnerOptimizer"]


class InnerOptimizer(ABC):
    """A first-order optimiser that every worker runs by itself; subclasses are frozen pytrees."""

    kind: ClassVar[str]

    @abstractmethod
    def start(self, models: Array) -> Any:
        """What is remembered before the first step. Of models [n, d] -> pytree."""

    @abstractmethod
    def step(self, stepsize: Array, models: Array, gradients: Array, memory: Any) -> tuple[Array, Any]:
        """The models after a step, and what is remembered then. [], [n, d], [n, d], pytree -> [n, d], pytree."""


@frozen_pytree
class SGD(InnerOptimizer):
    """x_i+ = x_i - gamma ghat_i."""

    kind = "sgd"

    def start(self, models: Array) -> tuple[()]:
        return ()

    def step(self, stepsize: Array, models: Array, gradients: Array, memory: tuple[()]) -> tuple[Array, tuple[()]]:
        return models - stepsize * gradients, memory


class AdamWMemory(NamedTuple):
    moments: Moments  # of every worker, [n, d]
    steps: Array  # int32 []


@frozen_pytree
class AdamW(InnerOptimizer):
    """m+ = b1 m + (1 - b1) ghat, v+ = b2 v + (1 - b2) ghat^2, x+ = x - gamma (mhat / (sqrt(vhat) + epsilon) + decay x).

    Of every worker, with the bias corrections mhat = m+ / (1 - b1^t) and vhat = v+ / (1 - b2^t) at its step t. Kingma,
    Ba (arXiv 1412.6980); Loshchilov, Hutter (arXiv 1711.05101). The decay is 0 here by default: what it adds to f would
    move the minimiser.

    Args:
        beta1: b1, in [0, 1).
        beta2: b2, in [0, 1).
        epsilon: > 0.
        decay: of the weights, >= 0, decoupled from the gradients.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0
    kind = "adamw"

    def __post_init__(self) -> None:
        check_moments(self)
        check_number("decay", self.decay, "[0, inf)")

    def start(self, models: Array) -> AdamWMemory:
        return AdamWMemory(no_moments(models), jnp.zeros((), jnp.int32))

    def step(self, stepsize: Array, models: Array, gradients: Array, memory: AdamWMemory) -> tuple[Array, AdamWMemory]:
        steps, moments = memory.steps + 1, memory.moments.advanced(self.beta1, self.beta2, gradients)
        scaled = moments.corrected(self.beta1, self.beta2, steps).direction(self.epsilon)
        return models - stepsize * (scaled + self.decay * models), AdamWMemory(moments, steps)
