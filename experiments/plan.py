"""From a config to batches: which runs there are, what each is called, and which are computed together."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from jax import Array

from experiments.config import Config, StepsizeSpec
from experiments.progress import progress_bar
from experiments.spec import Spec
from problems import InvalidInput, Problem
from simulator import Constants, Method, Trace, constants_of, simulate

__all__ = ["Batch", "Case", "Plan", "Run", "make_cases", "make_plan", "simulation"]

T = TypeVar("T")

# Runs advanced together: enough to share each pass over the data, few enough to keep the states in memory.
LARGEST_BATCH = 64


@dataclass(frozen=True)
class Case:
    """One problem with one method: what the runs of a batch have in common."""

    problem_spec: Spec
    problem: Problem
    table: int  # index of the config's [[method]] table
    method_spec: Spec
    method: Method
    constants: Constants

    @property
    def resolved(self) -> dict[str, float]:
        """The numbers that theory has chosen for parameters which were left out."""
        omitted = [name for name, value in self.method_spec.parameters.items() if value is None]
        values = {name: getattr(self.constants.method, name) for name in omitted}
        return {name: float(value) for name, value in values.items() if np.ndim(value) == 0 and _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | np.ndarray | Array)


@dataclass(frozen=True)
class Run:
    """One trajectory. Its id is a hash of all that determines it, so it does not depend on the rest of a sweep."""

    id: str
    spec: StepsizeSpec
    stepsize: float
    seed: int


@dataclass(frozen=True)
class Batch:
    """Runs of one case that are computed together: every stepsize with every seed."""

    name: str
    case: Case
    stepsizes: list[float]  # [S]
    runs: list[list[Run]]  # [S][K]

    @property
    def seeds(self) -> list[int]:
        """The seeds, K of them."""
        return [run.seed for run in self.runs[0]]


@dataclass(frozen=True)
class Plan:
    """Everything that a sweep computes."""

    config: Config
    batches: list[Batch]


def make_plan(config: Config) -> Plan:
    """Build the problems and methods of a config, resolve its stepsizes and group its runs.

    Raises:
        InvalidInput: with every case that cannot be run on a line of its own: a compressor that does not fit the
            dimension, data that cannot be loaded, a rule whose theorem does not apply (in words).
    """
    errors = Errors()
    batches: list[Batch] = []
    for case, specs in _cases(config, errors):
        with errors.collected(f"method[{case.table}] ({case.method_spec.kind})"):
            batches += _batches(config, case, specs, len(batches))
    errors.raise_any()
    _refuse_repetitions(batches)
    return Plan(config, batches)


def _refuse_repetitions(batches: list[Batch]) -> None:
    """Two equal runs would have one id, and count as two samples where they are one."""
    runs = [run for batch in batches for lane in batch.runs for run in lane]
    (run_id, count), *_ = Counter(run.id for run in runs).most_common(1)
    if count > 1:
        run = next(run for run in runs if run.id == run_id)
        stepsize = f"{run.spec.multiple:g}" + (f" x {run.spec.rule}" if run.spec.rule else "")
        raise InvalidInput(
            f"the config describes the same run {count} times (stepsize {stepsize}, seed {run.seed}); every problem, "
            "method, stepsize and seed may be listed once"
        )


def make_cases(config: Config) -> list[Case]:
    """Every problem of a config with every method.

    Raises:
        InvalidInput: as `make_plan` does, but for stepsizes, which are not looked at.
    """
    errors = Errors()
    cases = [case for case, _ in _cases(config, errors)]
    errors.raise_any()
    return cases


class Errors:
    """Users' mistakes, gathered so that all of them are told at once."""

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}  # a dict keeps the order and drops repetitions

    @contextmanager
    def collected(self, where: str) -> Iterator[None]:
        """Note an InvalidInput of the block, with where it happened, and go on after the block."""
        try:
            yield
        except InvalidInput as error:
            self._messages[f"{where}: {error}"] = None

    def raise_any(self) -> None:
        """Raise what has been gathered, if anything."""
        if self._messages:
            raise InvalidInput("\n".join(self._messages))


def _cases(config: Config, errors: Errors) -> Iterator[tuple[Case, list[StepsizeSpec]]]:
    for problem_spec in progress_bar(config.problems, desc="problems and their constants", leave=False):
        with errors.collected(f"problem ({problem_spec.kind})"):
            problem = problem_spec.build()
            for table, method_spec, specs in config.methods:
                with errors.collected(f"method[{table}] ({method_spec.kind})"):
                    method = method_spec.build()
                    constants = constants_of(problem, method)
                    yield Case(problem_spec, problem, table, method_spec, method, constants), specs


def resolve_stepsize(case: Case, spec: StepsizeSpec) -> float:
    """The stepsize in numbers.

    Raises:
        InvalidInput: the rule's theorem does not apply to the case, or limits no stepsize, in words.
    """
    if spec.rule is None:
        return spec.multiple
    theorem = case.method.theorem(spec.rule)
    obstacle = theorem.obstacle(case.constants)
    if obstacle is not None:
        where = f"{case.problem_spec.kind} with {case.method.compressor.kind}"
        raise InvalidInput(f"the rule {spec.rule!r} does not apply to {where}: {obstacle}")
    if not theorem.limits_stepsize:
        raise InvalidInput(f"the rule {spec.rule!r} names no stepsize: the theorem holds at every one")
    return spec.multiple * float(theorem.max_stepsize(case.constants))


def _batches(config: Config, case: Case, specs: list[StepsizeSpec], first: int) -> Iterator[Batch]:
    resolved = [(spec, resolve_stepsize(case, spec)) for spec in specs]
    rectangles = [
        (part, seeds)
        for seeds in _chunks(config.seeds_of(case.method), LARGEST_BATCH)
        for part in _chunks(resolved, max(1, LARGEST_BATCH // len(seeds)))
    ]
    for number, (part, seeds) in enumerate(rectangles, first):
        runs = [
            [Run(_run_id(config, case, spec, seed), spec, stepsize, seed) for seed in seeds] for spec, stepsize in part
        ]
        yield Batch(f"batch-{number:04d}", case, [stepsize for _, stepsize in part], runs)


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _run_id(config: Config, case: Case, spec: StepsizeSpec, seed: int) -> str:
    identity = {
        "problem": case.problem_spec.flat(),
        "method": case.method_spec.flat(),
        "stepsize": [spec.rule, spec.multiple],
        "seed": seed,
        "rounds": config.rounds,
        "record_every": config.record_every,
        "target": config.target,
        "precision": config.precision,
        "payload": config.payload,
        "start": config.start.model_dump(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def simulation(config: Config, case: Case) -> Callable[..., Trace]:
    """`simulate` for the case as the config says, given stepsizes, rounds and what else a caller chooses."""
    return partial(
        simulate,
        case.problem,
        case.method,
        x0=_starting_point(config, case.problem.dim),
        target=config.target,
        precision=config.precision,
        payload=config.payload,
    )


def _starting_point(config: Config, dim: int) -> np.ndarray:
    """x^0 as the config describes it. -> [d]."""
    start: Any = config.start
    if start.kind == "zeros":
        return np.zeros(dim)
    return start.scale * np.random.default_rng(start.seed).standard_normal(dim)
