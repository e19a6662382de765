"""Files that a user names."""

import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_regular"]


def open_regular(path: Path) -> BinaryIO:
    """The file, to read bytes from.

    Raises:
        OSError: it cannot be opened, or is a folder, a device or a pipe, reading which might never end.
        ValueError: the path holds a NUL or is not text.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a regular file")
    return path.open("rb")
