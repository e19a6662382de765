"""The devices of this process: the workers are split over them.

An array whose first axis is that of the workers lies in equal parts on the devices, any other one on each. The compiler
divides the work accordingly and adds what has to be exchanged, one sum over the workers' messages for most methods. On
a CPU every core is a device of its own (`problems/jax_settings.py`), because XLA runs a batched matrix product on one
thread a device.
"""

import math
import os
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from problems import Problem

__all__ = [
    "SHARING",
    "WORKING_COPIES",
    "entries",
    "free_memory",
    "lanes_that_fit",
    "multiplications",
    "spread",
    "workers_mesh",
]

T = TypeVar("T")

WORKERS = "workers"
# Multiplications a round below which the exchange between devices costs more than they save.
LEAST_WORK = 1e7
# Numbers that a run takes at most, for every coordinate and every sample of a worker: states before and after a round,
# and what a round needs in between. (Measured: 1.4 to 8, see tests/test_devices.py.)
WORKING_COPIES = 12
MOST_LANES = 2**31
# Environment variable: processes like this one that share the machine's memory.
SHARING = "EFSIM_PROCESSES"
MEMINFO = Path("/proc/meminfo")  # of Linux


def workers_mesh(num_workers: int, work: float) -> Mesh:
    """The devices for a round of so many multiplications: one, or as many as divide the workers evenly."""
    devices = jax.devices()
    most = len(devices) if work >= LEAST_WORK else 1
    return Mesh(np.array(devices[: max(k for k in range(1, most + 1) if num_workers % k == 0)]), WORKERS)


def spread(tree: T, mesh: Mesh, num_workers: int) -> T:
    """The arrays of a pytree on the devices, inside a compiled program as well as outside."""
    if mesh.size == 1:
        return tree

    def sharding(leaf: Any) -> NamedSharding:
        # an array whose first axis has this length by chance would only be stored in parts; results are the same
        split = np.ndim(leaf) > 0 and np.shape(leaf)[0] == num_workers
        return NamedSharding(mesh, PartitionSpec(WORKERS) if split else PartitionSpec())

    return jax.lax.with_sharding_constraint(tree, jax.tree.map(sharding, tree))


def multiplications(tree: Any) -> int:
    """Numbers in the arrays of a pytree: a round multiplies each once or twice for every run."""
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(tree))


def lanes_that_fit(problem: Problem, itemsize: int, mesh: Mesh) -> int:
    """How many runs of a method fit into the memory that is free, at least one."""
    return max(1, int(min(free_memory(mesh) / (WORKING_COPIES * entries(problem) * itemsize), MOST_LANES)))


def entries(problem: Problem) -> float:
    """The coordinates and the samples of all workers: the numbers in one copy of a run's state."""
    return problem.num_workers * problem.dim + multiplications(problem) / problem.dim


def free_memory(mesh: Mesh) -> float:
    """Bytes that may be used, on all devices together; half of what the host has free is left to others.

    Processes like this one share the rest: as many as the environment variable EFSIM_PROCESSES says.
    """
    statistics = [device.memory_stats() for device in mesh.devices.flat]
    if all(statistics):
        return sum(each["bytes_limit"] - each["bytes_in_use"] for each in statistics)
    try:
        lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0]) / 2 / int(os.environ.get(SHARING, "1"))
    except (OSError, KeyError, ValueError):  # a system that does not tell
        return math.inf
