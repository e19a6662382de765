"""Computing a sweep into a folder: what is missing there, batch after batch."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from experiments.config import Config
from experiments.files import CannotWrite
from experiments.interrupts import Interrupted, Stopping, noted_interrupts
from experiments.plan import Batch, Plan, make_plan, one_thread, simulation
from experiments.progress import progress_bar
from experiments.provenance import measured, provenance
from experiments.records import applicable_theorems, run_rows, trace_table
from experiments.results import Results, load_results
from experiments.runs import blocks_of
from experiments.store import Store
from problems import InvalidInput

__all__ = ["Executor", "Failure", "SweepFailed", "compute_batch", "failure", "locally", "run_sweep"]


@dataclass(frozen=True)
class Failure:
    """A batch that could not be computed."""

    batch: str  # in words
    reason: str
    details: str  # a traceback, where it is not a mistake of the user

    def __str__(self) -> str:
        return f"{self.batch}: {self.reason}"


class SweepFailed(Exception):
    """Some batches could not be computed; the others are in the folder."""

    def __init__(self, folder: Path, failures: list[Failure], batches: int) -> None:
        told = "".join(f"\n  {failure}" for failure in failures)
        super().__init__(f"{len(failures)} of {batches} batches failed; the others are in {folder}:{told}")
        self.failures = failures


class Executor(Protocol):
    """Computes the batches of a plan into a store."""

    def __call__(self, plan: Plan, store: Store, theorems: list[str], fail_fast: bool) -> list[Failure]:
        """`theorems` are those that every file has columns for. It begins the store once it is ready. -> what failed.

        Raises:
            Interrupted: it was asked to stop.
            CannotWrite: the store cannot be written to.
        """
        ...


def run_sweep(
    config: Config,
    folder: Path,
    *,
    executor: Executor | None = None,
    wait: bool = False,
    fail_fast: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> Results:
    """Compute what `folder` lacks of the sweep.

    Args:
        executor: `locally` by default.
        wait: for another process that computes into the folder, instead of refusing.
        fail_fast: whether the first batch that fails ends the sweep.
        tell: is given what a user may want to know before it begins.

    Raises:
        InvalidInput: the config cannot be run, or the folder is not free for it.
        SweepFailed: some batches could not be computed.
        Interrupted: a signal has stopped it; what is done is kept.
    """
    store = Store(folder)
    store.check_free()
    blocks = blocks_of(config)
    ids = [run for block in blocks for run in block.ids]
    left = store.left(config, blocks)
    if not left and store.complete and store.holds(config):
        tell("complete already; to compute it again, choose another folder or remove this one")
        return load_results(folder)
    plan = make_plan(config, left)  # before the folder is touched: it tells most mistakes
    with store.owned(wait):
        if (now := store.left(config, blocks)) != left:
            plan = make_plan(config, now)  # another process has been at work
        _compute(plan, store, ids, executor or locally, fail_fast, tell)
        return load_results(folder)


def _compute(
    plan: Plan, store: Store, ids: list[str], executor: Executor, fail_fast: bool, tell: Callable[[str], object]
) -> None:
    done = store.done()
    if done:
        tell(f"{sum(len(batch.ids) for batch in done)} of {len(ids)} runs are there already")
    if plan.batches:
        known = {theorem for batch in done for theorem in batch.theorems}
        failures = executor(plan, store, sorted(known.union(applicable_theorems(plan))), fail_fast)
        if failures:
            raise SweepFailed(store.folder, failures, len(plan.batches))
    else:
        store.begin(plan.config)
    store.finish(ids, partial(provenance, plan.config))


def locally(plan: Plan, store: Store, theorems: list[str], fail_fast: bool) -> list[Failure]:
    """The executor of this process: batch after batch, on all of its devices."""
    store.begin(plan.config)
    failures = []
    total = plan.config.rounds * sum(len(batch.block.ids) for batch in plan.batches)
    with noted_interrupts() as interrupts, progress_bar(total=total, unit="round", unit_scale=True) as bar:
        for number, batch in enumerate(plan.batches, 1):
            bar.set_description(f"batch {number}/{len(plan.batches)}")
            try:
                compute_batch(plan.config, batch, store, theorems, interrupts, bar.update)
            except (CannotWrite, Interrupted):
                raise
            except Exception as error:
                failures.append(failure(batch, error))
                if fail_fast:
                    break
    return failures


def compute_batch(
    config: Config,
    batch: Batch,
    store: Store,
    theorems: list[str],
    stopping: Stopping,
    progress: Callable[[int], object],
) -> None:
    """Compute a batch, from its last checkpoint where there is one, and write its file."""
    checkpoints = store.checkpoints(batch.block.key, stopping.pending)

    def advanced(rounds: int) -> None:
        progress(rounds)
        stopping.obey()

    with one_thread(), measured() as taken:
        trace = simulation(config, batch.case)(
            stepsize=batch.stepsizes,
            rounds=config.rounds,
            record_every=config.record_every,
            seed=batch.seeds,
            progress=advanced,
            checkpoints=checkpoints,
        )
        table, rows = trace_table(batch, trace, theorems), run_rows(batch, trace)
    store.write_batch(batch.block.key, table, theorems, rows, taken)
    checkpoints.forget()


def failure(batch: Batch, error: Exception) -> Failure:
    """What is told of a batch that has failed."""
    pair, runs = batch.case.pair, len(batch.block.ids)
    words = f"batch {batch.block.key} ({pair.method_spec.kind} on {pair.problem_spec.kind}, {runs} runs)"
    mistake = isinstance(error, InvalidInput | MemoryError)
    reason = str(error) if mistake else f"{type(error).__name__}: {error}"
    return Failure(words, reason, "" if mistake else "".join(traceback.format_exception(error)))
