"""Users' mistakes, gathered so that all of them are told at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from problems import InvalidInput

__all__ = ["Errors"]


class Errors:
    """The mistakes found so far."""

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}  # a dict keeps the order and drops repetitions

    @contextmanager
    def collected(self, where: str) -> Iterator[None]:
        """Note an InvalidInput of the block, with where it happened, and go on after the block."""
        try:
            yield
        except InvalidInput as error:
            self._messages[f"{where}: {error}"] = None

    def raise_any(self) -> None:
        """Raise what has been gathered, if anything."""
        if self._messages:
            raise InvalidInput("\n".join(self._messages))
