"""What is compiled: the start of all runs of a batch, and a chunk of rounds.

Runs that differ in stepsize and seed are lanes of one program (`simulator/lanes.py`), made from functions of a single
run: their gradients are one matrix product over the workers' data. The workers are split over the devices
(`simulator/devices.py`). Memory does not grow with the number of rounds.

Random keys: run -> round -> purpose -> worker. The key of a round is that of the seed folded with the round's number,
so that a run's draws depend on its seed alone, not on the batch, the devices or the recording. How many lanes a batch
has, and over how many devices it is split, may change last bits, because sums are formed in another order.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from problems import Evaluation, Problem
from simulator.checks import (
    Case,
    Factors,
    Place,
    Step,
    StepCheck,
    gap_at_model,
    gaps,
    gradient_noise,
    judge_step,
    rounding,
    start_check,
)
from simulator.constants import Constants
from simulator.devices import spread
from simulator.lanes import over_lanes
from simulator.method import Method
from simulator.theorem import Theorem
from simulator.traffic import Payload, Size

__all__ = ["Program", "Record", "Run", "Setting", "Stops", "Tally", "advance", "narrow", "placed", "start"]


class Tally(NamedTuple):
    """What is kept of one run so far; once it has diverged, this stays as it is."""

    final_point: Array  # [d]
    grad_norm_sq: Array  # at the current point, []
    grad_norm_sq_sum: Array  # over the rounds before, []
    grad_norm_sq_min: Array  # over the rounds before, []
    uplink_bits: Array  # sent by a worker so far, on average, []
    downlink_bits: Array  # sent to a worker so far, []
    target_round: Array  # -1 until it is reached, []
    diverged_round: Array  # -1 until it happens, []
    check: StepCheck  # of all theorems


class Start(NamedTuple):
    """Where one run began."""

    key: Array  # of the seed
    point: Array  # x^0, [d]
    gradient: Array  # mean_i |grad f_i(x^0)|, []
    target: Array  # |grad f|^2 to reach, []
    factors: Factors  # of the theorems, at the run's stepsize


class Run(NamedTuple):
    """All of one run that is carried from round to round."""

    start: Start
    round: Array  # []
    place: Place
    tally: Tally


class Record(NamedTuple):
    """What is recorded of a run at one round; [] each, but for the last ones."""

    loss: Array
    loss_gap: Array
    grad_norm_sq: Array
    grad_norm_sq_sum: Array
    grad_norm_sq_min: Array
    uplink_bits: Array
    downlink_bits: Array
    elapsed: Array
    lyapunov: Array  # of every theorem, [K]; likewise below
    noise: Array  # of the Lyapunov values
    budget: Array
    slack: Array  # the smallest since the record before, relative; inf where no round was judged
    log_ratio: Array  # log(A/B) of the bet against the theorem, NaN once it is closed
    log_capital: Array


class Stops(NamedTuple):
    """Where a chunk of rounds stops, C times at most."""

    counts: Array  # rounds to each from the one before, [C]
    kept: Array  # whether its record is one of the trace, [C]
    number: Array  # how many there are, []


class Program(NamedTuple):
    """What is compiled in."""

    theorems: tuple[Theorem, ...]
    payload: Payload
    mesh: Mesh

    @property
    def follows_model(self) -> bool:
        """Whether a theorem asks how the loss of the model changes."""
        return any(theorem.follows_model for theorem in self.theorems)


class Setting(NamedTuple):
    """What all runs of a batch share, as data."""

    problem: Problem
    method: Method
    constants: Constants
    optimum: Evaluation | None  # at the minimiser, where one is known

    def case(self, program: Program) -> Case:
        """What the checks need."""
        return Case(program.theorems, self.problem, self.constants, self.optimum)


@partial(jax.jit, static_argnums=0)
def start(
    program: Program, shared: tuple[Setting, Array, Array], gammas: Array, keys: Array, factors: Factors
) -> tuple[Run, Record]:
    """The runs at round 0, and what is recorded of them. gammas, keys [S], factors [K, S] -> leaves [..., S].

    `shared` is the setting, x^0, and the part of |grad f(x^0)|^2 to reach.
    """

    def start_one(
        shared: tuple[Setting, Array, Array], gamma: Array, key: Array, factors: Factors
    ) -> tuple[Run, Record]:
        setting, x0, target = shared
        problem, method, *_ = setting
        state = method.init(problem, x0, jax.random.fold_in(key, 0))
        place = _place(program, setting, state)
        grad_norm_sq = method.stationarity(gamma, state)
        tally = Tally(
            final_point=x0,
            grad_norm_sq=grad_norm_sq,
            grad_norm_sq_sum=jnp.zeros_like(grad_norm_sq),
            grad_norm_sq_min=jnp.full_like(grad_norm_sq, jnp.inf),
            uplink_bits=_bits(state.traffic.uplink, program),
            downlink_bits=_bits(state.traffic.downlink, program),
            target_round=jnp.where(grad_norm_sq <= target * grad_norm_sq, 0, -1).astype(jnp.int32),
            diverged_round=jnp.full((), -1, jnp.int32),
            check=start_check(setting.case(program), gamma, place),
        )
        gradient = jnp.mean(jnp.linalg.norm(state.gradients, axis=1))
        begin = Start(key, x0, gradient, target * grad_norm_sq, factors)
        run = Run(begin, jnp.zeros((), jnp.int32), place, tally)
        return run, _record(program, setting, gamma, run)

    runs, record = over_lanes(start_one, shared, gammas, keys, factors)
    return placed(program, shared[0], runs), record


def _place(program: Program, setting: Setting, state: Any) -> Place:
    evaluation = setting.problem.evaluation(state.x, state.gradients)
    return Place(state, evaluation if program.follows_model else evaluation._replace(memory=()))


def placed(program: Program, setting: Setting, runs: Run) -> Run:
    """The runs, their workers split over the devices."""
    return runs._replace(place=spread(runs.place, program.mesh, setting.problem.num_workers))


@partial(jax.jit, static_argnums=0, donate_argnums=3)
def advance(
    program: Program, setting: Setting, gammas: Array, runs: Run, blank: Record, stops: Stops
) -> tuple[Run, Record]:
    """Advance every run to the first of the stops and record, to the next and record, ...

    gammas [S], leaves of runs [..., S] and of blank [C, ..., S] -> leaves [..., S] and [C, ..., S], the first
    `stops.number` rows of which are filled.
    """
    one_round, record = (partial(function, program) for function in (_one_round, _record))

    def advance_and_record(index: Array, carry: tuple[Run, Record]) -> tuple[Run, Record]:
        runs, records = carry
        runs = lax.fori_loop(0, stops.counts[index], lambda _, runs: over_lanes(one_round, setting, gammas, runs), runs)
        row = over_lanes(record, setting, gammas, runs)
        records = jax.tree.map(lambda column, value: column.at[index].set(value), records, row)
        return _after_record(runs, stops.kept[index]), records

    runs, records = lax.fori_loop(0, stops.number, advance_and_record, (runs, blank))
    return placed(program, setting, runs), records


@partial(jax.jit, static_argnums=0)
def narrow(program: Program, setting: Setting, runs: Run, lanes: Array) -> Run:
    """Some of the runs. leaves [..., S], lanes [s] -> leaves [..., s]."""
    return placed(program, setting, jax.tree.map(lambda leaf: leaf[..., lanes], runs))


def _one_round(program: Program, setting: Setting, gamma: Array, run: Run) -> Run:
    problem, method, constants, _ = setting
    before, tally = run.place, run.tally
    now = run.round + 1
    state = method.step(problem, gamma, before.state, jax.random.fold_in(run.start.key, now))
    after = _place(program, setting, state)
    grad_norm_sq = method.stationarity(gamma, state)
    noise = gradient_noise(constants, run.start.point, state.x, run.start.gradient)
    step = Step(before, after, now, tally.grad_norm_sq, noise)
    measured = Tally(
        final_point=state.x,
        grad_norm_sq=grad_norm_sq,
        grad_norm_sq_sum=tally.grad_norm_sq_sum + tally.grad_norm_sq,
        grad_norm_sq_min=jnp.minimum(tally.grad_norm_sq_min, tally.grad_norm_sq),
        uplink_bits=tally.uplink_bits + _bits(state.traffic.uplink, program),
        downlink_bits=tally.downlink_bits + _bits(state.traffic.downlink, program),
        target_round=_first(tally.target_round, grad_norm_sq <= run.start.target, now),
        diverged_round=_first(tally.diverged_round, ~(grad_norm_sq <= _divergence_level(run)), now),
        check=judge_step(tally.check, setting.case(program), run.start.factors, gamma, step),
    )
    ended = tally.diverged_round >= 0
    tally = jax.tree.map(lambda old, new: jnp.where(ended, old, new), tally, measured)
    return run._replace(round=now, place=after, tally=tally)


def _bits(size: Size, program: Program) -> Array:
    # in float64 whatever the precision of the run: whole numbers up to 2^53 are exact
    return jnp.asarray(size.total(program.payload), jnp.float64)


def _divergence_level(run: Run) -> Array:
    """|grad f|^2 beyond which a run has diverged: where it began is below the rounding error of where it is."""
    return (run.start.gradient / jnp.finfo(run.start.gradient.dtype).eps) ** 2


def _first(earlier: Array, happens: Array, now: Array) -> Array:
    """The round of the first event: `earlier` unless that is -1 and it happens now."""
    return jnp.where((earlier < 0) & happens, now, earlier)


def _after_record(runs: Run, kept: Array) -> Run:
    """The runs, with what is measured from record to record begun anew if the record is kept."""
    check = runs.tally.check
    check = check._replace(recent_slack=jnp.where(kept, jnp.inf, check.recent_slack))
    return runs._replace(tally=runs.tally._replace(check=check))


def _record(program: Program, setting: Setting, gamma: Array, run: Run) -> Record:
    problem, method, constants, _ = setting
    case, place, tally, account = setting.case(program), run.place, run.tally, run.tally.check.account
    evaluation = place.evaluation
    if not program.follows_model:
        evaluation = problem.evaluation(place.state.x, place.state.gradients)
    lyapunov = tally.check.potential + gaps(case, gamma, place, wanted=lambda theorem: True)
    delta = gradient_noise(constants, run.start.point, place.state.x, run.start.gradient)
    record = Record(
        loss=problem.loss(place.state.x),
        loss_gap=gap_at_model(case, evaluation),
        grad_norm_sq=tally.grad_norm_sq,
        grad_norm_sq_sum=tally.grad_norm_sq_sum,
        grad_norm_sq_min=tally.grad_norm_sq_min,
        uplink_bits=tally.uplink_bits,
        downlink_bits=tally.downlink_bits,
        elapsed=jnp.asarray(method.elapsed(place.state), jnp.float64),
        lyapunov=lyapunov,
        noise=rounding(run.start.factors.weight, delta, lyapunov),
        budget=account.budget,
        slack=tally.check.recent_slack,
        log_ratio=jnp.where(account.open, account.log_ratio, jnp.nan),
        log_capital=jnp.where(account.open, account.log_capital, jnp.nan),
    )
    measured = jax.tree.map(lambda value: jnp.where(tally.diverged_round >= 0, jnp.nan, value), record)
    return measured._replace(uplink_bits=tally.uplink_bits, downlink_bits=tally.downlink_bits)
