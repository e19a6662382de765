"""Ctrl-C and a batch system's SIGTERM: noted, so that the chunk that is being computed can be finished and kept."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Interrupted", "Interrupts", "Stopping", "noted_interrupts"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The sweep was asked to stop, and has; what is done is kept.

    Attributes:
        status: the exit status that shells expect, 130 after Ctrl-C.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class Stopping(Protocol):
    """Whoever may ask a computation to stop."""

    def pending(self) -> bool:
        """Whether it is to stop."""
        ...

    def obey(self) -> None:
        """Raise Interrupted if it is."""
        ...


class Interrupts:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.number: int | None = None

    def pending(self) -> bool:
        """Whether one has come."""
        return self.number is not None

    def obey(self) -> None:
        """Raise Interrupted if one has come."""
        if self.number is not None:
            raise Interrupted(self.number)

    def note(self, number: int, frame: object) -> None:
        """Remember the first; a second one stops at once, as a kill does, which loses what is being computed."""
        if self.pending():
            os._exit(128 + number)  # an exception might rise in a place that can only report and ignore it
        self.number = number
        # not print: the signal may have come while something else was being printed
        os.write(sys.stderr.fileno(), b"\nstopping after this chunk of rounds; once more stops at once\n")


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Signals are noted inside the block; in a thread that gets none, nothing changes."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts.note) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
