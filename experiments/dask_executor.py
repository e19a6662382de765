"""Computing a plan on a Dask cluster: one task a batch, whose worker writes into the results folder itself.

A worker that dies takes its batch along, and another one goes on with that from its last checkpoint. A batch whose
workers keep dying is tried once more when all others are done, alone, so that it takes no innocent one along.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import jax

from experiments import dask_task
from experiments.dask_task import Parallelism, Task, compute
from experiments.execute import Failure, failure
from experiments.files import CannotWrite
from experiments.interrupts import Interrupted, Interrupts, noted_interrupts
from experiments.plan import Batch, Plan
from experiments.progress import progress_bar
from experiments.raw_config import write_toml
from experiments.store import Store
from problems import InvalidInput
from simulator.devices import SHARING

__all__ = ["LOOPBACK", "Cluster", "Dask"]

LOOPBACK = "127.0.0.1"
PATIENCE = 0.5  # seconds between looks at signals and at the number of workers
DEATHS = 1  # of workers that a batch survives at first, in a cluster of our own
STOP = ".stop"


class Cluster(NamedTuple):
    """Which cluster, and how it is reached.

    Attributes:
        address: of a scheduler that is there; None starts a cluster on this machine, one process a core.
        host: the address that a cluster of ours listens on; nobody can reach the loopback interface from outside.
        tls: files of the authority's certificate, our certificate and our key, in PEM; None for no encryption.
    """

    address: str | None = None
    host: str = LOOPBACK
    tls: tuple[str, str, str] | None = None


class Dask(NamedTuple):
    """The executor of a cluster; `tell` is given the address of its dashboard."""

    cluster: Cluster
    tell: Callable[[str], object]

    def __call__(self, plan: Plan, store: Store, theorems: list[str], fail_fast: bool) -> list[Failure]:
        """See `Executor`.

        Raises:
            InvalidInput: the extra is not installed, or the cluster cannot be reached, or not any more.
        """
        stop = store.folder.absolute() / f"{STOP}.{token_hex(4)}"
        with noted_interrupts() as interrupts, _connected(self.cluster, interrupts) as client:
            self.tell(f"dashboard of the cluster: {client.dashboard_link}")
            store.begin(plan.config)
            try:
                failures = _Work(client, interrupts, stop).done(_items(plan, store, theorems, stop), fail_fast)
            except Interrupted:
                stop.unlink(missing_ok=True)  # all have stopped
                raise
            except (CancelledError, OSError) as error:
                _touch(stop)
                raise InvalidInput(f"the Dask scheduler is gone; what is done is kept in {store.folder}") from error
            except BaseException:
                _touch(stop)  # and leave it there: workers of a cluster that goes on may still be computing
                raise
            return failures


def _touch(file: Path) -> None:
    with suppress(OSError):  # a full disk, which is told otherwise
        file.touch()


class _Item(NamedTuple):
    batch: Batch
    task: Task

    def alone(self) -> "_Item":
        """The same, whose worker builds nothing for other batches."""
        return self._replace(task=self.task._replace(runs=tuple(self.batch.block.ids)))


def _items(plan: Plan, store: Store, theorems: list[str], stop: Path) -> list[_Item]:
    """The batches with their tasks; those of one problem know of each other, so that a worker builds it once."""
    config = write_toml(plan.config.raw)
    parallelism = Parallelism(jax.local_device_count("cpu"), int(os.environ.get("NPROC") or _cores()))
    ids: dict[int, list[str]] = {}
    for batch in plan.batches:
        ids.setdefault(id(batch.case.problem), []).extend(batch.block.ids)
    return [
        _Item(
            batch,
            Task(
                config=config,
                runs=tuple(ids[id(batch.case.problem)]),
                key=batch.block.key,
                folder=str(store.folder.absolute()),
                theorems=tuple(theorems),
                stop=str(stop),
                parallelism=parallelism,
            ),
        )
        for batch in plan.batches
    ]


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Work:
    """Batches on their way: never more than the cluster has threads, so that none waits at a worker that dies."""

    def __init__(self, client: Any, interrupts: Interrupts, stop: Path) -> None:
        self._client, self._interrupts, self._stop = client, interrupts, stop
        self._running: dict[Any, _Item] = {}  # by future
        self._failures: list[Failure] = []
        self._deadly: list[_Item] = []

    def done(self, items: list[_Item], fail_fast: bool) -> list[Failure]:
        """Compute all of them. -> what failed."""
        with progress_bar(total=len(items), unit="batch") as self._bar:
            self._compute(items, None, fail_fast)
            again, self._deadly = self._deadly, []
            self._compute([item.alone() for item in again], 1, fail_fast)
        died = InvalidInput("its worker died every time; out of memory, perhaps")
        return self._failures + [failure(item.batch, died) for item in self._deadly]

    def _compute(self, items: list[_Item], most: int | None, fail_fast: bool) -> None:
        """Compute them, `most` at a time or as many as there are threads."""
        waiting = deque(items)
        while waiting or self._running:
            threads = sum(self._client.nthreads().values())
            self._bar.set_description("" if threads else "waiting for workers")
            room = min(most or threads, threads) - len(self._running)
            for item in [waiting.popleft() for _ in range(min(room, len(waiting)))]:
                self._running[self._client.submit(compute, item.task, pure=False)] = item
            for future in self._finished():
                self._take(future, self._running.pop(future))
            if self._interrupts.pending():
                _touch(self._stop)
                if not self._client.nthreads():
                    return self._interrupts.obey()  # nobody is there to stop
            if self._interrupts.pending() or (self._failures and fail_fast):
                waiting.clear()
        self._interrupts.obey()

    def _finished(self) -> list[Any]:
        """The tasks that have ended, after a moment at most."""
        from distributed import TimeoutError, wait

        if not self._running:  # there is no worker, yet or any more
            time.sleep(PATIENCE)
            return []
        try:
            ended: Any = wait(list(self._running), timeout=PATIENCE, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return []
        return list(ended.done)

    def _take(self, future: Any, item: _Item) -> None:
        from distributed import KilledWorker

        try:
            failed = future.result()
        except KilledWorker:
            self._deadly.append(item)
            return
        except (CannotWrite, CancelledError):
            raise
        except Exception as error:  # the worker could not even begin
            failed = failure(item.batch, error)
        if failed is not None:
            self._failures.append(failed)
        self._bar.update()


@contextmanager
def _connected(cluster: Cluster, interrupts: Interrupts) -> Iterator[Any]:
    try:
        import dask.config as dask_config
        from distributed import Client
    except ImportError as error:
        raise InvalidInput("--dask needs Dask, which is an extra: pip install 'efsim[dask]'") from error

    with ExitStack() as stack:
        stack.enter_context(dask_config.set({"distributed.scheduler.allowed-failures": DEATHS}))
        where, security = cluster.address, _security(cluster.tls)
        if where is None:
            try:
                where = stack.enter_context(_local_cluster(cluster.host, security))
            except (OSError, RuntimeError) as error:
                interrupts.obey()  # Ctrl-C reaches workers that begin to start, too
                raise InvalidInput(f"cannot start a Dask cluster on {cluster.host}: {error}") from error
        try:
            client = Client(where, security=security)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise InvalidInput(f"cannot reach the Dask scheduler {where}: {error}") from error
        yield stack.enter_context(client)


def _local_cluster(host: str, security: Any) -> Any:
    """One process a core; each has the memory and the threads of one."""
    from distributed import LocalCluster

    cores = _cores()
    return LocalCluster(
        n_workers=cores,
        threads_per_worker=1,
        processes=True,
        host=host,
        protocol=None if security is None else "tls://",
        dashboard_address=f"{LOOPBACK}:0",  # it is neither encrypted nor does it ask who you are
        security=security,
        memory_limit=0,  # the engine splits what does not fit; a limit would kill workers for what they have cached
        env={SHARING: str(cores)},
        preload=[dask_task.__name__],
        silence_logs=logging.CRITICAL,
    )


def _security(tls: tuple[str, str, str] | None) -> Any:
    if tls is None:
        return None
    from distributed import Security

    authority, certificate, key = tls
    ours = {
        f"tls_{role}_{what}": path
        for role in ("scheduler", "worker", "client")
        for what, path in (("cert", certificate), ("key", key))
    }
    security = Security(tls_ca_file=authority, require_encryption=True, **ours)
    try:
        for path in tls:
            Path(path).open("rb").close()
        security.get_connection_args("client")  # reads them
    except OSError as error:
        raise InvalidInput(f"--dask-tls cannot use {authority}, {certificate} and {key}: {error}") from error
    return security
