"""Computing a plan on this machine, batch after batch."""

import time
from pathlib import Path
from typing import Any

from experiments.config import Config
from experiments.plan import Batch, Plan, make_plan, simulation
from experiments.progress import progress_bar
from experiments.provenance import provenance
from experiments.records import applicable_theorems, run_rows, runs_table, trace_table
from experiments.store import Results, Store, load_results
from simulator import Trace

__all__ = ["run_sweep"]


def run_sweep(config: Config, folder: Path) -> Results:
    """Compute the sweep into `folder`, unless it is there already.

    Raises:
        InvalidInput: the config cannot be run, or the folder is not free for it.
    """
    store = Store(folder)
    store.check_free_for(config)
    plan = None if store.complete else make_plan(config)  # before the folder is touched: it tells most mistakes
    store.create(config)
    if plan is not None:
        _compute(plan, store)
    return load_results(folder)


def _compute(plan: Plan, store: Store) -> None:
    started = time.time()
    rows: list[dict[str, Any]] = []
    theorems = applicable_theorems(plan)
    with progress_bar(total=plan.config.rounds * plan.config.num_runs, unit="round", unit_scale=True) as bar:
        for number, batch in enumerate(plan.batches, 1):
            bar.set_description(f"batch {number}/{len(plan.batches)}")
            trace = _simulate(plan, batch, bar.update)
            store.write_traces(batch.name, trace_table(batch, trace, theorems))
            rows += run_rows(batch, trace)
    store.finish(runs_table(rows), provenance(plan, started))


def _simulate(plan: Plan, batch: Batch, progress: Any) -> Trace:
    return simulation(plan.config, batch.case)(
        stepsize=batch.stepsizes,
        rounds=plan.config.rounds,
        record_every=plan.config.record_every,
        seed=batch.seeds,
        progress=progress,
    )
