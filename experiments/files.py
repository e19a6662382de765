"""Writing files so that they are whole or not there, whatever happens meanwhile."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from problems import InvalidInput

__all__ = ["CannotWrite", "forget_unfinished", "make_folder", "whole_file", "write_json"]

UNFINISHED = ".*.tmp"


class CannotWrite(InvalidInput):
    """A file cannot be written: a full disk, a folder without permission. What was there is as it was."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary neighbour to write to: it becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        CannotWrite: it cannot be made, written or renamed.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")  # two machines may have processes of one number
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # on a disk that has become read-only, which the error above tells
            temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """The folder, with those above it, where they are missing.

    Raises:
        CannotWrite: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot create {folder}: {error.strerror}") from error


def forget_unfinished(folder: Path) -> None:
    """Remove what processes have left that were killed while they wrote."""
    for path in folder.rglob(UNFINISHED):
        path.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A file to read, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
