"""Choices of registered constructors: which parameters a config may give, and one concrete choice of them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
from jax import Array

from problems import InvalidInput, Problem
from problems.registry import recipes, registered
from simulator import (
    Compressor,
    GradientCode,
    GradientOracle,
    InnerOptimizer,
    Method,
    Participation,
    ProximalRegularizer,
    Stragglers,
    WorkingTimes,
)
from simulator.arguments import check_pytrees

__all__ = ["COMPONENTS", "Parameter", "Spec", "component_of", "constructors", "parameters", "spec_of"]

# A parameter annotated with one of these is a table with a `kind` of its own.
COMPONENTS: tuple[type, ...] = (
    Compressor,
    GradientOracle,
    InnerOptimizer,
    Participation,
    WorkingTimes,
    ProximalRegularizer,
    GradientCode,
    Stragglers,
    Method,
)


class Parameter(NamedTuple):
    """A parameter of a constructor, as configs see it."""

    name: str
    hint: Any
    required: bool
    default: Any


def constructors(base: type) -> dict[str, Callable[..., Any]]:
    """What builds the objects below `base` from a config, by kind; not those that cannot be built without an array."""
    known = recipes(base) if base is Problem else registered(base)
    return {
        kind: constructor
        for kind, constructor in known.items()
        if not any(parameter.required and _is_array(parameter.hint) for parameter in _all_parameters(constructor))
    }


def parameters(constructor: Callable[..., Any]) -> list[Parameter]:
    """The parameters that configs may give: all but arrays.

    Raises:
        InvalidInput: the constructor's annotations cannot be evaluated.
    """
    return [parameter for parameter in _all_parameters(constructor) if not _is_array(parameter.hint)]


def _all_parameters(constructor: Callable[..., Any]) -> list[Parameter]:
    try:
        hints = get_type_hints(inspect.unwrap(getattr(constructor, "__func__", constructor)))
    except (NameError, TypeError) as error:
        raise InvalidInput(f"the annotations of {constructor!r} cannot be evaluated: {error}") from error
    return [
        Parameter(name, hints.get(name, Any), given.default is given.empty, _default(constructor, given))
        for name, given in inspect.signature(constructor).parameters.items()
    ]


def _default(constructor: Callable[..., Any], given: inspect.Parameter) -> Any:
    if inspect.isclass(constructor) and is_dataclass(constructor):
        field = next((field for field in fields(constructor) if field.name == given.name), None)
        if field is not None and callable(field.default_factory):
            return field.default_factory()
    return given.default


def _is_array(hint: Any) -> bool:
    return any(part in (Array, np.ndarray) for part in (hint, *get_args(hint)))


def component_of(hint: Any) -> type | None:
    """The base in COMPONENTS that a parameter with this annotation, or this one or None, takes; None if none."""
    parts = [part for part in (get_args(hint) or (hint,)) if part is not NoneType]
    alone = parts[0] if len(parts) == 1 and inspect.isclass(parts[0]) else object
    return next((base for base in COMPONENTS if issubclass(alone, base)), None)


@dataclass(frozen=True)
class Spec:
    """One concrete choice: a registered constructor, its kind and the values of its parameters."""

    constructor: Callable[..., Any]
    kind: str
    parameters: dict[str, Any]  # components as a Spec of their own

    def build(self) -> Any:
        """The object; components among the parameters are built first.

        Raises:
            InvalidInput: the constructor refuses a value, or cannot compute with it: 1e308 overflows when squared.
        """
        values = {name: value.build() if isinstance(value, Spec) else value for name, value in self.parameters.items()}
        try:
            built = self.constructor(**values)
        except (ArithmeticError, np.linalg.LinAlgError, MemoryError) as error:
            raise InvalidInput(f"{self.kind} with {_told(values)} cannot be computed: {error}") from error
        check_pytrees(built)
        return built

    def flat(self, prefix: str = "") -> dict[str, Any]:
        """Kind and parameters as one table: {"kind": ..., "compressor": ..., "compressor.k": ...}, for results."""
        table: dict[str, Any] = {f"{prefix}kind" if prefix == "" else prefix.rstrip("."): self.kind}
        for name, value in self.parameters.items():
            table |= value.flat(f"{prefix}{name}.") if isinstance(value, Spec) else {f"{prefix}{name}": value}
        return table


def _told(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {value!r:.100}" for name, value in values.items() if isinstance(value, str | int | float)
    )


def spec_of(value: Any) -> Any:
    """The choice that a component is, so that a default can be told from others; other values as they are."""
    if not isinstance(value, COMPONENTS):
        return value
    given: Any = value
    choices = {parameter.name: spec_of(getattr(given, parameter.name)) for parameter in parameters(type(given))}
    return Spec(type(given), given.kind, choices)
