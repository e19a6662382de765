"""Results on disk: a folder that explains itself.

    config.toml          the config as run, overrides merged: `efsim run config.toml` repeats the sweep
    provenance.json      versions, git commit, platform, times
    runs.parquet         a row a run: parameters, constants, stepsize, status, and what every theorem says of it
    traces/*.parquet     a file a batch, the same columns in each: `pandas.read_parquet(folder / "traces")`
    figures/             what `efsim plot` draws

Every file appears whole or not at all. runs.parquet is written last: where it is, the sweep is complete.
"""

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.config import Config, parse_config
from experiments.raw_config import write_toml
from problems import InvalidInput

__all__ = ["Results", "Store", "load_results", "whole_file", "write_json"]

CONFIG, PROVENANCE, RUNS, TRACES = "config.toml", "provenance.json", "runs.parquet", "traces"


# Fields of a config that cannot change what is computed: they may be edited beside results that are there.
WITHOUT_EFFECT = ("description", "expect", "reduced")
NEEDED_COLUMNS = ("run", "problem.kind", "method.kind", "rule", "stepsize", "seed", "deterministic", "status")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary neighbour to write to: it becomes `path` when the block ends well and vanishes when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A file to read, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Store:
    """The results folder of a sweep that is being computed."""

    folder: Path

    def check_free_for(self, config: Config) -> None:
        """Whether the folder is new, empty, or left by the same config; changes nothing.

        Raises:
            InvalidInput: it holds results of another config, or other files.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidInput(f"{self.folder} is a file; results need a folder")
        if (self.folder / CONFIG).exists():
            self._refuse_other(config)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise InvalidInput(
                f"{self.folder} holds files that are not results; choose an empty or a new folder with --out"
            )

    def create(self, config: Config) -> None:
        """Make the folder, with the config in it; where the results are there already, it is the new one from now on.

        Raises:
            InvalidInput: it cannot be written to.
        """
        try:
            (self.folder / TRACES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"cannot create {self.folder / TRACES}: {error.strerror}") from error
        if not (self.folder / CONFIG).exists() or self._present() != config.raw:
            with whole_file(self.folder / CONFIG) as path:
                path.write_text(write_toml(config.raw), encoding="utf-8")

    def _refuse_other(self, config: Config) -> None:
        present = self._present()
        changed = sorted(key for key in {*present, *config.raw} if present.get(key) != config.raw.get(key))
        changed = [key for key in changed if key not in WITHOUT_EFFECT]
        if changed:
            raise InvalidInput(
                f"{self.folder} holds the results of another config (it differs in: {', '.join(changed)}); "
                "choose another folder with --out, or remove this one"
            )

    def _present(self) -> dict[str, Any]:
        """The config in the folder."""
        try:
            return tomllib.loads((self.folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{self.folder / CONFIG} cannot be read ({error}); choose another folder") from error

    @property
    def complete(self) -> bool:
        """Whether the sweep has been computed to its end."""
        return (self.folder / RUNS).exists()

    def write_traces(self, batch: str, traces: pd.DataFrame) -> None:
        """The recorded rounds of a batch."""
        with whole_file(self.folder / TRACES / f"{batch}.parquet") as path:
            traces.to_parquet(path, index=False)

    def finish(self, runs: pd.DataFrame, provenance: dict[str, Any]) -> None:
        """The table of runs and where they come from; this completes the folder."""
        write_json(self.folder / PROVENANCE, provenance)
        with whole_file(self.folder / RUNS) as path:
            runs.to_parquet(path, index=False)


@dataclass(frozen=True)
class Results:
    """A results folder, read."""

    folder: Path
    config: Config
    runs: pd.DataFrame
    provenance: dict[str, Any]

    @property
    def traces(self) -> pd.DataFrame:
        """The recorded rounds of all runs, sorted by run and round."""
        return self.trace_columns(None).sort_values(["run", "round"], ignore_index=True)

    def trace_columns(self, names: list[str] | None) -> pd.DataFrame:
        """Some columns of the recorded rounds of all runs, or all of them.

        Raises:
            InvalidInput: the traces are missing or damaged.
        """
        try:
            return pd.read_parquet(self.folder / TRACES, columns=names)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInput(f"{self.folder / TRACES} is damaged: {error}") from error


def load_results(folder: Path) -> Results:
    """Read a complete results folder.

    Raises:
        InvalidInput: the folder is missing, incomplete or damaged.
    """
    if not (folder / CONFIG).exists():
        raise InvalidInput(f"{folder} is not a results folder: it has no {CONFIG}")
    if not (folder / RUNS).exists():
        raise InvalidInput(f"{folder} is not complete: it has no {RUNS}; `efsim run {folder / CONFIG}` computes it")
    try:
        raw = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
        runs = pd.read_parquet(folder / RUNS)
        provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder} is damaged: {error}") from error
    missing = [name for name in NEEDED_COLUMNS if name not in runs]
    if missing:
        raise InvalidInput(f"{folder / RUNS} is damaged: it has no column {', '.join(missing)}")
    return Results(folder, parse_config(raw), runs, provenance)
