"""What `efsim run --dry-run` tells: which batches a folder lacks, and what they will take. Nothing is written."""

import time
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.config import Config
from experiments.estimate import ACCURACY, Cost, costs, measured_machine, total
from experiments.plan import Batch, Plan, make_plan
from experiments.runs import blocks_of
from experiments.store import Store
from experiments.tables import number, render

__all__ = ["forecast", "render_forecast"]

ALWAYS = ["method.kind", "problem.kind"]
MOST_ROWS = 40


def forecast(config: Config, folder: Path) -> dict[str, Any]:
    """The plan for the folder, with what every batch and the sweep will take: seconds and bytes.

    Problems are built for it, because their constants say which theorems apply and how large stepsizes are.

    Raises:
        InvalidInput: the config cannot be run, or not into this folder.
    """
    store = Store(folder)
    store.check_free()
    left = store.left(config, blocks_of(config))
    begun = time.perf_counter()
    plan = make_plan(config, left)
    building = time.perf_counter() - begun
    parts = costs(plan, measured_machine()) if plan.batches else []
    sweep = total(parts)
    return {
        "name": config.name,
        "folder": folder,
        "runs": config.num_runs,
        "runs_done": config.num_runs - sum(len(block.ids) for block in left),
        "batches": [_described(plan, batch, part) for batch, part in zip(plan.batches, parts, strict=True)],
        **_figures(sweep._replace(computing=sweep.computing + building)),
        "accuracy": ACCURACY,
    }


def _described(plan: Plan, batch: Batch, cost: Cost) -> dict[str, Any]:
    pair = batch.case.pair
    choices = {"problem": pair.problem_spec.flat(), "method": pair.method_spec.flat()}
    return choices | {"runs": len(batch.block.ids), "rounds": plan.config.rounds} | _figures(cost)


def _figures(cost: Cost) -> dict[str, float]:
    return {
        "seconds": cost.seconds,
        "compile_seconds": cost.compiling,
        "memory_bytes": cost.memory,
        "disk_bytes": cost.disk,
    }


def render_forecast(found: dict[str, Any]) -> str:
    """The plan to read."""
    batches = found["batches"]
    if not batches:
        return f"nothing to compute: all {found['runs']} runs are in {found['folder']}"
    there = f", {found['runs_done']} of {found['runs']} runs are there already" if found["runs_done"] else ""
    return "\n".join(
        [
            _table(batches),
            "",
            f"{len(batches)} {'batch' if len(batches) == 1 else 'batches'} to compute into {found['folder']}{there}",
            f"time: about {_duration(found['seconds'])}, {_duration(found['compile_seconds'])} of it to compile what "
            f"is not in the cache; within a factor of {found['accuracy']:g}, while nothing else runs here",
            f"memory: about {_size(found['memory_bytes'])}",
            f"disk: about {_size(found['disk_bytes'])}",
        ]
    )


def _table(batches: list[dict[str, Any]]) -> str:
    """A row a batch, with what differs between them; the first MOST_ROWS."""
    choices: Any = pd.DataFrame(
        [
            {f"{what}.{name}": value for what in ("method", "problem") for name, value in batch[what].items()}
            for batch in batches
        ]
    )
    names = ALWAYS + [name for name in choices if name not in ALWAYS and choices[name].astype(str).nunique() > 1]
    header = ["method", "problem", *(name.partition(".")[2] for name in names[2:]), "runs", "rounds", "time"]
    rows = [
        [*map(number, chosen), *_taken(batch)]
        for chosen, batch in zip(choices[names].to_numpy(object)[:MOST_ROWS], batches, strict=False)
    ]
    more = [f"... and {len(batches) - MOST_ROWS} batches more"] if len(batches) > MOST_ROWS else []
    return "\n".join([render(header, rows), *more])


def _taken(batch: dict[str, Any]) -> tuple[str, str, str]:
    return str(batch["runs"]), str(batch["rounds"]), _duration(batch["seconds"])


def _duration(seconds: float) -> str:
    for unit, length, limit in (("s", 1, 100), ("min", 60, 6000)):
        if seconds < limit:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds / 3600:.2g} h"


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.3g} GiB"
