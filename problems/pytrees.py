"""Frozen dataclasses that JAX can carry through its transformations."""

from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

import jax

__all__ = ["frozen_pytree", "static"]

T = TypeVar("T")


def static(**options: Any) -> Any:
    """A dataclass field that is part of the program (hashed, compiled in) rather than of its data."""
    return field(metadata={"static": True}, **options)


@dataclass_transform(frozen_default=True, field_specifiers=(field, static))
def frozen_pytree(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass whose fields are the children of a JAX pytree, `static()` ones apart.

    Equality is identity: comparing arrays field by field would not give one truth value.
    """
    return jax.tree_util.register_dataclass(dataclass(frozen=True, eq=False)(cls))
