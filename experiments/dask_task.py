"""What a Dask worker does with a batch.

Nothing is imported here that imports JAX: a worker learns how many devices it has before JAX looks for them.
"""

from __future__ import annotations

import os
import signal
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from experiments.execute import Failure
    from experiments.plan import Batch

__all__ = ["Parallelism", "Task", "compute", "dask_setup"]


class Parallelism(NamedTuple):
    """Into how many parts a process divides large sums, which decides in which order they are formed.

    Attributes:
        devices: of the CPU, that JAX shows.
        pool: threads of XLA's pool, by which it divides large operations.
    """

    devices: int
    pool: int


class Task(NamedTuple):
    """A batch, as it travels: a worker makes it anew from the config.

    Attributes:
        config: the raw config, as TOML.
        runs: the ids of all runs that are to be computed on the batch's problem, which is built once for them.
        key: of the batch.
        folder: of the results, which the worker must see too.
        theorems: that the batch's file has columns for.
        stop: a file; once it is there, the batch stops after the chunk that is being computed.
        parallelism: of the process that asks; with the same one, a worker comes to the same bits.
    """

    config: str
    runs: tuple[str, ...]
    key: str
    folder: str
    theorems: tuple[str, ...]
    stop: str
    parallelism: Parallelism


class StopFile(NamedTuple):
    """Asked to stop by a file."""

    path: Path

    def pending(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def obey(self) -> None:
        """Raise Interrupted if it is."""
        from experiments.interrupts import Interrupted

        if self.pending():
            raise Interrupted(signal.SIGINT)


def compute(task: Task) -> Failure | None:
    """Compute the batch and write its file. -> what failed, if something did.

    Where it was asked to stop, it has left a checkpoint.

    Raises:
        CannotWrite: the folder cannot be written to.
        InvalidInput: the batch cannot be made from the config here.
    """
    prepare(task.parallelism)
    from experiments.execute import compute_batch, failure
    from experiments.files import CannotWrite
    from experiments.interrupts import Interrupted
    from experiments.store import Store
    from problems import InvalidInput

    batches = planned(task.config, task.runs)
    if task.key not in batches:
        raise InvalidInput("the worker's efsim, plugins or data are not those of the process that started the sweep")
    batch, config = batches[task.key]
    try:
        compute_batch(config, batch, Store(Path(task.folder)), list(task.theorems), StopFile(Path(task.stop)), ignore)
    except CannotWrite:
        raise
    except Interrupted:
        return None
    except Exception as error:
        return failure(batch, error)
    return None


def dask_setup(worker: Any) -> None:
    """Dask calls this when a worker of a cluster of ours starts.

    There is one a core, and the threads of each stay on its core. Ctrl-C reaches all processes of a terminal, but it is
    the one that started the sweep that decides what comes of it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(worker.name, int) and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[worker.name % len(cores)]})


def ignore(_: int) -> None:
    """Rounds are not reported across machines."""


def prepare(parallelism: Parallelism) -> None:
    """Settings of this process that must be there before JAX is; without effect later."""
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(parallelism.devices))
    os.environ.setdefault("NPROC", str(parallelism.pool))


@lru_cache(maxsize=1)
def planned(text: str, runs: tuple[str, ...]) -> dict[str, tuple[Batch, Any]]:
    """By key, the batches of these runs, with their config."""
    from experiments.config import parse_config
    from experiments.plan import make_plan
    from experiments.runs import blocks_of, left_of

    config = parse_config(tomllib.loads(text))
    blocks = blocks_of(config)
    others = {run for block in blocks for run in block.ids}.difference(runs)
    plan = make_plan(config, left_of(blocks, others))
    return {batch.block.key: (batch, config) for batch in plan.batches}
