"""Which runs a config describes, what each is called, and which are computed together; nothing is built for that."""

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from experiments.config import Config, StepsizeSpec
from experiments.errors import Errors
from experiments.spec import Spec
from problems import InvalidInput
from problems.datasets import data_checksum, declared_features
from problems.registry import plugin_checksum, plugin_packages
from simulator import NUMERICAL_VERSION

__all__ = ["Block", "Pair", "Run", "blocks_of", "checksums", "digest", "left_of", "where"]

T = TypeVar("T")

# Runs advanced together: enough to share each pass over the data, few enough to keep the states in memory.
LARGEST_BATCH = 64


@dataclass(frozen=True)
class Pair:
    """A problem with a method, as a config describes them."""

    problem_spec: Spec
    table: int  # index of the config's [[method]] table
    method_spec: Spec


@dataclass(frozen=True)
class Run:
    """One trajectory. Its id is a hash of all that its numbers depend on, so it does not depend on the rest of a sweep.

    That is: problem, contents of the data, method, stepsize, seed, rounds, what is recorded, precision, the contents of
    plugins, the versions of installed packages with plugins, and the numerical version of this one; not the machine,
    and not where files are.
    """

    id: str
    spec: StepsizeSpec
    seed: int


@dataclass(frozen=True)
class Block:
    """Runs of one pair that are computed together: every stepsize with every seed."""

    pair: Pair
    runs: list[list[Run]]  # [S][K]

    @property
    def ids(self) -> list[str]:
        """The ids of its runs, in their order."""
        return [run.id for lane in self.runs for run in lane]

    @property
    def key(self) -> str:
        """A hash of its runs, by which its files are called."""
        return digest(self.ids)


def digest(value: Any) -> str:
    """A short hash of what JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def where(pair: Pair) -> str:
    """Where the pair's method stands in the config, for errors."""
    return f"method[{pair.table}] ({pair.method_spec.kind})"


def blocks_of(config: Config) -> list[Block]:
    """All runs of a config, grouped as they would be computed from nothing.

    Raises:
        InvalidInput: data are missing or cannot be read, or a run is described twice, in which case it would count as
            two samples where it is one.
    """
    shared = {
        "numerics": NUMERICAL_VERSION,
        "plugins": sorted(checksums(config)["plugins"].values()),
        "packages": plugin_packages(),
        "rounds": config.rounds,
        "record_every": config.record_every,
        "target": config.target,
        "precision": config.precision,
        "payload": config.payload,
        "start": config.start.model_dump(),
    }
    blocks = [
        block
        for problem, described in _described_problems(config)
        for table, method, specs in config.methods
        for block in _blocks(config, Pair(problem, table, method), specs, shared | {"problem": described})
    ]
    _refuse_repetitions(blocks)
    return blocks


def _described_problems(config: Config) -> Iterator[tuple[Spec, dict[str, Any]]]:
    """The problems, each with what its numbers depend on: the contents of its data, not their name."""
    known = checksums(config)["data"]
    for problem in config.problems:
        table = problem.flat()
        if "dataset" in table:
            name = table["dataset"]
            table |= {"dataset": [known[str(name)], declared_features(name)]}
        yield problem, table


def checksums(config: Config) -> dict[str, dict[str, str]]:
    """sha256 of what a config reads: "data" by the name or path of a problem's `dataset`, "plugins" by path.

    Raises:
        InvalidInput: data or a plugin that cannot be read, or a plugin that is not what was imported.
    """
    errors, data = Errors(), {}
    for problem in config.problems:
        if (name := problem.parameters.get("dataset")) is not None and str(name) not in data:
            with errors.collected(f"problem ({problem.kind})"):
                data[str(name)] = data_checksum(name)
    errors.raise_any()
    return {"data": data, "plugins": {path: plugin_checksum(path) for path in config.plugins}}


def _blocks(config: Config, pair: Pair, specs: list[StepsizeSpec], shared: dict[str, Any]) -> Iterator[Block]:
    seeds = config.seeds_of(pair.method_spec.build())
    shared = shared | {"method": pair.method_spec.flat()}

    def run(spec: StepsizeSpec, seed: int) -> Run:
        return Run(digest(shared | {"stepsize": [spec.rule, spec.multiple], "seed": seed}), spec, seed)

    for some in _chunks(seeds, LARGEST_BATCH):
        for part in _chunks(specs, max(1, LARGEST_BATCH // len(some))):
            yield Block(pair, [[run(spec, seed) for seed in some] for spec in part])


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _refuse_repetitions(blocks: list[Block]) -> None:
    runs = [run for block in blocks for lane in block.runs for run in lane]
    (run_id, count), *_ = Counter(run.id for run in runs).most_common(1)
    if count > 1:
        run = next(run for run in runs if run.id == run_id)
        stepsize = f"{run.spec.multiple:g}" + (f" x {run.spec.rule}" if run.spec.rule else "")
        raise InvalidInput(
            f"the config describes the same run {count} times (stepsize {stepsize}, seed {run.seed}); every problem, "
            "method, stepsize and seed may be listed once"
        )


def left_of(blocks: list[Block], done: Container[str]) -> list[Block]:
    """The blocks without the runs whose ids are in `done`; one of which some are done falls into rectangles."""
    return [part for block in blocks for part in _left_of(block, done)]


def _left_of(block: Block, done: Container[str]) -> list[Block]:
    by_seeds: dict[tuple[int, ...], list[list[Run]]] = {}
    for lane in block.runs:
        left = [run for run in lane if run.id not in done]
        by_seeds.setdefault(tuple(run.seed for run in left), []).append(left)
    return [Block(block.pair, lanes) for seeds, lanes in by_seeds.items() if seeds]
