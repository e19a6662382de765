"""The JSON Schema of configs, for editors: what is registered now, as the models that validate configs say it.

It refuses what is wrong in structure: unknown fields and kinds, values of another type or out of a fixed range. What
only the objects themselves know (a k above the dimension, a rule that is no theorem's) it lets pass, and so it does a
whole number written as 3.0, which JSON does not tell from 3.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from experiments.config_models import schema
from experiments.spec import Spec

__all__ = ["DIALECT", "FILE", "json_schema", "keys_of", "written_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = "efsim.schema.json"  # by which configs name it to editors


class _Generator(GenerateJsonSchema):
    """Defaults as a config writes them, and fields called what they are."""

    def get_title_from_name(self, name: str) -> str:
        return name

    def encode_default(self, dft: Any) -> Any:
        return super().encode_default(_written(dft))


def _written(default: Any) -> Any:
    """One value without the list that the models put around it; components as tables."""
    if isinstance(default, list) and len(default) == 1:
        return _written(default[0])
    if isinstance(default, Spec):
        given = {name: _written(value) for name, value in default.parameters.items() if value is not None}
        return {"kind": default.kind, **given}
    return default.model_dump() if isinstance(default, BaseModel) else default


def json_schema() -> dict[str, Any]:
    """The schema of a whole config."""
    return {"$schema": DIALECT} | written_schema(schema().whole) | {"title": "efsim config"}


def written_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a table as a config writes it."""
    return model.model_json_schema(schema_generator=_Generator)


def keys_of(raw: dict[str, Any]) -> list[str]:
    """The keys that --set may give in a raw config: dotted paths of the fields of its tables."""
    made = json_schema()
    return [key.removeprefix(".") for key in _keys("", made, raw, made["$defs"])]


def _keys(path: str, about: dict[str, Any], value: Any, known: dict[str, Any]) -> Iterator[str]:
    """Those below a value, as its schema `about` describes it; of a union, that of the value's kind."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _keys(f"{path}.{index}", about, item, known)
    elif isinstance(value, dict):
        for table in _tables(about, known):
            if table["properties"].get("kind", {}).get("const") in (None, value.get("kind")):
                for name, inner in table["properties"].items():
                    yield f"{path}.{name}"
                    yield from _keys(f"{path}.{name}", inner, value.get(name, inner.get("default")), known)


def _tables(about: dict[str, Any], known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tables that a schema allows, alone or in lists, each as often as it is mentioned."""
    if "$ref" in about:
        yield known[about["$ref"].rpartition("/")[2]]
    elif "properties" in about:
        yield about
    for part in [*about.get("anyOf", [])[:1], *about.get("oneOf", []), *([about["items"]] if "items" in about else [])]:
        yield from _tables(part, known)
