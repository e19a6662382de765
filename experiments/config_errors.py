"""Errors of a config in its user's terms."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from problems.errors import suggestion

__all__ = ["explain"]

MOST_SHOWN = 500  # characters of what was given


def explain(raw: Any, detail: Any, tables: Mapping[str, type[BaseModel]], whole: type[BaseModel]) -> str:
    """One of pydantic's errors in words: where, what is wrong or was given, what is accepted.

    `raw` is the config as given, `tables` the models of its tables by their union tags ("Compressor.top-k"), `whole`
    that of the config.
    """
    location, kind, given, context = detail["loc"], detail["type"], detail.get("input"), detail.get("ctx", {})
    path = _dotted(raw, location, keep_last=kind in ("missing", "extra_forbidden"))
    match kind:
        case "missing":
            return f"{path}: is required"
        case "extra_forbidden":
            return f"{path}: unknown field" + _accepted(str(location[-1]), _accepted_fields(location, tables, whole))
        case "union_tag_not_found" if isinstance(given, dict):
            return f"{path}: needs a kind"
        case "union_tag_invalid":
            kinds = [tag.partition(".")[2] for tag in re.findall(r"'([^']*)'", context["expected_tags"])]
            return f"{path}.kind: {_unknown_kind(context['tag'], tables)}" + _accepted(str(given["kind"]), kinds)
        case "literal_error":
            values = [word.strip("'") for word in re.findall(r"'[^']*'|[^\s,']+", context["expected"]) if word != "or"]
            return f"{path}: {_shown(given)} is not accepted" + _accepted(str(given), values)
        case "too_short":
            return f"{path}: needs at least one entry"
        case "union_tag_not_found" | "model_attributes_type" | "model_type" | "dict_type":
            return f"{path}: needs a table, such as {{ kind = ... }}, not {_shown(given)}"
        case "string_pattern_mismatch":
            accepted = "letters, digits, '.', '_' and '-' are, a letter or digit first"
            return f"{path}: {_shown(given)} is not accepted; {accepted}"
        case _:
            return f"{path}: {detail['msg'][:1].lower()}{detail['msg'][1:]}, not {_shown(given)}"


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text)} characters)"


def _dotted(raw: Any, location: Sequence[int | str], keep_last: bool) -> str:
    """The path in the user's terms: pydantic's location without union tags and without the lists put around values."""
    path, container = "", raw
    for position, part in enumerate(location):
        if isinstance(container, dict) and part in container:
            path, container = f"{path}.{part}", container[part]
        elif isinstance(container, list) and isinstance(part, int) and part < len(container):
            path, container = f"{path}[{part}]", container[part]
        elif keep_last and position == len(location) - 1:
            path = f"{path}.{part}"
    return path.lstrip(".")


def _unknown_kind(tag: str, tables: Mapping[str, type[BaseModel]]) -> str:
    kind = tag.partition(".")[2]
    return f"{kind!r} has components, which is too deep here" if tag in tables else f"unknown kind {kind!r}"


def _accepted(given: str, accepted: list[str]) -> str:
    return f"; accepted: {', '.join(accepted)}{suggestion(given, accepted)}"


def _accepted_fields(
    location: Sequence[int | str], tables: Mapping[str, type[BaseModel]], whole: type[BaseModel]
) -> list[str]:
    """The fields of the innermost table on the way to `location`."""
    inner = [tables[part] for part in location[:-1] if isinstance(part, str) and part in tables]
    return list((inner[-1] if inner else whole).model_fields)
