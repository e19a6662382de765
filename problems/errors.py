"""The one exception for a user's mistake."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["InvalidInput", "suggestion", "unknown_name"]


class InvalidInput(ValueError):
    """A user's mistake: the message names what was given, where, and what is accepted."""


def unknown_name(what: str, given: str, known: Iterable[str]) -> InvalidInput:
    """The error for a name that is not among `known`, with the nearest known one suggested."""
    names = sorted(known)
    return InvalidInput(f"unknown {what} {given!r}; known: {', '.join(names)}{suggestion(given, names)}")


def suggestion(given: str, known: list[str]) -> str:
    """The question "did you mean ...?" for the known name nearest to the given one, or nothing where none is near."""
    near = get_close_matches(str(given), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
