"""The batched engine: one compiled program (`simulator/program.py`) advances all runs of a problem and a method.

It is run in chunks of rounds. Between chunks the host collects what is recorded, reports progress, and leaves out runs
that have diverged: nothing about them changes any more. A batch that would not fit into memory is split.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from problems import Problem
from simulator.arguments import (
    Precision,
    as_seeds,
    as_starting_point,
    as_stepsizes,
    check_choice,
    check_counts,
    check_names,
    check_pytrees,
    check_start,
)
from simulator.checkpoints import Checkpoints, as_arrays, with_arrays
from simulator.checks import factors
from simulator.constants import Constants, constants_of
from simulator.devices import lanes_that_fit, multiplications, spread, workers_mesh
from simulator.method import Method
from simulator.program import Program, Record, Run, Setting, Stops, Tally, advance, narrow, placed, start
from simulator.theorem import Theorem
from simulator.trace import Trace
from simulator.traffic import Payload
from simulator.verdict import Course, reach_verdict

__all__ = ["simulate"]

# Recorded rounds in one call of the compiled program: enough to hide the call, few enough to show progress.
RECORDS_PER_CHUNK = 32
# Multiplications of one call: some seconds, after which the host can show progress or stop.
WORK_PER_CHUNK = 1e11
# Multiplications in the time that the operations of a round take to begin, however small they are.
LEAST_WORK_OF_A_ROUND = 1e6
# Multiplications that are worth the compilation of a program with fewer lanes.
WORK_OF_COMPILING = 1e11

logger = logging.getLogger(__name__)


def simulate(
    problem: Problem,
    method: Method,
    *,
    stepsize: ArrayLike,
    rounds: int,
    x0: ArrayLike | None = None,
    record_every: int = 1,
    seed: ArrayLike = 0,
    target: float = 1e-6,
    precision: Precision = "float64",
    payload: Payload = 32,
    theorems: Sequence[Theorem] | None = None,
    progress: Callable[[int], object] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trace:
    """Run `method` on `problem` and judge it by theorems at every round.

    Args:
        stepsize: gamma > 0, a number or an array [S] of them.
        rounds: T >= 0, the number of rounds.
        x0: the starting point [d]; the origin by default.
        record_every: rounds between records; round 0 and the last one are always recorded.
        seed: of the random compressors, a whole number >= 0 or an array [K] of them.
        target: relative |grad f|^2 whose first round is noted in `target_round`.
        precision: "float64" or "float32", in which descent can hardly be judged.
        payload: bits that a float costs to send, 32 or 64, whatever the precision.
        theorems: to judge by instead of the method's own, names unique; they read the method's states.
        progress: called with the number of rounds done since the last call, summed over the runs. What it raises ends
            the simulation; those of a checkpoint are told first.
        checkpoints: where to go on from, and where to leave what is needed for it: the result is the same, to the last
            bit on the same devices.

    Returns:
        The trace; arrays of stepsizes and seeds give values [S, K, R], a single one of either leaves its axis out.

    Raises:
        InvalidInput: an argument out of range, two theorems of one name, or a compressor that does not exist in the
            problem's dimension.
    """
    check_pytrees(problem, method)
    check_pytrees(*method.components)
    check_counts(rounds, record_every)
    check_choice(target, precision, payload)
    stepsizes, seeds, start_point = as_stepsizes(stepsize), as_seeds(seed), as_starting_point(x0, problem.dim)
    constants = constants_of(problem, method)
    statements = method.theorems if theorems is None else tuple(theorems)
    check_names(statements)
    obstacles = {theorem.name: theorem.obstacle(constants) for theorem in statements}
    applicable = tuple(theorem for theorem in statements if obstacles[theorem.name] is None)

    schedule = Schedule(np.unique(np.append(np.arange(0, rounds, record_every), rounds)))
    batch = _prepare(problem, constants, applicable, payload, precision, len(stepsizes.ravel()) * len(seeds.ravel()))
    shared = (batch.setting, jnp.asarray(start_point, precision), jnp.asarray(target, precision))
    lanes = [lane.ravel() for lane in np.meshgrid(stepsizes, seeds, indexing="ij")]
    begun = (
        _start(batch, shared, *part)
        for part in zip(*(np.array_split(lane, batch.parts) for lane in lanes), strict=True)
    )
    parts = [
        _simulate(batch, schedule, position, Observer(f"{number}-of-{batch.parts}", checkpoints, progress))
        for number, position in enumerate(begun, 1)
    ]
    shape = stepsizes.shape + seeds.shape
    runs = jax.tree.map(lambda *leaves: _unravelled(np.concatenate(leaves, axis=-1), shape), *parts)
    axes = (stepsizes.reshape(stepsizes.shape + (1,) * seeds.ndim), seeds)
    return _trace(applicable, obstacles, constants, np.broadcast_arrays(*axes), schedule.recorded, *runs)


def _unravelled(leaf: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[..., S] with the lanes as axes of their own, in front. -> [*shape, ...]."""
    return np.moveaxis(leaf.reshape(leaf.shape[:-1] + shape), range(leaf.ndim - 1), range(1 - leaf.ndim, 0))


# --- batches ------------------------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """What all runs have in common, on the devices."""

    program: Program
    setting: Setting
    constants: Constants  # on the host
    work: float  # multiplications of one round of one run
    parts: int  # how many parts the runs are computed in, one after another


def _prepare(
    problem: Problem,
    constants: Constants,
    theorems: tuple[Theorem, ...],
    payload: Payload,
    precision: Precision,
    lanes: int,
) -> Batch:
    work = multiplications(problem)
    mesh = workers_mesh(problem.num_workers, work * lanes)
    fitting = lanes_that_fit(problem, jnp.dtype(precision).itemsize, mesh)
    parts = -(-lanes // fitting)
    if parts > 1:
        logger.warning("%d runs at once would not fit into memory: they are computed in %d parts", lanes, parts)
    optimum = None
    if constants.minimizer is not None:
        optimum = problem.evaluation(jnp.asarray(constants.minimizer), jnp.asarray(constants.optimal_gradients))
    setting = _cast(Setting(problem, constants.method, constants, optimum), precision)
    return Batch(Program(theorems, payload, mesh), spread(setting, mesh, problem.num_workers), constants, work, parts)


def _cast(setting: Setting, precision: str) -> Setting:
    """All floating-point leaves as arrays of the precision: python floats would be compiled in or promoted."""

    def cast(leaf: Any) -> Any:
        array = jnp.asarray(leaf)
        return array.astype(precision) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(cast, setting)


# --- rounds -------------------------------------------------------------------------------------------------------


class Schedule(NamedTuple):
    """The rounds of which something is recorded, ascending, from 0 to the last one."""

    recorded: np.ndarray  # [R]

    def chunks(self, rounds: int, done: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Consecutive parts, from the round `done` on, of at most RECORDS_PER_CHUNK stops and about so many rounds.

        A part is the numbers of rounds from one stop to the next, and which stops are recorded; where recorded rounds
        are far apart, there are others between them.
        """
        last = int(self.recorded[-1])
        stops = np.union1d(self.recorded, np.arange(0, last, rounds))
        stops = np.union1d(stops[stops > done], done)
        counts, kept = np.diff(stops), np.isin(stops[1:], self.recorded)
        begin = 0
        while begin < len(counts):
            within = np.searchsorted(stops, stops[begin] + rounds, side="right") - 1
            end = max(begin + 1, min(begin + RECORDS_PER_CHUNK, int(within)))
            yield counts[begin:end], kept[begin:end]
            begin = end


class Runs(NamedTuple):
    """Some of the runs of a batch, on the devices."""

    lanes: np.ndarray  # which ones, [s]
    gammas: Array  # [s]
    runs: Run  # leaves [..., s]


class Results(NamedTuple):
    """What is known of all runs of a part, on the host."""

    tally: Tally  # leaves [..., S]
    latest: Record  # leaves [..., S]


class Position(NamedTuple):
    """How far a part has come: all that the rounds after it depend on, and what was recorded before."""

    running: Runs
    results: Results
    rows: Record  # leaves [r, ..., S]
    done: np.ndarray  # rounds, []


class Observer(NamedTuple):
    """Who is told about the rounds of a part."""

    name: str  # of the part
    checkpoints: Checkpoints | None
    progress: Callable[[int], object] | None

    def resumed(self, begun: Position) -> Position | None:
        """The last checkpoint; None where there is none that fits."""
        arrays = None if self.checkpoints is None else self.checkpoints.load(self.name)
        position = None if arrays is None else with_arrays(begun, arrays)
        if position is not None and self.progress is not None:
            self.progress(int(position.done) * len(begun.running.lanes))
        return position

    def advanced(self, rounds: int, position: Callable[[], Position]) -> None:
        """So many rounds have been done, summed over the runs."""
        if self.checkpoints is not None:
            self.checkpoints.offer(self.name, lambda: as_arrays(position()))
        if self.progress is not None:
            self.progress(rounds)


def _start(batch: Batch, shared: Any, stepsizes: np.ndarray, seeds: np.ndarray) -> Position:
    """The runs with these stepsizes [S] and seeds [S] at round 0."""
    gammas = jnp.asarray(stepsizes, shared[1].dtype)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    numbers = factors(batch.program.theorems, batch.constants, stepsizes)
    numbers = jax.tree.map(lambda table: jnp.asarray(table, gammas.dtype), numbers)
    runs, first = start(batch.program, shared, gammas, keys, numbers)
    check_start(first.loss, first.grad_norm_sq)
    results = jax.tree.map(np.array, Results(runs.tally, first))
    row = jax.tree.map(lambda leaf: leaf[None].copy(), results.latest)
    return Position(Runs(np.arange(len(stepsizes)), gammas, runs), results, row, np.zeros((), int))


def _simulate(batch: Batch, schedule: Schedule, begun: Position, observer: Observer) -> tuple[Tally, Record]:
    """Chunk after chunk to the last round. -> the tally there [..., S], and records [R, ..., S], on the host."""
    lanes, last = len(begun.running.lanes), int(schedule.recorded[-1])
    running, results, row, done = observer.resumed(begun) or begun
    running = running._replace(runs=placed(batch.program, batch.setting, running.runs))
    rows = [row]
    rounds = max(1, int(WORK_PER_CHUNK / max(batch.work * lanes, LEAST_WORK_OF_A_ROUND)))
    for counts, kept in schedule.chunks(rounds, int(done)):
        running = _without_ended(batch, running, results.tally.diverged_round, last - int(done))
        running, records = _advance(batch, running, (counts, kept), results)
        rows.append(jax.tree.map(lambda leaf: leaf[kept], records))  # noqa: B023  (used at once)
        done = done + counts.sum()
        observer.advanced(int(counts.sum()) * lanes, lambda: Position(running, results, _joined(rows), done))  # noqa: B023
    return results.tally, _joined(rows)


def _joined(rows: list[Record]) -> Any:
    return jax.tree.map(lambda *parts: np.concatenate(parts), *rows)


def _advance(
    batch: Batch, running: Runs, chunk: tuple[np.ndarray, np.ndarray], results: Results
) -> tuple[Runs, Record]:
    """One chunk; `results` is brought up to date. -> the runs after it, and records of all runs [C, ..., S]."""
    number = len(chunk[0])
    records = jax.tree.map(lambda leaf: np.repeat(leaf[None], number, axis=0), results.latest)
    if len(running.lanes):
        blank = jax.tree.map(
            lambda leaf: np.zeros((RECORDS_PER_CHUNK, *leaf.shape[:-1], len(running.lanes)), leaf.dtype), results.latest
        )
        counts, kept = (jnp.asarray(np.pad(each, (0, RECORDS_PER_CHUNK - number))) for each in chunk)
        stops = Stops(counts.astype(jnp.int32), kept, jnp.asarray(number))
        runs, recorded = advance(batch.program, batch.setting, running.gammas, running.runs, blank, stops)
        running = running._replace(runs=runs)
        _enter(records, jax.tree.map(lambda leaf: np.asarray(leaf)[:number], recorded), running.lanes)
        _enter(results.tally, runs.tally, running.lanes)
        _enter(results.latest, jax.tree.map(lambda leaf: leaf[-1], records), slice(None))
    return running, records


def _enter(into: Any, values: Any, lanes: Any) -> None:
    """Write the values of some lanes, leaves [..., s], into arrays [..., S]."""
    for target, leaf in zip(jax.tree.leaves(into), jax.tree.leaves(values), strict=True):
        target[..., lanes] = np.asarray(leaf)


def _without_ended(batch: Batch, running: Runs, diverged_round: Any, rounds: int) -> Runs:
    """The runs that have not diverged, and others that fill them up to a power of two, where that pays.

    Whether it does depends on the config alone, not on a clock, so that results can be repeated to the last bit.
    """
    ended = diverged_round[running.lanes] >= 0
    alive, width = int(np.sum(~ended)), len(ended)
    fewer = 1 << (alive - 1).bit_length() if alive else 0
    saved = batch.work * (width - fewer) * rounds
    if fewer == width or (fewer and (fewer > width / 2 or saved < WORK_OF_COMPILING)):
        return running
    chosen = np.sort(np.argsort(ended, kind="stable")[:fewer])
    if not fewer:
        return running._replace(lanes=chosen)
    runs = narrow(batch.program, batch.setting, running.runs, jnp.asarray(chosen))
    return Runs(running.lanes[chosen], running.gammas[chosen], runs)


# --- results ------------------------------------------------------------------------------------------------------


def _trace(theorems, obstacles, constants, axes, recorded_rounds, tally: Any, records: Any) -> Trace:
    """Collect tallies and records, with leaves [...] or [..., K] and [..., R] or [..., R, K], into a trace.

    `axes` are the stepsizes and the seeds of the runs, [...] each.
    """
    gammas, seeds = axes
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = records.grad_norm_sq_sum / recorded_rounds
    return Trace(
        stepsize=gammas,
        seed=seeds,
        round=recorded_rounds,
        bits_per_worker=records.uplink_bits,
        downlink_bits_per_worker=records.downlink_bits,
        elapsed=records.elapsed,
        loss=records.loss,
        loss_gap=records.loss_gap,
        grad_norm_sq=records.grad_norm_sq,
        mean_grad_norm_sq=mean,
        min_grad_norm_sq=np.where(recorded_rounds > 0, records.grad_norm_sq_min, np.nan),
        final_point=tally.final_point,
        diverged_round=tally.diverged_round,
        target_round=tally.target_round,
        verdicts={
            theorem.name: reach_verdict(
                theorem,
                constants,
                gammas,
                recorded_rounds,
                jax.tree.map(lambda leaf: leaf[..., index], tally.check),  # noqa: B023  (used at once)
                _course(records, index, mean),
            )
            for index, theorem in enumerate(theorems)
        },
        obstacles={name: obstacle for name, obstacle in obstacles.items() if obstacle is not None},
    )


def _course(records: Any, theorem: int, mean_grad_norm_sq: np.ndarray) -> Course:
    """What the records say of the theorem with the given index."""
    return Course(
        lyapunov=records.lyapunov[..., theorem],
        noise=records.noise[..., theorem],
        budget=records.budget[..., theorem],
        slack=records.slack[..., theorem],
        log_ratio=records.log_ratio[..., theorem],
        log_capital=records.log_capital[..., theorem],
        mean_grad_norm_sq=mean_grad_norm_sq,
        min_grad_norm_sq=records.grad_norm_sq_min,
    )
