"""What is written about runs: the records of a batch, and a row for each run."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.columns import VERDICT_FIGURES, column
from experiments.plan import Batch, Case, Plan, Run
from simulator import Trace

__all__ = ["run_rows", "theorem_names", "trace_table"]

Index = tuple[int, int]  # of a run in its batch: stepsize, seed


def theorem_names(plan: Plan) -> list[str]:
    """The theorems of all methods of the sweep, so that every batch's file has the same columns."""
    return sorted({theorem.name for batch in plan.batches for theorem in batch.case.method.theorems})


def trace_table(batch: Batch, trace: Trace, theorems: list[str]) -> pd.DataFrame:
    """The records of a batch, a row a run and round; theorems that do not apply have NaN."""
    table = pd.concat(
        [_run_records(run, trace, index, theorems) for index, run in _indexed_runs(batch)], ignore_index=True
    )
    whole = dict.fromkeys(["seed", "round", "bits_per_worker"], "int64")
    floats = dict.fromkeys(table.columns.difference(["run", *whole]), "float64")
    return table.astype(whole | floats)


def _run_records(run: Run, trace: Trace, index: Index, theorems: list[str]) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "run": run.id,
        "seed": run.seed,
        "round": trace.round,
        "bits_per_worker": trace.bits_per_worker,
    }
    for name in ("loss", "loss_gap", "grad_norm_sq", "mean_grad_norm_sq"):
        columns[name] = getattr(trace, name)[index]
    for theorem in theorems:
        verdict = trace.verdicts.get(theorem)
        columns[column(theorem, "lyapunov")] = np.nan if verdict is None else verdict.lyapunov[index]
        columns[column(theorem, "bound")] = np.nan if verdict is None else verdict.bound[index]
    return pd.DataFrame(columns)


def run_rows(batch: Batch, trace: Trace) -> list[dict[str, Any]]:
    """A row for each run: parameters, constants, stepsize, status, and what every theorem says of it."""
    case = _case_columns(batch.case)
    return [
        {"run": run.id, "batch": batch.name}
        | case
        | {
            "rule": run.spec.rule,
            "multiple": run.spec.multiple if run.spec.rule else np.nan,
            "stepsize": run.stepsize,
            "seed": run.seed,
        }
        | _outcome(trace, index)
        | _verdict_columns(trace, index)
        for index, run in _indexed_runs(batch)
    ]


def _indexed_runs(batch: Batch) -> list[tuple[Index, Run]]:
    return [((s, k), run) for s, lane in enumerate(batch.runs) for k, run in enumerate(lane)]


def _case_columns(case: Case) -> dict[str, Any]:
    constants = case.constants
    return {
        **{f"problem.{name}": value for name, value in case.problem_spec.flat().items()},
        **{f"method.{name}": value for name, value in case.method_spec.flat().items()},
        "num_workers": case.problem.num_workers,
        "dim": case.problem.dim,
        "L": constants.smoothness,
        "L_AM": float(constants.arithmetic_mean),
        "L_QM": float(constants.quadratic_mean),
        "L_var": float(constants.smoothness_variance),
        "mu": _number(constants.pl_constant),
        "alpha": _number(constants.alpha),
        "omega": _number(constants.omega),
        "lower_bound": constants.lower_bound,
        "minimum_known": constants.minimizer is not None,
        "downlink_bits_per_round": case.method.bits(case.problem.dim).downlink,
        "deterministic": case.method.compressor.deterministic,
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
