"""A config's results in one call, as notebooks and scripts want them: computed where they are not there yet."""

from pathlib import Path

import pandas as pd

from experiments.config import Config, parse_config
from experiments.critical import critical_table
from experiments.execute import run_sweep
from experiments.raw_config import apply_overrides, read_raw
from experiments.raw_config import reduced as reduced_config
from experiments.results import Results

__all__ = ["critical_stepsizes_of", "default_folder", "read_config", "results_folder", "run_config"]


def read_config(path: str | Path, *overrides: str, reduced: bool = False) -> Config:
    """The config in the file, first reduced as its table [reduced] says, then with the overrides "key=value".

    Raises:
        InvalidInput: the file cannot be read, or what it describes is not accepted.
    """
    raw = read_raw(Path(path))
    return parse_config(apply_overrides(reduced_config(raw) if reduced else raw, overrides))


def default_folder(config: Config, reduced: bool = False) -> Path:
    """results/NAME, or NAME-reduced for reduced results, which are others."""
    return Path("results") / (f"{config.name}-reduced" if reduced else config.name)


def results_folder(path: str | Path, config: Config, reduced: bool = False) -> Path:
    """The default folder, beside that of the config's file, wherever a notebook or a script is."""
    return Path(path).absolute().parent.parent / default_folder(config, reduced)


def run_config(path: str | Path, *overrides: str, reduced: bool = False, out: str | Path | None = None) -> Results:
    """The results of the config in the file; what their folder lacks is computed. They are timed, if it has a clock.

    Args:
        overrides: "key=value" each, as --set takes them; one that sets the name leaves other results alone.
        reduced: whether to run the small version, as the table [reduced] says.
        out: the results folder, `results_folder` by default.

    Raises:
        InvalidInput: the config cannot be run, or the folder is not free for it.
        SweepFailed: some batches could not be computed.
    """
    config = read_config(path, *overrides, reduced=reduced)
    return run_sweep(config, Path(out or results_folder(path, config, reduced))).timed()


def critical_stepsizes_of(
    path: str | Path, *overrides: str, reduced: bool = False, out: str | Path | None = None
) -> pd.DataFrame:
    """The critical stepsizes of the config in the file, measured unless they have been; arguments as `run_config`.

    Raises:
        InvalidInput: the config cannot be searched, or the folder is not free for it.
    """
    config = read_config(path, *overrides, reduced=reduced)
    return critical_table(config, Path(out or results_folder(path, config, reduced)))
