"""What `efsim init` chooses: values for fields that must be given, components that suit the method, its theorems."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple, get_args, get_origin

from experiments.spec import Parameter, Spec, component_of, constructors, parameters
from problems import InvalidInput, Problem
from problems.registry import look_up
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
    constants_of,
)

__all__ = ["FILL_IN", "METHOD", "PROBLEM", "Beginning", "choose"]

PROBLEM, METHOD = "quadratic", "ef21"

# What fields that must be given, or are better given, begin with.
VALUES: dict[str, Any] = {
    "workers": 20,
    "dim": 10,
    "features_per_worker": 3,
    "dataset": "breast-cancer-wisconsin",
    "probability": 0.2,
    "trigger": 1.0,
    "warmup": 100,
}
BETTER: dict[str, dict[str, Any]] = {
    "quadratic": {"smoothness_ratio": [1.0, 4.0], "pl_constant": 0.1},
    "logistic-regression": {"scaling": "standardize", "regularizer": "l2", "strength": 1e-2},
}
# Components by how likely they are to suit a method; the first that gives it a theorem is taken.
CANDIDATES: dict[type, list[tuple[str, dict[str, Any]]]] = {
    Compressor: [("top-k", {"k": 1}), ("rand-k", {"k": 1, "scaled": True}), ("identity", {})],
    GradientOracle: [("gaussian-noise", {"variance": 1e-4}), ("minibatch", {"size": 1}), ("exact", {})],
    InnerOptimizer: [("sgd", {})],
    Participation: [("independent", {"chance": 0.5})],
    WorkingTimes: [("exponential", {"spread": 4.0})],
    ProximalRegularizer: [("l1-norm", {"strength": 1e-3})],
    GradientCode: [("cyclic-repetition", {"tolerance": 1})],
    Stragglers: [("fixed-stragglers", {"workers": 1})],
    Method: [("gd", {})],
}
FILL_IN = "to be filled in"
MOST_RULES = 2


class Beginning(NamedTuple):
    """What a config begins with."""

    problem: Spec
    method: Spec
    rules: list[str]  # theorems that give the method a stepsize; none where none is known to


def choose(problem: str, method: str) -> Beginning:
    """A problem and a method of these kinds.

    Raises:
        InvalidInput: there is no such problem or method.
    """
    described = _spec(problem, look_up("problem", problem, constructors(Problem)), BETTER.get(problem, {}))
    specs = list(_method_specs(method, look_up("method", method, constructors(Method))))
    built = _built(described)
    if built is not None:
        for spec in specs:
            if rules := _rules(spec, built):
                return Beginning(described, spec, rules[:MOST_RULES])
    return Beginning(described, specs[0], [])


def _spec(kind: str, constructor: Callable[..., Any], given: dict[str, Any]) -> Spec:
    """The choice with values for what must be given, and for what is given here."""
    needed = {parameter.name: _value(parameter) for parameter in parameters(constructor) if parameter.required}
    return Spec(constructor, kind, needed | given)


def _value(parameter: Parameter) -> Any:
    if parameter.name in VALUES:
        return VALUES[parameter.name]
    if get_origin(parameter.hint) is not None:
        return get_args(parameter.hint)[0]
    return {bool: False, int: 2, float: 0.5}.get(parameter.hint, FILL_IN)


def _built(described: Spec) -> Problem | None:
    """The problem, of a sweep the first; None where a field is still to be filled in."""
    first = {name: value[0] if isinstance(value, list) else value for name, value in described.parameters.items()}
    try:
        return Spec(described.constructor, described.kind, first).build()
    except InvalidInput:
        return None


def _method_specs(kind: str, constructor: Callable[..., Any]) -> Iterator[Spec]:
    needed = [parameter for parameter in parameters(constructor) if parameter.required]
    for values in product(*map(_candidates, needed)):
        yield Spec(constructor, kind, {given.name: value for given, value in zip(needed, values, strict=True)})


def _candidates(parameter: Parameter) -> list[Any]:
    component = component_of(parameter.hint)
    if component is None:
        return [_value(parameter)]
    known = constructors(component)
    return [Spec(known[kind], kind, values) for kind, values in CANDIDATES[component]]


def _rules(spec: Spec, problem: Problem) -> list[str]:
    """The theorems that give the method a stepsize there."""
    try:
        method = spec.build()
        constants = constants_of(problem, method)
    except InvalidInput:
        return []
    limiting = (theorem for theorem in method.theorems if theorem.limits_stepsize)
    return [theorem.name for theorem in limiting if theorem.obstacle(constants) is None]
