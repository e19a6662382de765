"""Simulated time: the seconds that the rounds of a run would take on a network and on workers that a config describes.

It is a simulation, from a stated cost model: nothing is measured with a watch. It is applied to recorded runs, when
tables and figures are made; no method knows of it, and no run depends on it. In a round

- the server sends every worker its message, which takes latency + bits / downlink,
- worker i computes for w s A_i Z_it seconds, where w is its passes over its data, s the seconds of a pass, A_i the
  worker's own factor, the same in all rounds, and Z_it that of the round, both drawn with mean 1,
- it sends its message, which takes latency + bits / uplink, and the server goes on with the messages it awaits: those
  of all workers that compute, so that the slowest counts, or of the fastest m of them (gradient coding).

The bits are those of the average worker that takes part, in each of the rounds between two records alike, for that is
what is recorded; the server's message goes to all. Of a method whose messages travel while the part r of the computing
is done, a round with C of computing and K of communication takes (1 - r) C + max(r C, K). What is sent before round 1
takes its time, too.

The factors are drawn for every worker and round, not replaced by their expectation: the maximum of products of two
draws has no closed form, a cumulative sum shows how far luck goes, and the draws take less time than the figure. They
come from the clock's own seed, so that all runs meet the same slow workers in the same rounds, and are those of a
shorter run continued.

A method with a clock of its own (an asynchronous one, whose server does not wait for all) has no rounds in this sense,
and is refused: its `elapsed` is in units of the mean time of a local work and knows no network, so that the two times
are not to be compared.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal, Union

import numpy as np
from pydantic import Discriminator, Field, Tag, ValidationError

from experiments.config_errors import explain
from experiments.strict import Positive, Strict, tag_of
from problems import InvalidInput

__all__ = [
    "CLOCK_TABLES",
    "HAS_CLOCK",
    "Clock",
    "Exponential",
    "Fixed",
    "HeavyTailed",
    "elapsed",
    "with_fields",
]

HAS_CLOCK = "has simulated time of its own, `elapsed` in the traces, and takes no table [clock]"  # after its name
DRAWS_AT_ONCE = 1_000_000


class Fixed(Strict):
    """Always 1."""

    kind: Literal["fixed"]

    def of(self, draws: np.ndarray) -> np.ndarray:
        """Factors of mean 1, from draws of the exponential distribution of mean 1; of one shape."""
        return np.ones_like(draws)


class Exponential(Strict):
    """1 - share + share E, with E exponential of mean 1."""

    kind: Literal["exponential"]
    share: Annotated[float, Field(gt=0, le=1)] = Field(default=1.0, description="Of the mean, which is random.")

    def of(self, draws: np.ndarray) -> np.ndarray:
        """As `Fixed.of`."""
        return 1 - self.share + self.share * draws


class HeavyTailed(Strict):
    """Pareto: the chance to exceed z falls like z^-shape."""

    kind: Literal["heavy-tailed"]
    shape: Annotated[float, Field(gt=1, allow_inf_nan=False)] = Field(
        description="Where it is at most 2, the variance is infinite."
    )

    def of(self, draws: np.ndarray) -> np.ndarray:
        """As `Fixed.of`; the mean of exp(E / shape) is shape / (shape - 1)."""
        return (1 - 1 / self.shape) * np.exp(draws / self.shape)


# By what pydantic calls them in the location of an error.
CLOCK_TABLES: dict[str, type[Strict]] = {
    "Clock.fixed": Fixed,
    "Clock.exponential": Exponential,
    "Clock.heavy-tailed": HeavyTailed,
}

Distribution = Annotated[
    Union[  # noqa: UP007
        Annotated[Fixed, Tag("Clock.fixed")],
        Annotated[Exponential, Tag("Clock.exponential")],
        Annotated[HeavyTailed, Tag("Clock.heavy-tailed")],
    ],
    Discriminator(lambda table: tag_of("Clock", table)),
]


class Clock(Strict):
    """The cost model of simulated time; it is applied to results and changes none."""

    latency: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0, description="Seconds until a message arrives, however short it is, in either direction."
    )
    uplink: Positive = Field(description="Bits a second from a worker to the server.")
    downlink: Positive = Field(description="Bits a second from the server to a worker.")
    pass_seconds: Positive = Field(description="Seconds of a worker's pass over its data, on average.")
    over_rounds: Distribution = Field(
        default=Fixed(kind="fixed"), description="How they differ from round to round: factors of mean 1."
    )
    over_workers: Distribution = Field(
        default=Fixed(kind="fixed"), description="How they differ from worker to worker, in all rounds alike."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(default=0, description="Of the factors.")

    def __str__(self) -> str:
        return (
            f"latency {self.latency:g} s, {self.uplink:g} bit/s up and {self.downlink:g} down, {self.pass_seconds:g} s "
            f"a pass, {_told(self.over_rounds)} over rounds and {_told(self.over_workers)} over workers, "
            f"seed {self.seed}"
        )


def _told(distribution: Any) -> str:
    given = ", ".join(f"{name} {value:g}" for name, value in distribution.model_dump(exclude={"kind"}).items())
    return f"{distribution.kind} ({given})" if given else distribution.kind


def with_fields(clock: Clock, fields: dict[str, Any]) -> Clock:
    """The clock with some of its fields replaced.

    Raises:
        InvalidInput: there is no such field, or it does not take the value.
    """
    try:
        return Clock.model_validate(clock.model_dump() | fields)
    except ValidationError as error:
        told = {explain(fields, detail, CLOCK_TABLES, Clock): None for detail in error.errors(include_url=False)}
        raise InvalidInput("; ".join(told)) from None


def elapsed(clock: Clock, run: Any, trace: Any) -> np.ndarray:
    """Seconds after each of the rounds 0, ..., T, given a run's row and its recorded rounds, the last of which is T.

    Raises:
        InvalidInput: the run was recorded by an efsim that did not say what the clock has to know, or its method has a
            clock of its own. -> [T + 1].
    """
    if "workers_awaited" not in run:
        raise InvalidInput("these results were computed by an efsim without a clock, which notes less of a method")
    if run["has_clock"]:
        raise InvalidInput(f"{run['method.kind']} {HAS_CLOCK}")
    rounds = np.asarray(trace["round"], int)
    sent = [
        np.asarray(trace[name], float) / bandwidth
        for name, bandwidth in (
            ("bits_per_worker", clock.uplink),
            ("downlink_bits_per_worker", clock.downlink),
        )
    ]
    started = sum(float(seconds[0]) + clock.latency for seconds in sent if seconds[0] > 0)
    between = np.diff(rounds)
    up, down = (np.diff(seconds) / np.maximum(between, 1) for seconds in sent)
    alone = run["num_workers"] / run["workers_computing"]  # what counts in the average, of a worker that takes part
    communication = np.repeat(2 * clock.latency + alone * up + down, between)
    passes = alone * run["passes_per_round"]
    computing = clock.pass_seconds * passes * _slowest(clock, *_waiting(run), len(communication))  # pyright: ignore[reportArgumentType]  (a frozen model has a hash)
    meanwhile = run["overlapped"] * computing
    return started + np.append(0.0, np.cumsum(computing - meanwhile + np.maximum(meanwhile, communication)))


def _waiting(run: Any) -> tuple[int, int, int]:
    """n, how many workers compute in a round, and how many the server awaits; an expectation is rounded."""
    computing = max(1, round(run["workers_computing"]))
    return int(run["num_workers"]), computing, min(computing, max(1, round(run["workers_awaited"])))


@lru_cache(maxsize=64)
def _slowest(clock: Clock, workers: int, computing: int, awaited: int, rounds: int) -> np.ndarray:
    """A_i Z_it of the last worker that the server awaits in each round, if that many of n compute. -> [rounds]."""
    own = clock.over_workers.of(np.random.default_rng([clock.seed, 0]).standard_exponential(workers))
    draws, chance = (np.random.default_rng([clock.seed, stream]) for stream in (1, 2))
    found = []
    for begin in range(0, rounds, rows := max(1, DRAWS_AT_ONCE // workers)):
        shape = (min(rows, rounds - begin), workers)
        factors = own * clock.over_rounds.of(draws.standard_exponential(shape))
        if computing < workers:  # the others never finish
            absent = np.argsort(chance.random(shape), axis=1)[:, computing:]
            np.put_along_axis(factors, absent, np.inf, axis=1)
        found.append(np.partition(factors, awaited - 1, axis=1)[:, awaited - 1])
    return np.concatenate(found) if found else np.zeros(0)
