"""Who arrives when a server waits for the first m of n workers: in a run, and how often in the long run."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from scipy.integrate import quad_vec

from simulator.working_times import SIMULTANEOUS, ExponentialTimes, WorkingTimes

__all__ = ["Arrivals", "chances_among_first", "pass_time"]

SIMULATED_ROUNDS = 20_000


class Arrivals(NamedTuple):
    """What happens in a span of time."""

    arrived: Array  # whose work is done, booleans [n]
    remaining: Array  # the time until the present works are done, of those who arrived of their next works, [n]


def pass_time(remaining: Array, span: Array, following: Array) -> Arrivals:
    """Let a span [] pass; whoever arrives begins a work that takes the time `following`. [n] each."""
    arrived = remaining <= span + SIMULTANEOUS
    return Arrivals(arrived, jnp.where(arrived, following, remaining - span))


def chances_among_first(times: WorkingTimes, first: int, workers: int) -> np.ndarray:
    """In which share of the rounds every worker arrives where a round lasts until `first` workers have arrived. -> [n].

    Exact for the first worker alone, by the rates 1/tau_i (where times may coincide, see below); for exponential times,
    by an integral to 1e-9; and for fixed times, over the cycle that they repeat. Fixed times without a cycle in
    SIMULATED_ROUNDS rounds, and other random ones, are simulated for so many rounds: an error of about 1%.
    """
    if isinstance(times, ExponentialTimes):
        return _memoryless(1 / np.asarray(times.means(workers)), first)
    if first == 1 and not times.deterministic:
        rates = 1 / np.asarray(times.means(workers))
        return rates / rates.sum()
    arrived, remaining = (np.asarray(leaf) for leaf in _timetable(times, first, workers))
    return np.mean(arrived[_last_cycle(remaining)], axis=0)


def _memoryless(rates: np.ndarray, first: int) -> np.ndarray:
    """Worker i arrives at t, and by then fewer than `first` of the others: the integral over t. rates [n] -> [n]."""

    def density(t: float) -> np.ndarray:
        return rates * np.exp(-rates * t) * _fewer_others(-np.expm1(-rates * t), first)

    return quad_vec(density, 0, np.inf, epsabs=1e-10, epsrel=1e-10)[0]


def _fewer_others(chances: np.ndarray, number: int) -> np.ndarray:
    """For every i, the probability that fewer than `number` of the other, independent events happen. [n] -> [n]."""
    workers = len(chances)
    counts = np.zeros((workers, number))  # for every i, the probabilities of 0, 1, ... events so far
    counts[:, 0] = 1.0
    for j, chance in enumerate(chances):
        of_each = np.where(np.arange(workers) == j, 0.0, chance)[:, None]
        shifted = np.pad(counts, ((0, 0), (1, 0)))[:, :-1]
        counts = (1 - of_each) * counts + of_each * shifted
    return counts.sum(axis=1)


@partial(jax.jit, static_argnames=("first", "workers"))  # it is asked for several times of a method
def _timetable(times: WorkingTimes, first: int, workers: int) -> Arrivals:
    """Round after round. -> leaves [R, n]."""
    keys = jax.random.split(jax.random.key(0), SIMULATED_ROUNDS)

    def one_round(remaining: Array, key: Array) -> tuple[Array, Arrivals]:
        arrivals = pass_time(remaining, jnp.sort(remaining)[first - 1], times.draw(key, workers))
        return arrivals.remaining, arrivals

    return lax.scan(one_round, times.draw(jax.random.key(1), workers), keys)[1]


def _last_cycle(remaining: np.ndarray) -> slice:
    """The rounds since the remaining times [R, n] were last what they are at the end; all, if they never were."""
    same = np.max(np.abs(remaining - remaining[-1]), axis=1) < SIMULTANEOUS
    before = np.flatnonzero(same[:-1])
    return slice(before[-1] + 1 if len(before) else 0, None)
