"""How fast the machine could be: its peak and its bandwidth, and the least time of a round that follows."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks.contestants import seconds
from tests.benchmarks.workloads import Workload

__all__ = ["Machine", "Work", "fastest", "least_seconds", "measure_machine", "work_of"]

MATRIX_SIZES = (1024, 2048)
COPIED_NUMBERS = 1 << 25  # 256 MB, beyond the caches
REPETITIONS = 5
BYTES = 8  # of a number in float64


class Machine(NamedTuple):
    """The largest rates seen."""

    flops: float  # a second, in float64, of matrix products; a multiply-add counts as two
    bandwidth: float  # bytes a second, read or written, of a large copy


class Work(NamedTuple):
    """What a round of all runs takes at least."""

    flops: float
    bytes: float


def work_of(workload: Workload) -> Work:
    """The least work of a round.

    flops: of the gradient's matrix products (two of [n m, d] for logistic regression, one of [n d, d] for dense
        quadratics, none for diagonal ones).
    bytes: 16 for every one of the n d S numbers in the states g_i, which are read and written once, and 8 for every
        number of the problem's data, which is read once whatever S is. Gradients and differences need not leave the
        caches. (In principle Top-k changes k of d numbers only, so that less need be written; and a state that fits
        into the caches, below a few tens of megabytes, may beat this limit.)
    """
    model = workload.model
    state = model.workers * model.dim * workload.runs
    return Work(model.flops * workload.runs, 2 * BYTES * state + model.data_bytes)


def least_seconds(work: Work, machine: Machine) -> float:
    """Of a round: the longer of computing and moving."""
    return max(work.flops / machine.flops, work.bytes / machine.bandwidth)


def fastest(machines: list[Machine]) -> Machine:
    """The largest rates of several measurements."""
    return Machine(max(m.flops for m in machines), max(m.bandwidth for m in machines))


def measure_machine() -> Machine:
    """The rates of what JAX computes on: the processor by NumPy, with all threads, and another device by JAX."""
    return _processor() if jax.default_backend() == "cpu" else _device()


def _processor() -> Machine:
    matrices = (np.ones((size, size)) for size in MATRIX_SIZES)
    flops = max(_rate(2.0 * len(a) ** 3, lambda a=a: a @ a) for a in matrices)
    threads = os.cpu_count() or 1
    source, target = np.ones(COPIED_NUMBERS), np.zeros(COPIED_NUMBERS)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        bandwidth = _rate(2.0 * source.nbytes, lambda: list(pool.map(lambda part: np.copyto(*part), parts)))
    return Machine(flops, bandwidth)


def _device() -> Machine:
    product, copy = jax.jit(jnp.matmul), jax.jit(jnp.negative)
    matrices = (jnp.ones((4 * size, 4 * size)) for size in MATRIX_SIZES)
    flops = max(_rate(2.0 * len(a) ** 3, lambda a=a: product(a, a).block_until_ready()) for a in matrices)
    source = jnp.ones(4 * COPIED_NUMBERS)
    return Machine(flops, _rate(2.0 * source.nbytes, lambda: copy(source).block_until_ready()))


def _rate(amount: float, work: Callable[[], object]) -> float:
    """The best of several times, after one that does not count."""
    work()
    return amount / min(seconds(work) for _ in range(REPETITIONS))
