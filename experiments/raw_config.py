"""Configs as TOML tables, before they are validated: reading, overriding, writing."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tomli_w

from problems import InvalidInput
from problems.files import open_regular

__all__ = ["apply_overrides", "check_values", "read_raw", "reduced", "write_toml"]

# What no config comes near, and what would take hours or the interpreter's stack.
MOST_BYTES = 2**20  # of a file
DEEPEST = 32  # tables and lists in each other, and the parts of a dotted key, whose number tomllib's time is square in
MOST_CHARACTERS = 10_000  # of a word
MOST_DIGITS = 10  # of an index in a dotted path; int() refuses thousands of them in words of its own
WHOLE_NUMBERS = range(-(2**63), 2**63)  # what TOML promises, and what arrays hold

_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{DEEPEST},}}")


def read_raw(path: Path) -> dict[str, Any]:
    """The TOML table in the file; its plugins are relative to the file's folder, so their paths become absolute.

    Raises:
        InvalidInput: the file cannot be read, is no regular file, is larger than MOST_BYTES, or is not TOML (the
            message has the line), or a value is one that `check_values` refuses.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read the config {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{path} is larger than {MOST_BYTES / 2**20:g} MiB, which is the limit of a config")
    try:
        raw = _parsed(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not a text file in UTF-8: {error.reason}") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}") from error
    check_values(raw)
    return _with_absolute_plugins(raw, path.absolute().parent)


def _parsed(text: str) -> dict[str, Any]:
    """The table that TOML text says. Raises ValueError."""
    if _LONG_KEY.search(text):
        raise ValueError(f"a key of more than {DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(f"lists or tables are nested more than {DEEPEST} levels deep") from error


def check_values(raw: dict[str, Any]) -> None:
    """Refuse what TOML allows and nothing behind it can handle.

    Raises:
        InvalidInput: tables or lists more than DEEPEST levels deep, a whole number that does not fit into 64 bits, a
            key or a word of more than MOST_CHARACTERS, or one that is not text (half of a surrogate pair).
    """
    level: list[tuple[str, Any]] = [("", raw)]
    for _ in range(DEEPEST):
        level = [inside for where, container in level for inside in _inside(where, container)]
        for where, value in level:
            _check_value(where, value)
    if level:
        raise InvalidInput(f"{level[0][0]}: is nested more than {DEEPEST} levels deep")


def _inside(where: str, container: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(container, dict):
        for key, value in container.items():
            _check_value(where or "the config", key)
            yield f"{where}.{key}".lstrip("."), value
    elif isinstance(container, list):
        for index, value in enumerate(container):
            yield f"{where}[{index}]", value


def _check_value(where: str, value: Any) -> None:
    if isinstance(value, int) and value not in WHOLE_NUMBERS:
        raise InvalidInput(f"{where}: a whole number must fit into 64 bits, and this one takes {value.bit_length()}")
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise InvalidInput(f"{where}: {value[:40]!r}... has more than {MOST_CHARACTERS} characters")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidInput(f"{where}: {value!r} is not text: it has half of a surrogate pair")


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
        InvalidInput: an override without "=", a path through something that is not a table, or a value that
            `check_values` refuses.
    """
    merged = _copied(raw)
    for override in overrides:
        path, equals, text = override.partition("=")
        parts = _parts(path)
        if not equals or not parts:
            raise InvalidInput(f"--set takes key=value, not {override!r}")
        try:
            value = _parsed(f"value = {text}")["value"]
        except ValueError:
            value = text.strip()
        _set(merged, parts, value, f"--set {override}")
    check_values(merged)
    return merged


def reduced(raw: dict[str, Any]) -> dict[str, Any]:
    """The small version of a config: its table [reduced] merged into the rest, and gone.

    The table's keys are those of --set, dotted or nested. A table is merged into the one of that name, anything else
    takes the place of what is there: [[reduced.method]] tables that of all methods.

    Raises:
        InvalidInput: [reduced] is not a table, or has an empty path or one through something that is not a table.
    """
    merged = _copied(raw)
    changes = merged.pop("reduced", {})
    if not isinstance(changes, dict):
        raise InvalidInput(f"reduced: needs a table, not {changes!r}")
    for path, value in _leaves(changes):
        _set(merged, path, value, f"reduced.{'.'.join(path)}")
    check_values(merged)
    return merged


def _leaves(table: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    for key, value in table.items():
        parts = _parts(key)
        if not parts:
            raise InvalidInput(f"reduced: {key!r} names no field")
        inner = _leaves(value) if isinstance(value, dict) else [([], value)]
        yield from (([*parts, *path], leaf) for path, leaf in inner)


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
    is_number = part.isascii() and part.isdigit() and len(part) < MOST_DIGITS
    if not (is_number and int(part) < len(container)):
        raise InvalidInput(f"{where}: {part!r} is not an index of a list of {len(container)} entries")
    return int(part)
