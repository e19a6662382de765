"""Configs: TOML in, validated choices out, every error at once.

The accepted fields are not written down: they are the parameters of the registered constructors (a problem's recipes,
the methods and their components), so that a new class is configurable as soon as it exists.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from pydantic import ValidationError

from experiments.clock import HAS_CLOCK, Clock
from experiments.config_errors import explain
from experiments.config_models import Choice, Rule, Start, schema
from experiments.expectation_errors import expectation_errors
from experiments.expectations import Expectation
from experiments.raw_config import check_values
from experiments.selection import choices
from experiments.spec import Spec
from problems import InvalidInput
from problems.datasets import absolute
from problems.registry import load_entry_points, load_plugin
from simulator import Method
from simulator.arguments import Precision
from simulator.traffic import Payload

__all__ = ["Config", "StepsizeSpec", "parse_config"]

# A sweep of more runs than this is a mistake in a config, and is refused before anything is built.
MOST_RUNS = 100_000
MOST_ERRORS = 50  # that are told; each is explained, with the nearest name that is accepted, in about a millisecond
MOST_RECORDS = 20_000_000  # rows of the traces, about 100 bytes each and 40 more for every theorem


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
    plugins: list[str]
    rounds: int
    record_every: int
    seeds: list[int]
    target: float
    precision: Precision
    payload: Payload
    start: Start
    clock: Clock | None
    problems: list[Spec]
    methods: list[tuple[int, Spec, list[StepsizeSpec]]]  # index of the [[method]] table, choice, stepsizes
    expect: list[Expectation]
    raw: dict[str, Any]  # as given, overrides applied, paths of plugins and data absolute

    @property
    def num_runs(self) -> int:
        """How many trajectories the sweep has."""
        return len(self.problems) * sum(
            len(stepsizes) * len(self.seeds_of(choice.build())) for _, choice, stepsizes in self.methods
        )

    def seeds_of(self, method: Method) -> list[int]:
        """The seeds of its runs. One that does not draw has a single run, called seed 0 whatever the seeds are."""
        return [0] if method.deterministic else self.seeds


# The fields that a config and its model have in common.
PLAIN = (
    "name",
    "description",
    "plugins",
    "rounds",
    "record_every",
    "seeds",
    "target",
    "precision",
    "payload",
    "start",
    "clock",
    "expect",
)


def parse_config(raw: dict[str, Any]) -> Config:
    """Validate a raw config and expand its sweeps; this imports its plugins.

    Raises:
        InvalidInput: with every error on a line of its own: where, what was given, what is accepted.
    """
    check_values(raw)
    raw = _with_plugins(_with_absolute_data(raw))
    whole, tables = schema()
    try:
        model: Any = whole.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = list(dict.fromkeys(explain(raw, detail, tables, whole) for detail in details[:MOST_ERRORS]))
        more = [f"and {len(details) - MOST_ERRORS} errors more"] if len(details) > MOST_ERRORS else []
        raise InvalidInput("\n".join(lines + more)) from None
    _refuse_explosion(model)
    repeated = [seed for seed, count in Counter(model.seeds).items() if count > 1]
    if repeated:
        raise InvalidInput(f"seeds: {repeated[0]} is listed {model.seeds.count(repeated[0])} times; accepted is once")
    config = Config(
        **{name: getattr(model, name) for name in PLAIN},
        problems=[choice for table in model.problem for choice in _choices(table)],
        methods=[
            (index, choice, _stepsizes(table.stepsize))
            for index, table in enumerate(model.method)
            for choice in _choices(table)
        ],
        raw=raw,
    )
    errors = [*_constructor_errors(config), *_expectation_errors(config)]
    if errors:
        raise InvalidInput("\n".join(errors))
    return config


def _with_absolute_data(raw: dict[str, Any]) -> dict[str, Any]:
    """Files of data by paths that hold in any folder, such as that of a worker in another one."""
    given = raw.get("problem")
    if isinstance(given, list):
        return raw | {"problem": [_absolute_data(table) for table in given]}
    return raw | {"problem": _absolute_data(given)} if isinstance(given, dict) else raw


def _absolute_data(table: Any) -> Any:
    if not isinstance(table, dict) or "dataset" not in table:
        return table
    given = table["dataset"]
    found = [
        absolute(name) if isinstance(name, str) else name for name in (given if isinstance(given, list) else [given])
    ]
    return table | {"dataset": found if isinstance(given, list) else found[0]}


def _with_plugins(raw: dict[str, Any]) -> dict[str, Any]:
    """Import the plugins, whose classes the rest of the config may name; their paths become absolute."""
    load_entry_points()
    given = raw.get("plugins")
    if not isinstance(given, list) or not all(isinstance(path, str) for path in given):
        return raw  # there are none, or the schema tells what is wrong
    errors = []
    for index, path in enumerate(given):
        try:
            load_plugin(path)
        except InvalidInput as error:
            errors.append(f"plugins[{index}]: {error}")
    if errors:
        raise InvalidInput("\n".join(errors))
    return raw | {"plugins": [os.path.abspath(path) for path in given]}


def _swept_fields(table: Choice) -> dict[str, list[Any]]:
    return {name: getattr(table, name) for name in type(table).model_fields if name not in ("kind", "stepsize")}


def _count(table: Choice) -> int:
    """How many choices a table expands to, without expanding it."""
    return prod(
        sum(_count(value) if isinstance(value, Choice) else 1 for value in values)
        for values in _swept_fields(table).values()
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


def _choices(table: Choice) -> list[Spec]:
    """Every combination of the values that a table lists."""
    expanded = {
        name: [choice for value in values for choice in (_choices(value) if isinstance(value, Choice) else [value])]
        for name, values in _swept_fields(table).items()
    }
    return [
        Spec(type(table).constructor, table.kind, dict(zip(expanded, values, strict=True)))
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


def _check_declared(method: Any) -> None:
    missing = [name for name in ("compressor", "theorems") if not hasattr(method, name)]
    if missing:
        raise InvalidInput(
            f"the class {type(method).__name__} declares no {' and no '.join(missing)}; a method without any says "
            "`compressor = Identity()` and `theorems = ()`"
        )


def _expectation_errors(config: Config) -> list[str]:
    if not config.expect:
        return []
    return expectation_errors(config.expect, choices(config.problems, config.methods), config.clock)


def _constructor_errors(config: Config) -> list[str]:
    """Build every method once, so that what a constructor refuses is told with the other errors of the config."""
    errors = {}
    for index, choice, stepsizes in config.methods:
        try:
            method = choice.build()
            _check_declared(method)
            if config.clock and method.has_clock:
                raise InvalidInput(f"it {HAS_CLOCK}")
            for stepsize in stepsizes:
                if stepsize.rule is not None:
                    method.theorem(stepsize.rule)
        except InvalidInput as error:
            errors[f"method[{index}] ({choice.kind}): {error}"] = None
    return list(errors)
