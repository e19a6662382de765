"""Finding classes and recipes by the name that a config uses.

Nothing is stored: a class is registered by being a subclass that has been imported. A new file
with a new class is therefore all that an extension needs.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from problems.errors import unknown_name

__all__ = ["import_modules", "look_up", "recipes", "registered"]


def _descendants(base: type) -> Iterator[type]:
    for child in base.__subclasses__():
        yield child
        yield from _descendants(child)


def _concrete(base: type) -> list[type]:
    return [cls for cls in _descendants(base) if not inspect.isabstract(cls)]


def registered(base: type) -> dict[str, Any]:
    """Every concrete class below `base`, by its `kind`, in alphabetical order.

    Of two with the same kind the one defined last counts, as when a cell of a notebook runs again.
    """
    by_kind: dict[str, Any] = {cls.kind: cls for cls in _concrete(base)}  # type: ignore[attr-defined]
    return dict(sorted(by_kind.items()))


def recipes(base: type) -> dict[str, Callable[..., Any]]:
    """Every constructor that a concrete class below `base` offers to configs, by its kind.

    A class declares them in `recipes`, a mapping from kinds to names of its class methods; the parameters of such a
    method are the fields that the config accepts.
    """
    found = {}
    for cls in _concrete(base):
        found |= {kind: getattr(cls, name) for kind, name in cls.recipes.items()}  # type: ignore[attr-defined]
    return dict(sorted(found.items()))


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import every module in a package's folder, which registers the classes in it."""
    for module in iter_modules(path, f"{package}."):
        import_module(module.name)


def look_up(what: str, kind: str, known: dict[str, Any]) -> Any:
    """The entry called `kind`.

    Raises:
        InvalidInput: there is none; the message lists the known ones and suggests the nearest.
    """
    if kind not in known:
        raise unknown_name(what, kind, known)
    return known[kind]
