"""Configs: TOML in, validated choices out, every error at once.

The accepted fields are not written down here: they are the parameters of the registered constructors (a problem's
recipes, the methods and the compressors), so that a new class is configurable as soon as it exists.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import product
from math import prod
from operator import or_
from typing import Annotated, Any, Literal, Union, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
)

from experiments.config_errors import explain
from problems import InvalidInput, Problem
from problems.registry import recipes, registered
from simulator import Compressor, Method
from simulator.arguments import Precision

__all__ = ["Config", "Spec", "StepsizeSpec", "parse_config"]

# A sweep of more runs than this is a mistake in a config, and is refused before anything is built.
MOST_RUNS = 100_000
MOST_RECORDS = 20_000_000  # rows of the traces, about 200 bytes each

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Unknown fields and values of another type (a string for a number) are errors; whole numbers pass as floats."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _swept(element: Any) -> Any:
    """The type of a field that takes one value or a list of values to sweep."""
    return Annotated[list[element], BeforeValidator(_listed), Field(min_length=1)]


class Rule(Strict):
    """Stepsizes as multiples of the largest stepsize of a theorem."""

    rule: _swept(str)  # type: ignore[valid-type]
    multiple: _swept(Positive) = [1.0]  # type: ignore[valid-type]


Stepsize = Annotated[
    Union[Annotated[Positive, Tag("number")], Annotated[Rule, Tag("by-rule")]],  # noqa: UP007
    Discriminator(lambda value: "by-rule" if isinstance(value, dict | Rule) else "number"),
]


class Start(Strict):
    """The starting point x^0: the origin, or scale times a standard normal vector drawn with the seed."""

    kind: Literal["zeros", "normal"] = "zeros"
    scale: Positive = 1.0
    seed: Annotated[int, Field(ge=0)] = 0


def _field_type(annotation: Any) -> Any:
    if inspect.isclass(annotation) and issubclass(annotation, Compressor):
        return _swept(_one_of(_models(Compressor)))
    return _swept(annotation)


def _model(kind: str, constructor: Callable[..., Any], extra: dict[str, Any]) -> type[BaseModel]:
    """The model of a config table whose fields are the parameters of `constructor`."""
    hints = get_type_hints(inspect.unwrap(getattr(constructor, "__func__", constructor)))
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for name, parameter in inspect.signature(constructor).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        hint = hints.get(name, parameter.annotation)
        fields[name] = (_field_type(hint), ... if required else [parameter.default])
    return create_model(kind, __base__=Strict, **(fields | extra))  # pyright: ignore[reportCallIssue]


def _models(base: type) -> list[type[BaseModel]]:
    constructors = recipes(base) if base is Problem else registered(base)
    extra = {"stepsize": (_swept(Stepsize), ...)} if base is Method else {}
    return [_model(kind, constructor, extra) for kind, constructor in constructors.items()]


def _one_of(models: Sequence[type[BaseModel]]) -> Any:
    # with a single model there is no union to discriminate, and pydantic would refuse the discriminator
    return Annotated[reduce(or_, models), Field(discriminator="kind")] if len(models) > 1 else models[0]


def _tables() -> dict[str, type[BaseModel]]:
    """The models of all tables of a config, by what pydantic calls them in the location of an error."""
    models = [model for base in (Problem, Method, Compressor) for model in _models(base)]
    return {model.__name__: model for model in models} | {"by-rule": Rule, "start": Start}


def _schema() -> type[BaseModel]:
    """The model of a whole config; made anew when classes have been registered since."""
    kinds = (tuple(recipes(Problem)), tuple(registered(Method)), tuple(registered(Compressor)))
    return _schema_of(kinds)


@cache
def _schema_of(kinds: tuple[tuple[str, ...], ...]) -> type[BaseModel]:
    seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], BeforeValidator(_listed), Field(min_length=1)]
    methods: Any = Annotated[list[_one_of(_models(Method))], Field(min_length=1)]
    return create_model(
        "config",
        __base__=Strict,
        name=(Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)], ...),
        description=(str, ""),
        rounds=(Annotated[int, Field(ge=1, lt=2**31)], ...),
        record_every=(Annotated[int, Field(ge=1)], 1),
        seeds=(seeds, [0]),
        target=(Annotated[float, Field(gt=0, lt=1)], 1e-6),
        precision=(Precision, "float64"),
        start=(Start, Start()),
        problem=(_swept(_one_of(_models(Problem))), ...),
        method=(methods, ...),
    )


@dataclass(frozen=True)
class Spec:
    """One concrete choice of a registered constructor: its kind and the values of its parameters."""

    kind: str
    parameters: dict[str, Any]

    def build(self, known: dict[str, Callable[..., Any]]) -> Any:
        """The object; compressors among the parameters are built first."""
        values = {
            name: value.build(registered(Compressor)) if isinstance(value, Spec) else value
            for name, value in self.parameters.items()
        }
        return known[self.kind](**values)

    def flat(self, prefix: str = "") -> dict[str, Any]:
        """Kind and parameters as one table: {"kind": ..., "compressor": ..., "compressor.k": ...}, for results."""
        table: dict[str, Any] = {f"{prefix}kind" if prefix == "" else prefix.rstrip("."): self.kind}
        for name, value in self.parameters.items():
            table |= value.flat(f"{prefix}{name}.") if isinstance(value, Spec) else {f"{prefix}{name}": value}
        return table


@dataclass(frozen=True)
class StepsizeSpec:
    """A stepsize: a number (rule None), or `multiple` times the largest stepsize of the theorem called `rule`."""

    rule: str | None
    multiple: float


@dataclass(frozen=True)
class Config:
    """A validated config with its sweeps expanded."""

    name: str
    description: str
    rounds: int
    record_every: int
    seeds: list[int]
    target: float
    precision: Precision
    start: Start
    problems: list[Spec]
    methods: list[tuple[int, Spec, list[StepsizeSpec]]]  # index of the [[method]] table, choice, stepsizes
    raw: dict[str, Any]  # as given, overrides applied

    @property
    def num_runs(self) -> int:
        """How many trajectories the sweep has."""
        return len(self.problems) * sum(len(stepsizes) for *_, stepsizes in self.methods) * len(self.seeds)


def parse_config(raw: dict[str, Any]) -> Config:
    """Validate a raw config and expand its sweeps.

    Raises:
        InvalidInput: with every error on a line of its own: where, what was given, what is accepted.
    """
    try:
        model: Any = _schema().model_validate(raw)
    except ValidationError as error:
        lines = (explain(raw, detail, _tables(), _schema()) for detail in error.errors())
        raise InvalidInput("\n".join(lines)) from None
    _refuse_explosion(model)
    config = Config(
        **{name: getattr(model, name) for name in ("name", "description", "rounds", "record_every", "seeds")},
        **{name: getattr(model, name) for name in ("target", "precision", "start")},
        problems=[choice for table in model.problem for choice in _choices(table)],
        methods=[
            (index, choice, _stepsizes(table.stepsize))
            for index, table in enumerate(model.method)
            for choice in _choices(table)
        ],
        raw=raw,
    )
    _check_constructible(config)
    return config


def _swept_fields(model: BaseModel) -> dict[str, list[Any]]:
    return {name: getattr(model, name) for name in type(model).model_fields if name not in ("kind", "stepsize")}


def _count(model: BaseModel) -> int:
    """How many choices a table expands to, without expanding it."""
    return prod(
        sum(_count(value) if isinstance(value, BaseModel) else 1 for value in values)
        for values in _swept_fields(model).values()
    )


def _refuse_explosion(model: Any) -> None:
    per_problem = sum(
        _count(table) * sum(len(s.rule) * len(s.multiple) if isinstance(s, Rule) else 1 for s in table.stepsize)
        for table in model.method
    )
    runs = sum(map(_count, model.problem)) * per_problem * len(model.seeds)
    if runs > MOST_RUNS:
        raise InvalidInput(f"the config describes {runs:,} runs; accepted are at most {MOST_RUNS:,}")
    records = runs * (model.rounds // model.record_every + 2)
    if records > MOST_RECORDS:
        raise InvalidInput(
            f"the config describes {records:,} records; accepted are at most {MOST_RECORDS:,}: raise record_every"
        )


def _choices(model: BaseModel) -> list[Spec]:
    """Every combination of the values that a table lists."""
    expanded = {
        name: [choice for value in values for choice in (_choices(value) if isinstance(value, BaseModel) else [value])]
        for name, values in _swept_fields(model).items()
    }
    return [
        Spec(model.kind, dict(zip(expanded, values, strict=True)))  # type: ignore[attr-defined]
        for values in product(*expanded.values())
    ]


def _stepsizes(values: Iterable[Any]) -> list[StepsizeSpec]:
    found = []
    for value in values:
        if isinstance(value, Rule):
            found += [StepsizeSpec(rule, multiple) for rule in value.rule for multiple in value.multiple]
        else:
            found.append(StepsizeSpec(None, value))
    return found


def _check_constructible(config: Config) -> None:
    """Build every method once, so that what a constructor refuses is told with the other errors of the config."""
    errors = {}
    for index, choice, stepsizes in config.methods:
        try:
            method = choice.build(registered(Method))
            for stepsize in stepsizes:
                if stepsize.rule is not None:
                    method.theorem(stepsize.rule)
        except InvalidInput as error:
            errors[f"method[{index}] ({choice.kind}): {error}"] = None
    if errors:
        raise InvalidInput("\n".join(errors))
