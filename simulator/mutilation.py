"""False statements made from true ones, for negative controls: a check that lets them pass says nothing."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any

from simulator.constants import Constants
from simulator.theorem import Theorem, at_model, no_drift, no_limit

__all__ = ["misled", "understated", "without_drift"]


def misled(theorem: Theorem, belief: Callable[[Constants], Constants], name: str) -> Theorem:
    """The theorem as one would state it who takes belief(constants) for the constants, called `name`."""
    formulas = {each.name: getattr(theorem, each.name) for each in fields(theorem)}
    mistaken = {
        field: _applied_to(belief, formula)
        for field, formula in formulas.items()
        if callable(formula) and formula not in (no_limit, at_model)
    }
    return replace(theorem, name=name, **mistaken)


def _applied_to(belief: Callable[[Constants], Constants], formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda constants, *rest: formula(belief(constants), *rest)


@cache  # the engine compiles theorems in, and knows them by identity
def understated(theorem: Theorem, factor: float) -> Theorem:
    """The theorem as it would be if all smoothness constants were `factor` times smaller; its name says so."""
    return misled(theorem, lambda c: _smoother(c, factor), f"{theorem.name}, smoothness / {factor:g}")


@cache
def without_drift(theorem: Theorem) -> Theorem:
    """The theorem for those who forget noise and heterogeneity; its name says so."""
    return replace(theorem, name=f"{theorem.name}, without drift", drift=no_drift)


def _smoother(c: Constants, factor: float) -> Constants:
    def less(constant: Any) -> Any:
        return None if constant is None else constant / factor

    noise = c.noise and c.noise._replace(
        expected_smoothness=less(c.noise.expected_smoothness),
        difference_smoothness=less(c.noise.difference_smoothness),
    )
    return c._replace(
        smoothness=c.smoothness / factor,
        worker_smoothness=c.worker_smoothness / factor,
        mean_squared_smoothness=less(c.mean_squared_smoothness),
        noise=noise,
    )
