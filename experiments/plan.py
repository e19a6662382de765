"""From a config to batches: problems and methods are built, stepsizes resolved."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from numbers import Real
from operator import attrgetter
from typing import Any

import numpy as np
from jax import Array
from threadpoolctl import threadpool_limits

from experiments.config import Config, StepsizeSpec
from experiments.errors import Errors
from experiments.progress import progress_bar
from experiments.runs import Block, Pair, Run, blocks_of, where
from problems import InvalidInput, Problem
from simulator import Constants, Method, Trace, constants_of, simulate

__all__ = ["Batch", "Case", "Plan", "make_cases", "make_plan", "one_thread", "simulation"]


@dataclass(frozen=True)
class Case:
    """A pair, built: what the runs of a batch have in common."""

    pair: Pair
    problem: Problem
    method: Method
    constants: Constants

    @property
    def resolved(self) -> dict[str, float]:
        """The numbers that theory has chosen for parameters which were left out."""
        omitted = [name for name, value in self.pair.method_spec.parameters.items() if value is None]
        values = {name: getattr(self.constants.method, name) for name in omitted}
        return {name: float(value) for name, value in values.items() if np.ndim(value) == 0 and _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | np.ndarray | Array)


@dataclass(frozen=True)
class Batch:
    """The runs of a block, with what they need to be computed."""

    block: Block
    case: Case
    stepsizes: list[float]  # [S]

    @property
    def runs(self) -> list[list[Run]]:
        """The runs, [S][K]."""
        return self.block.runs

    @property
    def seeds(self) -> list[int]:
        """The seeds, K of them."""
        return [run.seed for run in self.runs[0]]


@dataclass(frozen=True)
class Plan:
    """What is to be computed of a sweep."""

    config: Config
    batches: list[Batch]


def make_plan(config: Config, blocks: list[Block] | None = None) -> Plan:
    """Build the problems and methods of some blocks of a config, or of all, and resolve their stepsizes.

    Raises:
        InvalidInput: with every case that cannot be run on a line of its own: a compressor that does not fit the
            dimension, data that cannot be loaded, a rule whose theorem does not apply (in words).
    """
    errors = Errors()
    batches: list[Batch] = []
    blocks = blocks_of(config) if blocks is None else blocks
    by_pair = {id(pair): list(own) for pair, own in groupby(blocks, attrgetter("pair"))}
    for case in _cases([own[0].pair for own in by_pair.values()], errors):
        with errors.collected(where(case.pair)):
            batches += [_batch(case, block) for block in by_pair[id(case.pair)]]
    errors.raise_any()
    return Plan(config, batches)


def make_cases(config: Config) -> list[Case]:
    """Every problem of a config with every method.

    Raises:
        InvalidInput: as `make_plan` does, but for stepsizes, which are not looked at.
    """
    errors = Errors()
    pairs = [Pair(problem, table, method) for problem in config.problems for table, method, _ in config.methods]
    cases = list(_cases(pairs, errors))
    errors.raise_any()
    return cases


def _cases(pairs: list[Pair], errors: Errors) -> Iterator[Case]:
    """The pairs, built; neighbours of one problem share it."""
    problems = [(spec, list(own)) for spec, own in groupby(pairs, attrgetter("problem_spec"))]
    for spec, own in progress_bar(problems, desc="problems and their constants", leave=False):
        with errors.collected(f"problem ({spec.kind})"):
            with one_thread():
                problem = spec.build()
            for pair in own:
                with errors.collected(where(pair)):
                    yield _case(pair, problem)


def _case(pair: Pair, problem: Problem) -> Case:
    method = pair.method_spec.build()
    with one_thread():
        return Case(pair, problem, method, constants_of(problem, method))


def one_thread() -> Any:
    """Linear algebra of NumPy and SciPy on one thread inside the block.

    On several it forms sums in another order, so that last bits would depend on the number of cores; and matrices of
    the sizes here hardly gain from them.
    """
    return threadpool_limits(1, user_api="blas")


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
        described = f"{case.pair.problem_spec.kind} with {case.method.compressor.kind}"
        raise InvalidInput(f"the rule {spec.rule!r} does not apply to {described}: {obstacle}")
    if not theorem.limits_stepsize:
        raise InvalidInput(f"the rule {spec.rule!r} names no stepsize: the theorem holds at every one")
    return spec.multiple * float(theorem.max_stepsize(case.constants))


def _batch(case: Case, block: Block) -> Batch:
    return Batch(block, case, [resolve_stepsize(case, lane[0].spec) for lane in block.runs])


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
