"""Checkpoints of a batch as files, a .npz for each part of its runs.

How often one is written follows from what writing costs: never more than a twentieth of the time goes into it. A kill
loses the rounds since the last one.
"""

import logging
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from experiments.files import make_folder, whole_file
from simulator import NUMERICAL_VERSION
from simulator.checkpoints import Arrays

__all__ = ["CheckpointFiles"]

SHARE = 0.05  # of the time, at most, goes into writing
LEAST_PAUSE = 1.0  # seconds without a checkpoint: many batches are done by then
# What is written here may go on differently elsewhere.
VERSION = f"numerics {NUMERICAL_VERSION}, jax {jax.__version__}"

logger = logging.getLogger(__name__)


class CheckpointFiles:
    """The checkpoints of a batch with this key; `wanted` says that one is to be written whatever it costs."""

    def __init__(self, folder: Path, key: str, wanted: Callable[[], bool]) -> None:
        self._folder, self._key, self._wanted = folder, key, wanted
        self._next = time.monotonic() + LEAST_PAUSE

    def load(self, name: str) -> Arrays | None:
        """The arrays of the last one; None if there is none, or none that this package and JAX would write."""
        path = self._path(name)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays_by_name:
                version, *arrays = (arrays_by_name[f"arr_{index}"] for index in range(len(arrays_by_name.files)))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            logger.warning("%s cannot be read and is passed over: %s", path, error)
            return None
        return arrays if str(version) == VERSION else None

    def offer(self, name: str, arrays: Callable[[], Arrays]) -> None:
        """Write one if it is time, or wanted.

        Raises:
            CannotWrite: it cannot be written.
        """
        begun = time.monotonic()
        if begun < self._next and not self._wanted():
            return
        make_folder(self._folder)
        with whole_file(self._path(name)) as path, path.open("wb") as file:
            np.savez(file, np.array(VERSION), *arrays())
        now = time.monotonic()
        self._next = now + max(LEAST_PAUSE, (now - begun) / SHARE)

    def forget(self) -> None:
        """Remove them: the batch is done."""
        for path in self._folder.glob(f"{self._key}-*.npz"):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._key}-{name}.npz"
