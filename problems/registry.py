"""Finding classes and recipes by the name that a config uses, and loading those that live outside the packages.

Nothing is stored: a class is registered by being a subclass that has been imported. A new file with a new class, in a
package's folder or anywhere else, is therefore all that an extension needs.
"""

import inspect
import os
import sys
import traceback
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from problems.errors import InvalidInput, unknown_name

__all__ = [
    "import_modules",
    "load_entry_points",
    "load_plugin",
    "look_up",
    "plugin_checksum",
    "plugin_packages",
    "recipes",
    "registered",
]

ENTRY_POINTS = "efsim.plugins"


def _descendants(base: type) -> Iterator[type]:
    for child in base.__subclasses__():
        yield child
        yield from _descendants(child)


def _concrete(base: type) -> list[type]:
    # the classes of a module that failed to import live on for a while, but their module has been taken away
    return [cls for cls in _descendants(base) if not inspect.isabstract(cls) and cls.__module__ in sys.modules]


def registered(base: type) -> dict[str, Any]:
    """Every concrete class below `base` that has a `kind`, by its kind, in alphabetical order.

    Of two with the same kind the one defined last counts, as when a cell of a notebook runs again.
    """
    by_kind: dict[str, Any] = {cls.kind: cls for cls in _concrete(base) if hasattr(cls, "kind")}  # type: ignore[attr-defined]
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


# sha256 of the files that have been imported as plugins, which a process does once, as with any module.
_IMPORTED: dict[Path, str] = {}


def load_plugin(path: str | PathLike[str]) -> ModuleType:
    """Import a Python file from anywhere, which registers the classes in it; a second time, nothing happens.

    Raises:
        InvalidInput: there is no such file, its code fails (the message has the line), or a class in it cannot be used.
    """
    if not os.path.isfile(path):  # also where Path.is_file raises: a name that is too long
        raise InvalidInput(f"cannot read the plugin {path}: there is no such file; a plugin is a Python file")
    file = Path(path).resolve()
    name = f"efsim_plugin_{sha256(str(file).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        _IMPORTED[file] = checksum_of(file)
        _import_file(name, file)
    return sys.modules[name]


def checksum_of(file: Path) -> str:
    """sha256 of a file.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidInput(f"cannot read the plugin {file}: {error.strerror}") from error


def plugin_checksum(path: str | PathLike[str]) -> str:
    """sha256 of a plugin that has been imported.

    Raises:
        InvalidInput: the file is not what was imported, so that what it says is not what would run.
    """
    file = Path(path).resolve()
    if checksum_of(file) != _IMPORTED[file]:
        raise InvalidInput(f"the plugin {path} has changed since this process imported it; start a new one")
    return _IMPORTED[file]


def plugin_packages() -> list[str]:
    """The installed packages whose plugins `load_entry_points` imports, with their versions."""
    dists = [entry.dist for entry in entry_points(group=ENTRY_POINTS)]
    return sorted({f"{dist.name} {dist.version}" for dist in dists if dist is not None})


def _import_file(name: str, file: Path) -> None:
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"cannot read the plugin {file}: it is not a Python file (NAME.py)")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        _check_classes(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidInput(f"cannot import the plugin {file}{_line(error, file)}: {_reason(error)}") from None
    except BaseException:
        del sys.modules[name]
        raise


@cache
def load_entry_points() -> None:
    """Import what installed packages declare as entry points of the group "efsim.plugins", once.

    Raises:
        InvalidInput: one of them fails; the message names it and its package.
    """
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
            _check_classes(sys.modules[entry.module])
        except (Exception, SystemExit) as error:
            sys.modules.pop(entry.module, None)
            raise InvalidInput(f"cannot import the plugin {entry.name!r} {_origin(entry)}: {_reason(error)}") from None


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "an unknown package"
    return f"of {package} (entry point {entry.value!r} in the group {ENTRY_POINTS})"


def _line(error: BaseException, file: Path) -> str:
    """Where in the file an error comes from; a SyntaxError says so itself."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f", line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, InvalidInput) else f"{type(error).__name__}: {error}"


def _check_classes(module: ModuleType) -> None:
    """Raise InvalidInput where a class of the module could not be used, which would be seen much later only."""
    for cls in vars(module).values():
        if not isinstance(cls, ABCMeta) or cls.__module__ != module.__name__ or inspect.isabstract(cls):
            continue
        if not hasattr(cls, "kind") and not getattr(cls, "recipes", None):
            raise InvalidInput(f"the class {cls.__name__} has no `kind`, the name that configs use")
        if "__dataclass_fields__" not in vars(cls):
            raise InvalidInput(f"the class {cls.__name__} must be decorated with frozen_pytree")


def look_up(what: str, kind: str, known: dict[str, Any]) -> Any:
    """The entry called `kind`.

    Raises:
        InvalidInput: there is none; the message lists the known ones and suggests the nearest.
    """
    if kind not in known:
        raise unknown_name(what, kind, known)
    return known[kind]
