"""Configs as TOML tables, before they are validated: reading, overriding, writing."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tomli_w

from problems import InvalidInput

__all__ = ["apply_overrides", "read_raw", "reduced", "write_toml"]


def read_raw(path: Path) -> dict[str, Any]:
    """The TOML table in the file; its plugins are relative to the file's folder, so their paths become absolute.

    Raises:
        InvalidInput: the file cannot be read or is not TOML (the message has the line).
    """
    try:
        return _with_absolute_plugins(tomllib.loads(path.read_text(encoding="utf-8")), path.absolute().parent)
    except OSError as error:
        raise InvalidInput(f"cannot read the config {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not a text file in UTF-8: {error.reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}") from error


def _with_absolute_plugins(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    given = raw.get("plugins")
    if not isinstance(given, list):
        return raw
    return raw | {"plugins": [str(folder / path) if isinstance(path, str) else path for path in given]}


def write_toml(raw: dict[str, Any]) -> str:
    """The table as TOML text that reads back equal."""
    return tomli_w.dumps(raw)


def apply_overrides(raw: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`raw` with every "dotted.path=value" merged in; the value is TOML, or a plain string where it is not.

    Raises:
        InvalidInput: an override without "=", or a path through something that is not a table.
    """
    merged = _copied(raw)
    for override in overrides:
        path, equals, text = override.partition("=")
        parts = _parts(path)
        if not equals or not parts:
            raise InvalidInput(f"--set takes key=value, not {override!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        _set(merged, parts, value, f"--set {override}")
    return merged


def reduced(raw: dict[str, Any]) -> dict[str, Any]:
    """The small version of a config: its table [reduced] merged into the rest, and gone.

    The table's keys are those of --set, dotted or nested. A table is merged into the one of that name, anything else
    takes the place of what is there: [[reduced.method]] tables that of all methods.

    Raises:
        InvalidInput: [reduced] is not a table, or has a path through something that is not one.
    """
    merged = _copied(raw)
    changes = merged.pop("reduced", {})
    if not isinstance(changes, dict):
        raise InvalidInput(f"reduced: needs a table, not {changes!r}")
    for path, value in _leaves(changes):
        _set(merged, path, value, f"reduced.{'.'.join(path)}")
    return merged


def _leaves(table: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    for key, value in table.items():
        inner = _leaves(value) if isinstance(value, dict) else [([], value)]
        yield from (([*_parts(key), *path], leaf) for path, leaf in inner)


def _parts(path: str) -> list[str]:
    return [part for part in re.split(r"[.\[\]]+", path.strip()) if part]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _set(container: Any, path: list[str], value: Any, where: str) -> None:
    *parents, last = path
    for part in parents:
        key: Any = _key(container, part, where)
        container = container.setdefault(key, {}) if isinstance(container, dict) else container[key]
    container[_key(container, last, where)] = value


def _key(container: Any, part: str, where: str) -> Any:
    """`part` as a key of a table, or as an index of a list that has it."""
    if isinstance(container, dict):
        return part
    if not isinstance(container, list):
        raise InvalidInput(f"{where}: there is no table that {part!r} could be in")
    if not (part.isdigit() and int(part) < len(container)):
        raise InvalidInput(f"{where}: {part!r} is not an index of a list of {len(container)} entries")
    return int(part)
