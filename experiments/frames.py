"""Verdicts and runs as pandas tables, for notebooks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.columns import column
from experiments.results import Results
from experiments.summary import varying
from experiments.verdict_table import header, row
from experiments.verdicts import TheoremVerdict
from problems.registry import registered
from simulator import Method

__all__ = ["panel_frame", "run_frame", "verdict_frame"]

Table = Any  # a pandas DataFrame; its type stubs do not know what a mask selects


def verdict_frame(verdicts: Sequence[TheoremVerdict]) -> pd.DataFrame:
    """The table that `efsim verify` prints, by method and theorem; there must be a verdict."""
    table = pd.DataFrame([row(verdict) for verdict in verdicts], columns=list(header(verdicts)))
    return table.set_index(["method", "theorem"])


def run_frame(results: Results) -> pd.DataFrame:
    """What the runs of a sweep did, a row for all that differ in the seed only, by method and what else differs.

    - L_var, L_QM/L_AM, stepsize: of the problem, and of the run.
    - measured, bound: what the theorem that named the stepsize bounds, after the last round, and its bound; the means
      over the seeds, NaN where the theorem does not speak of the run.
    - rounds, bits: until |grad f|^2 <= target |grad f(x^0)|^2, the bits sent by a worker, up to the next recorded
      round; the medians over the seeds, NaN where half of them or more did not get there.
    """
    runs: Table = results.runs
    names = ["method.kind", *(name for name in varying(runs) if name not in ("method.kind", "seed"))]
    table = runs[names].set_axis([_short(name) for name in names], axis=1)
    keys = list(table)
    table = table.assign(**{"L_var": runs.L_var, "L_QM/L_AM": runs.L_QM / runs.L_AM, "stepsize": runs.stepsize})
    table = table.join(_outcomes(results))
    means, medians = dict.fromkeys(["measured", "bound"], "mean"), dict.fromkeys(["rounds", "bits"], "median")
    kinds = dict.fromkeys(["L_var", "L_QM/L_AM", "stepsize"], "first") | means | medians
    found: Table = table.groupby(keys, sort=False, dropna=False).agg(kinds).replace(np.inf, np.nan)
    counted = found[list(medians)].round().astype("Int64").add_suffix(f" to {results.config.target:g}")
    return found.drop(columns=list(medians)).join(counted)


def panel_frame(results: Results) -> pd.DataFrame:
    """The rules of a sweep side by side: a row a problem and method, with L_var and L_QM/L_AM, and by rule the rest."""
    runs: Table = run_frame(results)
    problem, others = runs[["L_var", "L_QM/L_AM"]], runs.drop(columns=["L_var", "L_QM/L_AM"])
    constants = problem.groupby([name for name in runs.index.names if name != "rule"], sort=False).first()
    return pd.concat({"": constants}, axis=1).swaplevel(axis=1).join(others.unstack("rule", sort=False))


def _short(name: str) -> str:
    """The name of a column of the runs, as a reader of one sweep wants it."""
    return name.removesuffix(".kind").removeprefix("problem.") if name.endswith(".kind") else name.split(".")[-1]


def _outcomes(results: Results) -> pd.DataFrame:
    """measured, bound, rounds and bits of every run, inf where the target was not reached."""
    traces = dict(iter(results.traces.groupby("run")))
    rows = [_outcome(run, traces[run["run"]]) for run in results.runs.to_dict("records")]
    return pd.DataFrame(rows, columns=["measured", "bound", "rounds", "bits"], index=results.runs.index)


def _outcome(run: dict[Any, Any], trace: Table) -> tuple[float, float, float, float]:
    reached = trace[trace["round"] >= run["target_round"]]
    rounds, bits = (run["target_round"], reached.bits_per_worker.iloc[0]) if len(reached) else (np.inf, np.inf)
    measured, bound = _measured_and_bound(run, trace.iloc[-1])
    return measured, bound, rounds, bits


def _measured_and_bound(run: dict[Any, Any], last: Any) -> tuple[float, float]:
    for theorem in registered(Method)[run["method.kind"]].theorems:
        if theorem.name == run["rule"] and run[column(theorem.name, "applies")] == True:  # noqa: E712 (or missing)
            measured = column(theorem.name, "lyapunov") if theorem.bounded == "lyapunov" else theorem.bounded
            return last[measured], last[column(theorem.name, "bound")]
    return np.nan, np.nan
