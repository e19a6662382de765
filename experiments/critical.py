"""Critical stepsizes: how large a stepsize may be before a method fails, measured case by case.

A case is a problem with a method; the stepsize rules of its config name theorems. There is a criterion for each of
them, that no judged round violates its inequality, and the criterion "convergence", that |grad f|^2 is at most target
|grad f(x^0)|^2 after the last round. The critical stepsize of a criterion is the largest one below its first failure,
searching upwards from the theorem's own stepsize, for convergence from the largest of them. Beyond that failure there
may be stepsizes that work again.

Near the largest stepsize that converges, a run takes any number of rounds to converge, and above it any number to show
that it does not, while what grows is still small. So a limit on the rounds may move the critical stepsize either way,
the less the more rounds there are: by a few percent, if a run at the theorem's stepsize needs a tenth of them. An
inequality is seen to fail only on the run that was made: from another start it may fail earlier.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.config import Config
from experiments.errors import Errors
from experiments.files import whole_file, write_json
from experiments.plan import Batch, Plan, make_plan, simulation
from experiments.progress import progress_bar
from experiments.provenance import measured, provenance
from experiments.records import run_rows, runs_table
from experiments.runs import where
from experiments.store import Store
from problems import InvalidInput
from simulator import Trace

__all__ = ["CONVERGENCE", "TABLE", "critical_table", "search"]

CONVERGENCE = "convergence"
TABLE, ORIGIN = "critical.parquet", "critical.json"

LANES = 24  # stepsizes in a batch
REACH = 100.0  # how far above the largest start is searched
RESOLUTION = 1.01  # failure over critical stepsize

Criteria = Callable[[np.ndarray], np.ndarray]  # stepsizes [S] -> which of C criteria hold there, [S, C]


def search(holds: Criteria, starts: np.ndarray) -> np.ndarray:
    """The largest stepsize below the first failure of every criterion, and that failure. starts [C] -> [C, 2].

    The first failure is sought on a grid of LANES stepsizes from the least start to REACH times the largest one, then
    between its neighbours, until the two are within 1%; a failure between two that hold is not seen. NaN stands for
    what was not found: a critical stepsize where the start itself fails, a failure where none on the grid does.
    """
    count = len(starts)
    grid = np.sort(np.append(starts, np.geomspace(starts.min(), REACH * starts.max(), LANES - count)))
    held = holds(grid)
    brackets = np.array([_bracket(grid[grid >= start], held[grid >= start, c]) for c, start in enumerate(starts)])
    while (wide := brackets[:, 1] > RESOLUTION * brackets[:, 0]).any():
        # those that are settled have lanes all the same: every batch has one shape
        ends = np.where(wide[:, None], brackets, starts.min())
        inner = [np.geomspace(low, high, LANES // count + 2) for low, high in ends]
        held = holds(np.concatenate([stepsizes[1:-1] for stepsizes in inner]))
        for c in np.flatnonzero(wide):
            own = np.split(held[:, c], count)[c]
            brackets[c] = _bracket(inner[c], np.concatenate([[True], own, [False]]))
    return brackets


def _bracket(stepsizes: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """The last stepsize before the first failure, and that failure; NaN where there is none. [S] each."""
    if held.all():
        return stepsizes[-1], np.nan
    first = int(np.argmin(held))
    return stepsizes[first - 1] if first else np.nan, stepsizes[first]


def critical_table(config: Config, folder: Path) -> pd.DataFrame:
    """Measure every case of the config into `folder`, unless that has been done; a row a case and criterion.

    Beside the columns of runs.parquet that describe the case, with `stepsize` and `target_round` those of the start:
        criterion: "convergence" or the theorem.
        holds: the critical stepsize, to 1%; NaN where the start fails already.
        fails: the first failure above it; NaN where none was found up to `holds`.

    Raises:
        InvalidInput: the config cannot be run, or not searched, or the folder is not free for it.
    """
    store = Store(folder)
    store.check_free_for(config)
    if not (folder / TABLE).exists():
        plan = make_plan(config)  # before the folder is touched: it tells most mistakes
        _check(plan)
        with store.owned(wait=False):
            store.check_free_for(config)  # once more: nobody else can change that now
            store.rewrite_config(config)
            _compute(plan, folder)
    try:
        return pd.read_parquet(folder / TABLE)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder / TABLE} is damaged: {error}") from error


def _check(plan: Plan) -> None:
    errors = Errors()
    for batch in plan.batches:
        with errors.collected(where(batch.case.pair)):
            _check_searchable(batch)
    errors.raise_any()


def _check_searchable(batch: Batch) -> None:
    if not batch.case.method.deterministic:
        raise InvalidInput("it draws, so that one run decides nothing; critical stepsizes are of deterministic methods")
    given = [lane[0].spec for lane in batch.runs]
    if any(spec.rule is None or spec.multiple != 1 for spec in given):
        raise InvalidInput(
            "critical stepsizes are searched from those of theorems: stepsize takes rules, such as "
            '{ rule = ["quadratic-mean", "arithmetic-mean"] }, without multiples or numbers'
        )


def _compute(plan: Plan, folder: Path) -> None:
    bar = progress_bar(plan.batches, desc="critical stepsizes", unit="case")
    with measured() as taken:
        rows = [row for batch in bar for row in _measure(plan.config, batch)]
    write_json(folder / ORIGIN, provenance(plan.config, [taken]))
    with whole_file(folder / TABLE) as path:
        runs_table(rows).to_parquet(path, index=False)


def _measure(config: Config, batch: Batch) -> list[dict[str, Any]]:
    """The rows of one case."""
    at = partial(simulation(config, batch.case), rounds=config.rounds, record_every=config.rounds)
    names = [str(lane[0].spec.rule) for lane in batch.runs]
    theorems = [batch.case.method.theorem(name) for name in names]
    runs = run_rows(batch, at(stepsize=batch.stepsizes, seed=batch.seeds, theorems=()))
    rows = [max(runs, key=lambda run: run["stepsize"]), *runs]  # where each criterion starts
    starts = np.array([row["stepsize"] for row in rows])
    brackets = search(lambda stepsizes: _held(at(stepsize=stepsizes, theorems=theorems), config, names), starts)
    return [
        row | {"criterion": criterion, "holds": critical, "fails": failure}
        for row, criterion, (critical, failure) in zip(rows, [CONVERGENCE, *names], brackets.tolist(), strict=True)
    ]


def _held(trace: Trace, config: Config, theorems: list[str]) -> np.ndarray:
    """Which criteria hold for runs at S stepsizes. -> [S, C]."""
    first, last = trace.grad_norm_sq[:, 0], trace.grad_norm_sq[:, -1]
    verdicts = [trace.verdicts[name] for name in theorems]
    inequalities = [(verdict.violations == 0) & (verdict.judged_rounds > 0) for verdict in verdicts]
    return np.stack([last <= config.target * first, *inequalities], axis=1)  # NaN after divergence is not <=
