"""What is measured: EF21 with Top-k on three kinds of problems, many stepsizes at once or a single one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tests.benchmarks.models import DenseQuadratic, DiagonalQuadratic, Logistic, Model

__all__ = ["WORKLOADS", "Recipe", "Workload", "named", "stepsizes"]

SWEEP = 64  # stepsizes at once


@dataclass(frozen=True)
class Workload:
    """EF21 with Top-k from x0 = 0 on a model, for all stepsizes [S], in float64."""

    name: str
    model: Model
    k: int
    stepsizes: np.ndarray

    @property
    def runs(self) -> int:
        return len(self.stepsizes)


class Recipe(NamedTuple):
    """A workload before its data exist."""

    kind: str
    make: Callable[..., Model]
    sizes: tuple[int, ...]  # arguments of `make`
    k: int
    runs: int

    @property
    def name(self) -> str:
        return f"{self.kind}-k{self.k}-S{self.runs}"

    def build(self) -> Workload:
        return Workload(self.name, _model(self.make, self.sizes), self.k, stepsizes(self.runs))


@lru_cache(maxsize=1)  # neighbours in the list share their data
def _model(make: Callable[..., Model], sizes: tuple[int, ...]) -> Model:
    return make(*sizes)


def stepsizes(runs: int) -> np.ndarray:
    """Small enough for every run to stay bounded over the few rounds that are timed. [S]."""
    return np.geomspace(1e-3, 1e-1, runs) if runs > 1 else np.array([1e-2])


def named(prefixes: Sequence[str]) -> list[Recipe]:
    """The recipes whose names begin with one of the prefixes.

    Raises:
        ValueError: a prefix of no name.
    """
    unknown = [prefix for prefix in prefixes if not any(recipe.name.startswith(prefix) for recipe in WORKLOADS)]
    if unknown:
        known = ", ".join(recipe.name for recipe in WORKLOADS)
        raise ValueError(f"no workload begins with {unknown[0]!r}; there are {known}")
    return [recipe for recipe in WORKLOADS if recipe.name.startswith(tuple(prefixes))]


def _logistic(kind: str, workers: int, samples: int, dim: int) -> list[Recipe]:
    choices = ((1, SWEEP), (dim // 10, SWEEP), (1, 1))
    return [Recipe(kind, Logistic, (workers, samples, dim), k, runs) for k, runs in choices]


WORKLOADS = (
    *_logistic("mushrooms", 20, 406, 112),
    *_logistic("a9a", 100, 325, 123),
    *_logistic("w8a", 1000, 49, 300),
    *(Recipe("diagonal", DiagonalQuadratic, (1000, 100), k, SWEEP) for k in (1, 10)),
    *(Recipe("dense", DenseQuadratic, (100, 100), k, SWEEP) for k in (1, 10)),
)
