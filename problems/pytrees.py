"""Frozen dataclasses that JAX can carry through its transformations."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
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

    Its `repr` is that of a dataclass, unless a base class has one of its own.

    Equality is identity: comparing arrays field by field would not give one truth value. JAX rebuilds instances
    without calling `__init__`, so that `__post_init__` sees what users give, never a tracer in its place.

    The class registers itself by hand because `jax.tree_util.register_dataclass` (JAX 0.10) makes trees of different
    classes with the same fields compare equal: where their hashes meet, jit runs the program of the wrong class.
    """
    told = any("__repr__" in vars(base) for base in cls.__mro__[:-1] if not is_dataclass(base))
    frozen: Any = dataclass(frozen=True, eq=False, repr=not told)(cls)
    data = tuple(f.name for f in fields(frozen) if not f.metadata.get("static"))
    meta = tuple(f.name for f in fields(frozen) if f.metadata.get("static"))

    def flatten(tree: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(tree, name) for name in data), tuple(getattr(tree, name) for name in meta)

    def flatten_with_keys(tree: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, program = flatten(tree)
        keys = (jax.tree_util.GetAttrKey(name) for name in data)
        return tuple(zip(keys, children, strict=True)), program

    def unflatten(program: tuple[Any, ...], children: Iterable[Any]) -> Any:
        tree = object.__new__(frozen)
        for name, value in zip((*data, *meta), (*children, *program), strict=True):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(frozen, flatten_with_keys, unflatten, flatten)
    return frozen
