"""The batched engine: one compiled program advances all runs of a problem and a method at once.

Runs that differ in stepsize and seed are lanes of one `vmap` over a step that is written for a single run, so that
their gradients become one matrix product over the workers' data. The program covers a chunk of recorded rounds; between
chunks the host may report progress. Memory does not grow with the number of rounds.

Random keys: run -> round -> purpose -> worker. The key of a round is that of the seed folded with the round's number,
so that a run's draws depend on its seed alone, not on the batch or the recording. How many lanes a batch has may change
last bits, because matrix products of another shape are summed in another order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
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
from simulator.betting import Account
from simulator.checks import Step, StepCheck, gradient_noise, judge_step, rounding, start_check
from simulator.constants import Constants, constants_of
from simulator.method import Method
from simulator.theorem import Theorem, loss_gap
from simulator.trace import Trace
from simulator.traffic import Payload, Size
from simulator.verdict import Course, reach_verdict

__all__ = ["simulate"]

# Recorded rounds in one call of the compiled program: enough to hide the call, few enough to show progress.
RECORDS_PER_CHUNK = 32


class Run(NamedTuple):
    """All of one run that is carried from round to round."""

    state: Any
    key: Array  # of the seed
    round: Array  # []
    initial_point: Array  # x^0, [d]
    initial_gradient: Array  # mean_i |grad f_i(x^0)|, []
    grad_norm_sq: Array  # at the current point, []
    grad_norm_sq_sum: Array  # over the rounds before, []
    grad_norm_sq_min: Array  # over the rounds before, []
    uplink_bits: Array  # sent by a worker so far, on average, []
    downlink_bits: Array  # sent to a worker so far, []
    target: Array  # |grad f|^2 to reach, []
    target_round: Array  # -1 until it is reached, []
    diverged_round: Array  # -1 until it happens, []
    checks: tuple[StepCheck, ...]  # one a theorem


class Record(NamedTuple):
    """What is recorded of a run at one round; [] each."""

    loss: Array
    loss_gap: Array
    grad_norm_sq: Array
    grad_norm_sq_sum: Array
    grad_norm_sq_min: Array
    uplink_bits: Array
    downlink_bits: Array
    lyapunov: tuple[Array, ...]  # one a theorem
    noise: tuple[Array, ...]  # of the Lyapunov values
    budget: tuple[Array, ...]
    log_ratio: tuple[Array, ...]  # log(A/B) of the bet against the theorem, NaN once it is closed
    log_capital: tuple[Array, ...]


class Program(NamedTuple):
    """What is compiled in."""

    theorems: tuple[Theorem, ...]
    payload: Payload


class Setting(NamedTuple):
    """What all runs of a batch share, as data."""

    problem: Problem
    method: Method
    constants: Constants


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
        progress: called with the number of rounds done since the last call.

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
    stepsizes, seeds, start = as_stepsizes(stepsize), as_seeds(seed), as_starting_point(x0, problem.dim)
    constants = constants_of(problem, method)
    statements = method.theorems if theorems is None else tuple(theorems)
    check_names(statements)
    obstacles = {theorem.name: theorem.obstacle(constants) for theorem in statements}
    applicable = tuple(theorem for theorem in statements if obstacles[theorem.name] is None)

    lanes = np.meshgrid(stepsizes, seeds, indexing="ij")
    setting = _cast(Setting(problem, constants.method, constants), precision)
    gammas = jnp.asarray(lanes[0].ravel(), precision)
    keys = jax.vmap(jax.random.key)(jnp.asarray(lanes[1].ravel(), jnp.uint32))
    program = Program(applicable, payload)
    runs, first = _start(program, setting, jnp.asarray(start, precision), gammas, keys, target)
    check_start(first.loss, first.grad_norm_sq)
    recorded_rounds = np.unique(np.append(np.arange(0, rounds, record_every), rounds))
    runs, records = _advance_all(program, setting, gammas, runs, first, recorded_rounds, progress)

    shape = stepsizes.shape + seeds.shape
    runs, records = jax.tree.map(lambda leaf: leaf.reshape(shape + leaf.shape[1:]), (runs, records))
    return _trace(applicable, obstacles, constants, stepsizes, recorded_rounds, runs, records)


def _cast(setting: Setting, precision: str) -> Setting:
    """All floating-point leaves as arrays of the precision: python floats would be compiled in or promoted."""

    def cast(leaf: Any) -> Any:
        array = jnp.asarray(leaf)
        return array.astype(precision) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(cast, setting)


@partial(jax.jit, static_argnums=0)
def _start(
    program: Program, setting: Setting, x0: Array, gammas: Array, keys: Array, target: Array
) -> tuple[Run, Record]:
    """The runs at round 0, and what is recorded of them. gammas, keys [B] -> leaves [B, ...]."""

    def start_one(gamma: Array, key: Array) -> tuple[Run, Record]:
        problem, method, constants = setting
        state = method.init(problem, x0, jax.random.fold_in(key, 0))
        grad_norm_sq = method.stationarity(gamma, state)
        run = Run(
            state=state,
            key=key,
            round=jnp.zeros((), jnp.int32),
            initial_point=x0,
            initial_gradient=jnp.mean(jnp.linalg.norm(state.gradients, axis=1)),
            grad_norm_sq=grad_norm_sq,
            grad_norm_sq_sum=jnp.zeros_like(grad_norm_sq),
            grad_norm_sq_min=jnp.full_like(grad_norm_sq, jnp.inf),
            uplink_bits=_bits(state.traffic.uplink, program),
            downlink_bits=_bits(state.traffic.downlink, program),
            target=target * grad_norm_sq,
            target_round=jnp.where(grad_norm_sq <= target * grad_norm_sq, 0, -1).astype(jnp.int32),
            diverged_round=jnp.full((), -1, jnp.int32),
            checks=tuple(start_check(theorem, problem, constants, gamma, state) for theorem in program.theorems),
        )
        return run, _record(program, setting, gamma, run)

    return jax.vmap(start_one)(gammas, keys)


def _advance_all(program, setting, gammas, runs, first, recorded_rounds, progress):
    """Chunk after chunk up to the last recorded round. -> the runs there, and records with leaves [B, R]."""
    steps = np.diff(recorded_rounds)
    chunks = [steps[i : i + RECORDS_PER_CHUNK] for i in range(0, len(steps), RECORDS_PER_CHUNK)]
    records = [jax.tree.map(lambda leaf: np.asarray(leaf)[:, None], first)]
    for chunk in chunks:
        # chunks after the first are padded to its length by records of zero rounds: one compilation serves all
        padded = np.pad(chunk, (0, len(chunks[0]) - len(chunk)))
        runs, record = _advance(program, setting, gammas, runs, jnp.asarray(padded, jnp.int32))
        records.append(jax.tree.map(lambda leaf: np.asarray(leaf)[:, : len(chunk)], record))  # noqa: B023  (used at once)
        if progress is not None:
            progress(int(chunk.sum()))
    host = jax.tree.map(np.asarray, runs._replace(key=jnp.zeros(len(gammas))))  # keys have no NumPy form
    return host, jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *records)


@partial(jax.jit, static_argnums=0, donate_argnums=3)
def _advance(program: Program, setting: Setting, gammas: Array, runs: Run, steps: Array) -> tuple[Run, Record]:
    """Advance every run by steps[0] rounds and record, by steps[1] and record, ... steps [C] -> leaves [B, C]."""

    def advance_one(gamma: Array, run: Run) -> tuple[Run, Record]:
        def advance_and_record(run: Run, count: Array) -> tuple[Run, Record]:
            run = lax.fori_loop(0, count, lambda _, run: _one_round(program, setting, gamma, run), run)
            return run, _record(program, setting, gamma, run)

        return lax.scan(advance_and_record, run, steps)

    return jax.vmap(advance_one)(gammas, runs)


def _one_round(program: Program, setting: Setting, gamma: Array, run: Run) -> Run:
    problem, method, constants = setting
    now = run.round + 1
    state = method.step(problem, gamma, run.state, jax.random.fold_in(run.key, now))
    grad_norm_sq = method.stationarity(gamma, state)
    noise = gradient_noise(constants, run.initial_point, state.x, run.initial_gradient)
    step = Step(run.state, state, now, run.grad_norm_sq, noise, counts=run.diverged_round < 0)
    return run._replace(
        state=state,
        round=now,
        grad_norm_sq=grad_norm_sq,
        grad_norm_sq_sum=run.grad_norm_sq_sum + run.grad_norm_sq,
        grad_norm_sq_min=jnp.minimum(run.grad_norm_sq_min, run.grad_norm_sq),
        uplink_bits=run.uplink_bits + _bits(state.traffic.uplink, program),
        downlink_bits=run.downlink_bits + _bits(state.traffic.downlink, program),
        target_round=_first(run.target_round, grad_norm_sq <= run.target, now),
        diverged_round=_first(run.diverged_round, ~(grad_norm_sq <= _divergence_level(run)), now),
        checks=tuple(
            judge_step(check, theorem, problem, constants, gamma, step)
            for theorem, check in zip(program.theorems, run.checks, strict=True)
        ),
    )


def _bits(size: Size, program: Program) -> Array:
    # in float64 whatever the precision of the run: whole numbers up to 2^53 are exact
    return jnp.asarray(size.total(program.payload), jnp.float64)


def _divergence_level(run: Run) -> Array:
    """|grad f|^2 beyond which a run has diverged: where it began is below the rounding error of where it is."""
    return (run.initial_gradient / jnp.finfo(run.initial_gradient.dtype).eps) ** 2


def _first(earlier: Array, happens: Array, now: Array) -> Array:
    """The round of the first event: `earlier` unless that is -1 and it happens now."""
    return jnp.where((earlier < 0) & happens, now, earlier)


def _record(program: Program, setting: Setting, gamma: Array, run: Run) -> Record:
    problem, _, constants = setting
    lyapunov = tuple(theorem.lyapunov(problem, constants, gamma, run.state) for theorem in program.theorems)
    delta = gradient_noise(constants, run.initial_point, run.state.x, run.initial_gradient)
    record = Record(
        loss=problem.loss(run.state.x),
        loss_gap=loss_gap(problem, constants, run.state.x),
        grad_norm_sq=run.grad_norm_sq,
        grad_norm_sq_sum=run.grad_norm_sq_sum,
        grad_norm_sq_min=run.grad_norm_sq_min,
        uplink_bits=run.uplink_bits,
        downlink_bits=run.downlink_bits,
        lyapunov=lyapunov,
        noise=tuple(
            rounding(theorem, constants, gamma, delta, value)
            for theorem, value in zip(program.theorems, lyapunov, strict=True)
        ),
        budget=tuple(check.account.budget for check in run.checks),
        log_ratio=tuple(_while_open(check.account, check.account.log_ratio) for check in run.checks),
        log_capital=tuple(_while_open(check.account, check.account.log_capital) for check in run.checks),
    )
    diverged = run.diverged_round >= 0
    measured = jax.tree.map(lambda value: jnp.where(diverged, jnp.nan, value), record)
    return measured._replace(uplink_bits=run.uplink_bits, downlink_bits=run.downlink_bits)


def _while_open(account: Account, value: Array) -> Array:
    return jnp.where(account.open, value, jnp.nan)


def _trace(theorems, obstacles, constants, stepsizes, recorded_rounds, runs: Any, records: Any) -> Trace:
    """Collect runs and records, with leaves [...] and [..., R], into a trace."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = records.grad_norm_sq_sum / recorded_rounds
    gammas = np.broadcast_to(
        stepsizes.reshape(stepsizes.shape + (1,) * (runs.round.ndim - stepsizes.ndim)), runs.round.shape
    )
    return Trace(
        round=recorded_rounds,
        bits_per_worker=records.uplink_bits,
        downlink_bits_per_worker=records.downlink_bits,
        loss=records.loss,
        loss_gap=records.loss_gap,
        grad_norm_sq=records.grad_norm_sq,
        mean_grad_norm_sq=mean,
        min_grad_norm_sq=np.where(recorded_rounds > 0, records.grad_norm_sq_min, np.nan),
        final_point=runs.state.x,
        diverged_round=runs.diverged_round,
        target_round=runs.target_round,
        verdicts={
            theorem.name: reach_verdict(
                theorem, constants, gammas, recorded_rounds, check, _course(records, index, mean)
            )
            for index, (theorem, check) in enumerate(zip(theorems, runs.checks, strict=True))
        },
        obstacles={name: obstacle for name, obstacle in obstacles.items() if obstacle is not None},
    )


def _course(records: Any, theorem: int, mean_grad_norm_sq: np.ndarray) -> Course:
    """What the records say of the theorem with the given index."""
    return Course(
        lyapunov=records.lyapunov[theorem],
        noise=records.noise[theorem],
        budget=records.budget[theorem],
        log_ratio=records.log_ratio[theorem],
        log_capital=records.log_capital[theorem],
        mean_grad_norm_sq=mean_grad_norm_sq,
        min_grad_norm_sq=records.grad_norm_sq_min,
    )
