"""Running a method without the engine: round after round in a small program, for tests of methods alone."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from instances import instance
from references import START

from simulator import Method

__all__ = ["Walk", "walk"]


class Walk(NamedTuple):
    """Where a run ends, and the bits that a worker has sent and received, at the start and by the end."""

    x: np.ndarray  # [d]
    uplink: list[float]
    downlink: list[float]


@jax.jit
def _walk(problem: Any, method: Method, gamma: Any, rounds: Any, key: Any) -> Any:
    def bits(state: Any) -> Any:
        return jnp.array([size.total(32) for size in state.traffic])

    def step(t: Any, carry: Any) -> Any:
        state, sent = carry
        state = method.step(problem, gamma, state, jax.random.fold_in(key, t))
        return state, sent + bits(state)

    first = method.init(problem, jnp.asarray(START), jax.random.fold_in(key, 0))
    last, sent = jax.lax.fori_loop(1, rounds + 1, step, (first, bits(first)))
    return last.x, bits(first), sent


def walk(name: str, method: Method, gamma: float, rounds: int = 200, seed: int = 5) -> Walk:
    """The method on the instance called `name`, from START."""
    problem = instance(name).problem
    x, first, last = _walk(problem, method.resolved(problem), gamma, rounds, jax.random.key(seed))
    up, down = zip(first.tolist(), last.tolist(), strict=True)
    return Walk(np.asarray(x), list(up), list(down))
