"""Reading results folders. Nothing in them is executed: TOML, JSON and Parquet."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.batch_files import check_format
from experiments.clock import Clock, elapsed
from experiments.config import Config, parse_config
from experiments.store import CERTIFICATES, CONFIG, PROVENANCE, RUNS, TRACES, Store
from problems import InvalidInput

__all__ = ["Results", "load_config", "load_provenance", "load_results"]

TIMED = ["run", "round", "bits_per_worker", "downlink_bits_per_worker"]  # what the clock reads of the traces
NEEDED_COLUMNS = ("run", "problem.kind", "method.kind", "rule", "stepsize", "seed", "deterministic", "status")


@dataclass(frozen=True)
class Results:
    """A results folder, read.

    Attributes:
        clock: by which `timed` has added the simulated time, if it has.
    """

    folder: Path
    config: Config
    runs: pd.DataFrame
    provenance: dict[str, Any]
    clock: Clock | None = None

    @property
    def traces(self) -> pd.DataFrame:
        """The recorded rounds of all runs, sorted by run and round."""
        traces = self.trace_columns(None).sort_values(["run", "round"], ignore_index=True)
        return traces if self.clock is None else traces.assign(seconds=self._seconds(self.clock, traces))

    def _seconds(self, clock: Clock, traces: pd.DataFrame) -> np.ndarray:
        """The simulated time of the traces' rows; NaN of runs that are not among ours. -> [rows]."""
        found, rows = np.full(len(traces), np.nan), self.runs.set_index("run").to_dict("index")
        for run, places in traces.groupby("run").indices.items():
            if run in rows:
                trace = traces.iloc[places]
                found[places] = elapsed(clock, rows[run], trace)[trace["round"]]
        return found

    def timed(self, clock: Clock | None = None) -> "Results":
        """The results with simulated time: `seconds` in the traces, and `target_seconds`, to the target, in the runs.

        The clock is that of the config by default; where that has none, nothing is added.

        Raises:
            InvalidInput: as `elapsed` does.
        """
        clock = clock or self.clock or self.config.clock
        if clock is None or clock == self.clock:
            return self
        traces = dict(iter(self.trace_columns(TIMED).sort_values(["run", "round"]).groupby("run")))
        found = [_target_seconds(clock, run, traces[run["run"]]) for run in self.runs.to_dict("records")]
        return replace(self, clock=clock, runs=self.runs.assign(target_seconds=found))

    @property
    def certificates(self) -> pd.DataFrame | None:
        """What `experiments.chain.certify_runs` has written; None where it has not been asked for.

        Raises:
            InvalidInput: it is damaged.
        """
        path = self.folder / CERTIFICATES
        return _read_table(path) if path.exists() else None

    def trace_columns(self, names: list[str] | None) -> pd.DataFrame:
        """Some columns of the recorded rounds of all runs, or all of them.

        Raises:
            InvalidInput: the traces are missing or damaged.
        """
        try:
            return pd.read_parquet(self.folder / TRACES, columns=names, page_checksum_verification=True)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInput(f"{self.folder / TRACES} is damaged: {error}") from error


def _target_seconds(clock: Clock, run: dict[str, Any], trace: pd.DataFrame) -> float:
    """When the run reaches its target, by the clock; NaN where it does not."""
    reached = run["target_round"]
    return np.nan if reached != reached else float(elapsed(clock, run, trace)[int(reached)])


def load_config(folder: Path) -> Config:
    """The config of a results folder, complete or not.

    Raises:
        InvalidInput: the folder is missing, or its config is damaged.
    """
    if not (folder / CONFIG).exists():
        raise InvalidInput(f"{folder} is not a results folder: it has no {CONFIG}")
    return parse_config(Store(folder).raw_config())


def load_provenance(folder: Path) -> dict[str, Any]:
    """What is said of the origin of a complete results folder.

    Raises:
        InvalidInput: it is damaged, or written by a newer efsim.
    """
    path = folder / PROVENANCE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is damaged: {error}") from error
    check_format(path, found)
    return found


def load_results(folder: Path) -> Results:
    """Read a complete results folder.

    Raises:
        InvalidInput: the folder is missing, incomplete, damaged or written by a newer efsim.
    """
    config = load_config(folder)
    if not (folder / RUNS).exists():
        raise InvalidInput(
            f"{folder} is not complete: it has no {RUNS}; `efsim run {folder / CONFIG} --out {folder}` goes on with it"
        )
    provenance = load_provenance(folder)
    runs = _read_table(folder / RUNS)
    missing = [name for name in NEEDED_COLUMNS if name not in runs]
    if missing:
        raise InvalidInput(f"{folder / RUNS} is damaged: it has no column {', '.join(missing)}")
    return Results(folder, config, runs, provenance)


def _read_table(path: Path) -> pd.DataFrame:
    """Raises InvalidInput where it is damaged."""
    try:
        return pd.read_parquet(path, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is damaged: {error}") from error
