"""EF21 in plain JAX: a jitted step called from Python, and vmap over stepsizes with a scan over rounds."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from tests.benchmarks.contestants import OneByOne, Rival
from tests.benchmarks.workloads import Workload

__all__ = ["JaxScan", "JaxStep"]

Arrays = tuple[Array, ...]
Gradients = Callable[[Arrays, Array], Array]


class State(NamedTuple):
    """One run."""

    x: Array  # [d]
    estimates: Array  # g_i, [n, d]


def _start(gradients: Gradients, arrays: Arrays, dim: int) -> State:
    x = jnp.zeros(dim)
    return State(x, gradients(arrays, x))


@partial(jax.jit, static_argnums=(0, 1))
def _step(gradients: Gradients, k: int, arrays: Arrays, stepsize: Array, state: State) -> State:
    x = state.x - stepsize * jnp.mean(state.estimates, axis=0)
    differences = gradients(arrays, x) - state.estimates
    sizes = jnp.abs(differences)
    threshold = lax.top_k(sizes, k)[0][:, -1:]  # a mask is faster than a scatter to the indices
    return State(x, state.estimates + jnp.where(sizes >= threshold, differences, 0))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _scan(gradients: Gradients, k: int, rounds: int, arrays: Arrays, stepsizes: Array, states: State) -> State:
    def one_run(stepsize: Array, state: State) -> State:
        return lax.scan(lambda s, _: (_step(gradients, k, arrays, stepsize, s), None), state, length=rounds)[0]

    return jax.vmap(one_run)(stepsizes, states)


class JaxStep(OneByOne):
    """One jitted step called from a Python loop, one stepsize after another."""

    key = "c"
    label = "(c) JAX, jitted step in a Python loop"

    def start_one(self) -> State:
        model = self.workload.model
        return jax.block_until_ready(_start(model.traced_gradients, model.arrays, model.dim))

    def advance_one(self, stepsize: float, state: State, rounds: int) -> np.ndarray:
        model = self.workload.model
        for _ in range(rounds):
            state = _step(model.traced_gradients, self.workload.k, model.arrays, stepsize, state)
        return np.asarray(jax.block_until_ready(state).x)


class JaxScan(Rival):
    """vmap over stepsizes of a scan over rounds, with `lax.top_k`."""

    key = "d"
    label = "(d) JAX, vmap + scan + lax.top_k"

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.programs: dict[int, Any] = {}  # by their numbers of rounds, which are compiled in

    def start(self, rounds: int) -> tuple[Any, tuple[Arrays, Array, State]]:
        """The program, compiled before the clock starts, and what it is called with."""
        model, stepsizes = self.workload.model, jnp.asarray(self.workload.stepsizes)
        one = _start(model.traced_gradients, model.arrays, model.dim)
        states = jax.tree.map(lambda leaf: jnp.tile(leaf, (len(stepsizes),) + (1,) * leaf.ndim), one)
        arguments = jax.block_until_ready((model.arrays, stepsizes, states))
        return self._compiled(rounds, arguments), arguments

    def advance(self, state: tuple[Any, tuple[Arrays, Array, State]], rounds: int) -> np.ndarray:
        program, arguments = state
        return np.asarray(jax.block_until_ready(program(*arguments)).x)

    def _compiled(self, rounds: int, arguments: tuple[Arrays, Array, State]) -> Any:
        if rounds not in self.programs:
            gradients, k = self.workload.model.traced_gradients, self.workload.k
            self.programs[rounds] = _scan.lower(gradients, k, rounds, *arguments).compile()
        return self.programs[rounds]
