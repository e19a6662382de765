"""What is written about runs: the records of a batch, and a row for each run."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.columns import RECORDED_FIGURES, VERDICT_FIGURES, column
from experiments.plan import Batch, Case, Plan
from experiments.runs import Run
from simulator import Trace
from simulator.trace import MEASURED

__all__ = ["applicable_theorems", "case_columns", "run_rows", "runs_table", "trace_columns", "trace_table"]

Index = tuple[int, int]  # of a run in its batch: stepsize, seed


def applicable_theorems(plan: Plan) -> list[str]:
    """The theorems whose assumptions hold in some case of the sweep: every batch's file has columns for just these."""
    cases = {id(batch.case): batch.case for batch in plan.batches}
    return sorted(
        {
            theorem.name
            for case in cases.values()
            for theorem in case.method.theorems
            if theorem.obstacle(case.constants) is None
        }
    )


def trace_columns(theorems: list[str]) -> list[str]:
    """The columns of every batch's file, given the theorems of the sweep."""
    return ["run", "seed", "round", *MEASURED, *(column(name, what) for name in theorems for what in RECORDED_FIGURES)]


def trace_table(batch: Batch, trace: Trace, theorems: list[str]) -> pd.DataFrame:
    """The records of a batch, a row a run and round; theorems that do not apply have NaN."""
    runs = [run for _, run in _indexed_runs(batch)]
    records = len(trace.round)
    columns: dict[str, Any] = {
        "run": np.repeat([run.id for run in runs], records),
        "seed": np.repeat(np.array([run.seed for run in runs], np.int64), records),
        "round": np.tile(trace.round.astype(np.int64), len(runs)),
    }
    for name in MEASURED:
        columns[name] = getattr(trace, name).astype(float).ravel()
    for theorem in theorems:
        verdict = trace.verdicts.get(theorem)
        for what in RECORDED_FIGURES:
            values = np.full(len(runs) * records, np.nan) if verdict is None else getattr(verdict, what).astype(float)
            columns[column(theorem, what)] = values.ravel()
    return pd.DataFrame(columns)


def run_rows(batch: Batch, trace: Trace) -> list[dict[str, Any]]:
    """A row for each run: parameters, constants, stepsize, status, and what every theorem says of it."""
    case = case_columns(batch.case)
    return [
        {"run": run.id, "batch": batch.block.key}
        | case
        | {
            "rule": run.spec.rule,
            "multiple": run.spec.multiple if run.spec.rule else np.nan,
            "stepsize": batch.stepsizes[index[0]],
            "seed": run.seed,
        }
        | _outcome(trace, index)
        | _verdict_columns(trace, index)
        for index, run in _indexed_runs(batch)
    ]


def runs_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table. A parameter that is a number here and a word there is a column of words."""
    table = pd.DataFrame(rows)
    for name in filter(lambda name: pd.api.types.is_object_dtype(table[name]), table.columns):
        kinds = {type(value) for value in table[name] if not _is_missing(value)}
        if len(kinds) > 1:
            table[name] = [None if _is_missing(value) else str(value) for value in table[name]]
    return table


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _indexed_runs(batch: Batch) -> list[tuple[Index, Run]]:
    return [((s, k), run) for s, lane in enumerate(batch.runs) for k, run in enumerate(lane)]


def case_columns(case: Case) -> dict[str, Any]:
    """What the runs of a case have in common: what describes problem and method, and the constants."""
    constants = case.constants
    return {
        **{f"problem.{name}": value for name, value in case.pair.problem_spec.flat().items()},
        **{f"method.{name}": value for name, value in case.pair.method_spec.flat().items()},
        **{f"resolved.{name}": value for name, value in case.resolved.items()},
        "num_workers": case.problem.num_workers,
        "dim": case.problem.dim,
        "L": constants.smoothness,
        "L_AM": float(constants.arithmetic_mean),
        "L_QM": float(constants.quadratic_mean),
        "L_var": float(constants.smoothness_variance),
        "L_plus": _number(constants.mean_squared_smoothness),
        "mu": _number(constants.pl_constant),
        "alpha": _number(constants.alpha),
        "omega": _number(constants.omega),
        "lower_bound": constants.lower_bound,
        "minimum_known": constants.minimizer is not None,
        "passes_per_round": case.method.gradient_passes(case.problem),
        "workers_computing": case.method.workers_computing(case.problem),
        "workers_awaited": case.method.workers_awaited(case.problem),
        "overlapped": case.method.overlapped,
        "has_clock": case.method.has_clock,
        "deterministic": case.method.deterministic,
    }


def _number(constant: float | None) -> float:
    """A constant that does not exist is NaN in a column of numbers."""
    return np.nan if constant is None else float(constant)


def _outcome(trace: Trace, index: Index) -> dict[str, Any]:
    diverged, reached = trace.diverged_round[index], trace.target_round[index]
    return {
        "status": "finished" if diverged < 0 else "diverged",
        "diverged_round": np.nan if diverged < 0 else float(diverged),
        "target_round": np.nan if reached < 0 else float(reached),
        "final_loss": float(trace.loss[index][-1]),
        "final_grad_norm_sq": float(trace.grad_norm_sq[index][-1]),
    }


def _verdict_columns(trace: Trace, index: Index) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, verdict in trace.verdicts.items():
        columns[column(name, "max_stepsize")] = verdict.max_stepsize
        for figure in VERDICT_FIGURES:
            columns[column(name, figure)] = getattr(verdict, figure)[index].item()
    return columns
