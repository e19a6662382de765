"""One process at a time computes into a results folder."""

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.files import CannotWrite, whole_file
from problems import InvalidInput

__all__ = ["owned"]

LOCK, OWNER = ".lock", ".owner"

logger = logging.getLogger(__name__)


@contextmanager
def owned(folder: Path, wait: bool) -> Iterator[None]:
    """The folder, which must be there, with no other process computing into it.

    The operating system takes a lock back from a process that has died, so there is none to be removed by hand.

    Raises:
        InvalidInput: another process has it, and we are not to wait.
        CannotWrite: the lock cannot be made.
    """
    lock = FileLock(folder / LOCK)
    try:
        _acquire(lock, folder, wait)
    except OSError as error:
        raise CannotWrite(f"cannot write {folder / LOCK}: {error.strerror or error}") from error
    try:
        with whole_file(folder / OWNER) as path:
            path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # on a disk that has become read-only
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, folder: Path, wait: bool) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise InvalidInput(f"{folder} is in use by {_owner(folder)}; --wait waits until that is done") from None
        logger.warning("%s is in use by %s: waiting until that is done", folder, _owner(folder))
        lock.acquire()


def _owner(folder: Path) -> str:
    try:
        return (folder / OWNER).read_text(encoding="utf-8")
    except OSError:
        return "another process"
