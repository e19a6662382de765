"""Finding classes and recipes by the name that a config uses.

Nothing is stored: a class is registered by being a subclass that has been imported. A new file
with a new class is therefore all that an extension needs.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from problems.errors import unknown_name

__all__ = ["look_up", "recipes", "registered"]


def _descendants(base: type) -> Iterator[type]:
    for child in base.__subclasses__():
        yield child
        yield from _descendants(child)


def _concrete(base: type) -> list[type]:
    return [cls for cls in _descendants(base) if not inspect.isabstract(cls)]


def registered(base: type) -> dict[str, Any]:
    """Every concrete class below `base`, by its `kind`, in alphabetical order."""
    return {kind: cls for kind, cls in sorted((cls.kind, cls) for cls in _concrete(base))}  # type: ignore[attr-defined]


def recipes(base: type) -> dict[str, Callable[..., Any]]:
    """Every constructor that a concrete class below `base` offers to configs, by its kind.

    A class declares them in `recipes`, a mapping from kinds to names of its class methods; the parameters of such a
    method are the fields that the config accepts.
    """
    found = {}
    for cls in _concrete(base):
        found |= {kind: getattr(cls, name) for kind, name in cls.recipes.items()}  # type: ignore[attr-defined]
    return dict(sorted(found.items()))


def look_up(what: str, kind: str, known: dict[str, Any]) -> Any:
    """The entry called `kind`.

    Raises:
        InvalidInput: there is none; the message lists the known ones and suggests the nearest.
    """
    if kind not in known:
        raise unknown_name(what, kind, known)
    return known[kind]
