"""What a sweep will take, before it is computed: time, memory and disk.

**Time** of a batch: rounds x max(work / speed, what the operations of a round take to begin), and once for every
program its compilation. The work of a round is counted in multiplications, as `simulator/devices.py` does: every number
of the problem's data some times for the products and the checks, and every number of the state as often as a number of
it could be multiplied while it goes through memory. Two things are measured for it, now and on the devices that runs
are computed on: the speed of a product of matrices, and how long JAX takes to trace a small program. Whatever else the
machine is doing slows both. Runs that diverge, and programs that are in the cache, take less than is said.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from experiments.plan import Batch, Plan
from experiments.records import applicable_theorems, trace_columns
from simulator.devices import WORKING_COPIES, entries, lanes_that_fit, multiplications, workers_mesh

__all__ = ["ACCURACY", "Cost", "Machine", "costs", "measured_machine", "total"]

ACCURACY = 3.0  # the factor within which the time was right for the configs that are shipped

PASSES = 2.6  # over the data in a round, checks included
MULTIPLICATIONS_PER_ENTRY = 140  # in the time that a number of the state takes in a round
# Where the small program is traced in SMALL seconds:
SMALL = 0.035
BEGINNING, BEGINNING_THEOREM = 60e-6, 4e-6  # seconds that a round's operations take to begin, and a theorem's
COMPILING, COMPILING_DRAWS, COMPILING_THEOREM = 4.5, 4.0, 0.06  # seconds for a program, its draws, a theorem in it
PROCESS = 650e6  # bytes that Python takes with all that is imported, while it compiles
BYTES_PER_VALUE = 6.5  # in a compressed file of records,
BYTES_PER_COLUMN = 1400.0  # and to describe a column there,
BYTES_PER_VERDICT = 700.0  # and for what a theorem says of a run

SIDE, REPETITIONS = 768, 16  # of the product that is measured, and of what is timed


class Machine(NamedTuple):
    """What this machine can do now.

    Attributes:
        speed: multiplications a second in a product of matrices on all devices.
        slowness: how many times SMALL the small program takes to be traced.
    """

    speed: float
    slowness: float


class Cost(NamedTuple):
    """What a batch or a sweep takes.

    Attributes:
        computing: seconds, without compiling.
        compiling: seconds.
        memory: bytes at most.
        disk: bytes.
    """

    computing: float
    compiling: float
    memory: float
    disk: float

    @property
    def seconds(self) -> float:
        """In all."""
        return self.computing + self.compiling


def costs(plan: Plan, machine: Machine) -> list[Cost]:
    """Of every batch; of those that share a program the first compiles it."""
    columns = len(trace_columns(applicable_theorems(plan)))
    known: set[Any] = set()
    found = []
    for batch in plan.batches:
        program = _program(batch)
        found.append(_cost(plan, batch, columns, machine, compiles=program not in known))
        known.add(program)
    return found


def total(parts: list[Cost]) -> Cost:
    """Of batches that are computed one after another."""
    sums = {name: sum(getattr(part, name) for part in parts) for name in ("computing", "compiling", "disk")}
    return Cost(**sums, memory=max((part.memory for part in parts), default=PROCESS))


def _cost(plan: Plan, batch: Batch, columns: int, machine: Machine, compiles: bool) -> Cost:
    config, problem, lanes = plan.config, batch.case.problem, len(batch.block.ids)
    itemsize = np.dtype(config.precision).itemsize
    theorems = len(_theorems(batch))
    begin = machine.slowness * (BEGINNING + BEGINNING_THEOREM * theorems)
    records = lanes * (1 + math.ceil(config.rounds / config.record_every))
    mesh = workers_mesh(problem.num_workers, multiplications(problem) * lanes)
    at_once = min(lanes, lanes_that_fit(problem, itemsize, mesh))
    return Cost(
        computing=config.rounds * max(begin, _work(batch) * lanes * itemsize / 8 / machine.speed),
        compiling=machine.slowness * _compiling(batch) * compiles,
        memory=PROCESS + (multiplications(problem) + WORKING_COPIES * entries(problem) * at_once) * itemsize,
        disk=columns * (BYTES_PER_COLUMN + BYTES_PER_VALUE * records) + BYTES_PER_VERDICT * lanes * theorems,
    )


def _compiling(batch: Batch) -> float:
    """Seconds to compile its program, where SMALL is true."""
    draws = not batch.case.method.deterministic
    return COMPILING + COMPILING_DRAWS * draws + COMPILING_THEOREM * len(_theorems(batch))


def _work(batch: Batch) -> float:
    """Of one round of one run, in multiplications."""
    problem = batch.case.problem
    return PASSES * multiplications(problem) + MULTIPLICATIONS_PER_ENTRY * entries(problem)


def _theorems(batch: Batch) -> list[str]:
    case = batch.case
    return [theorem.name for theorem in case.method.theorems if theorem.obstacle(case.constants) is None]


def _program(batch: Batch) -> Any:
    """What batches with the same compiled program have in common."""
    leaves, structure = jax.tree.flatten((batch.case.problem, batch.case.constants.method))
    return structure, tuple(map(np.shape, leaves)), len(batch.block.ids), tuple(_theorems(batch))


def measured_machine() -> Machine:
    """What the machine can do while it does what else it does; this takes a second or two."""
    matrix = jnp.ones((len(jax.devices()), SIDE, SIDE))
    mesh = workers_mesh(len(matrix), math.inf)
    product = jax.jit(lambda each: each @ each, out_shardings=jax.NamedSharding(mesh, jax.P("workers")))
    multiplying = _mean_seconds(lambda: product(matrix).block_until_ready())
    return Machine(matrix.size * SIDE / multiplying, _mean_seconds(_lower_small) / SMALL)


def _mean_seconds(action: Callable[[], object]) -> float:
    action()  # the first time is another
    begun = time.perf_counter()
    for _ in range(REPETITIONS):
        action()
    return (time.perf_counter() - begun) / REPETITIONS


def _lower_small() -> None:
    """Trace and lower operations such as those of a round; what is compiled comes from a cache the next time."""

    def advance(_: Any, x: Array) -> Array:
        y = jnp.tanh(x @ x) + jnp.sort(x, axis=0)
        z = jnp.where(y > 1, y, jnp.cumsum(y, axis=1))
        return z / (1 + jnp.linalg.norm(z, axis=0, keepdims=True)) + jax.random.normal(jax.random.key(1), x.shape)

    jax.jit(lambda x: lax.fori_loop(0, 3, advance, x)).lower(jnp.ones((64, 64)))
