"""Workers with times of their own: who arrives how often, what a run adds up to, and where unequal weights lead."""

from itertools import permutations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from numpy.testing import assert_allclose

from problems import InvalidInput, LeastSquares, Quadratic
from simulator import (
    EF14,
    GD,
    AsyncFedAvg,
    ExponentialTimes,
    FedAvg,
    FedBuff,
    FedFix,
    FixedTimes,
    Minibatch,
    ParetoTimes,
    TopK,
    simulate,
)
from simulator.arrivals import chances_among_first, pass_time
from simulator.surrogate import surrogate

WORKERS, DRAWS = 4, 40_000
# fixed times in the proportions 1 : 2 : 3 : 4, with mean 1, and in how many of the 12 units of a cycle they end
FIXED = FixedTimes(spread=4.0)
ENDS = np.array([12, 6, 4, 3])
TIMES = [FIXED, ExponentialTimes(spread=4.0), ParetoTimes(spread=4.0, tail=3.5)]
each_times = pytest.mark.parametrize("times", TIMES, ids=lambda times: times.kind)


def problem() -> Quadratic:
    """Strongly convex f_i, whose minimisers differ; mu_i >= 0.3 and L_i <= 1."""
    rng = np.random.default_rng(0)
    bases = np.linalg.qr(rng.standard_normal((WORKERS, 3, 3)))[0]
    matrices = np.einsum("nij,nj,nkj->nik", bases, rng.uniform(0.3, 1.0, (WORKERS, 3)), bases)
    matrices = (matrices + np.swapaxes(matrices, 1, 2)) / 2
    return Quadratic.from_arrays(matrices, np.einsum("nij,nj->ni", matrices, rng.standard_normal((WORKERS, 3))))


# --- times ----------------------------------------------------------------------------------------------


@each_times
def test_times_have_the_declared_means_and_end_in_as_many_intervals(times):
    keys = jax.random.split(jax.random.key(0), DRAWS)
    drawn = np.asarray(jax.vmap(lambda key: times.draw(key, WORKERS))(keys))
    means = np.asarray(times.means(WORKERS))
    assert_allclose(means, [0.4, 0.8, 1.2, 1.6])
    assert np.all(drawn > 0) and np.all(np.abs(drawn.mean(axis=0) - means) <= 5 * drawn.std(axis=0) / DRAWS**0.5 + 1e-9)
    for length in (0.05, 0.3, 0.8, 2.0):
        ends = np.maximum(1, np.ceil((drawn - 1e-6) / length))
        margin = 5 * ends.std(axis=0) / DRAWS**0.5 + 1e-12
        assert np.all(np.abs(ends.mean(axis=0) - times.whole_intervals(length, WORKERS)) <= margin)


def test_multiples_of_a_time_end_together_in_spite_of_rounding():
    # 0.1 + 0.2 is not 0.3: without a tolerance the second worker would come a moment later
    arrived, remaining = pass_time(jnp.array([0.3, 0.1 + 0.2, 0.4]), jnp.asarray(0.3), jnp.ones(3))
    assert arrived.tolist() == [True, True, False]
    assert_allclose(remaining, [1.0, 1.0, 0.1])


# --- shares of arrivals ---------------------------------------------------------------------------------


def shares_by_order(rates: np.ndarray, first: int) -> np.ndarray:
    """Of exponential times: the order of arrival is that of draws without replacement."""
    shares = np.zeros(len(rates))
    for order in permutations(range(len(rates))):
        left = np.cumsum(rates[list(order)][::-1])[::-1]
        shares[list(order[:first])] += np.prod(rates[list(order)] / left)
    return shares


def test_shares_of_arrivals_are_exact_for_exponential_and_for_fixed_times():
    times = ExponentialTimes(spread=4.0)
    rates = 1 / np.asarray(times.means(WORKERS))
    for first in range(1, WORKERS + 1):
        found = chances_among_first(times, first, WORKERS)
        assert_allclose(found, shares_by_order(rates, first), rtol=1e-9)
        assert_allclose(found.sum(), first, rtol=1e-9)
    assert_allclose(chances_among_first(FIXED, 1, WORKERS), ENDS / 12, rtol=1e-12)
    # the times to wait are 1234 1212 1131 1224 1232 1214 1133 1222, and again 1234
    assert_allclose(chances_among_first(FIXED, 2, WORKERS), np.array([8, 6, 4, 3]) / 8, rtol=1e-12)
    assert_allclose(chances_among_first(FixedTimes(spread=np.pi), 1, 2), np.array([np.pi, 1]) / (1 + np.pi), rtol=1e-3)


def test_shares_of_arrivals_of_other_times():
    times = ParetoTimes(spread=4.0)
    rates = 1 / np.asarray(times.means(WORKERS))
    assert_allclose(chances_among_first(times, 1, WORKERS), rates / rates.sum(), rtol=1e-12)
    assert_allclose(chances_among_first(times, WORKERS, WORKERS), 1.0)
    simulated = chances_among_first(times, 2, WORKERS)
    assert_allclose(simulated.sum(), 2, rtol=1e-12)
    rng, counts, rounds = np.random.default_rng(0), np.zeros(WORKERS), 20_000
    least = 0.6 / rates  # (tail - 1) / tail of the means
    remaining = least * (1 + rng.pareto(2.5, WORKERS))
    for _ in range(rounds):
        span = np.sort(remaining)[1]
        arrived = remaining <= span
        counts += arrived
        remaining = np.where(arrived, least * (1 + rng.pareto(2.5, WORKERS)), remaining - span)
    assert_allclose(simulated, counts / rounds, rtol=0.05)  # two simulations, 1% each


@each_times
@pytest.mark.parametrize("weighting", ["unbiased", "identical"])
def test_weights_times_shares_are_the_expected_weights(times, weighting):
    data = problem()
    for method in (
        FedAvg(times=times, weighting=weighting),
        AsyncFedAvg(times=times, weighting=weighting),
        FedFix(0.5, times=times, weighting=weighting),
    ):
        weights, shares = np.asarray(method.resolved(data).weights), method.arrival_chances(WORKERS)
        expected = method.expected_weights(WORKERS)
        assert_allclose(weights * shares, expected, rtol=1e-12)
        assert_allclose(expected.sum(), 1.0)
        if weighting == "unbiased":
            assert_allclose(expected, 1 / WORKERS)
        else:
            assert np.ptp(weights) == 0 and (method.kind == "fedavg" or expected[0] > 1.5 * expected[-1])


# --- runs -----------------------------------------------------------------------------------------------


class Course(NamedTuple):
    """A run from a round on, to the round after the last."""

    x: np.ndarray  # [T + 1, d]
    starts: np.ndarray  # [T + 1, n, d]
    errors: np.ndarray  # [T + 1, n, d]
    arrived: np.ndarray  # at the end of each round, [T + 1, n]


def courses(data: Quadratic, method: Any, stepsizes: list[float], begin: int, rounds: int) -> list[Course]:
    """From round `begin` on, for every stepsize."""
    method = method.resolved(data)
    keys = jax.random.split(jax.random.key(2), begin + rounds + 2)

    @jax.jit
    @jax.vmap
    def run(gamma):
        def one_round(state, key):
            arrived = pass_time(state.remaining, method.span(state.remaining), state.remaining).arrived
            kept = (state.x, state.starts, state.errors, arrived)
            return method.step(data, gamma, state, key), kept

        return lax.scan(one_round, method.init(data, jnp.ones(3), keys[0]), keys[1:])[1]

    found = run(jnp.asarray(stepsizes))
    return [Course(*(np.asarray(leaf[lane, begin:]) for leaf in found)) for lane in range(len(stepsizes))]


def mean_starts(course: Course) -> np.ndarray:
    """Of what has arrived, [n, d]."""
    arrived = course.arrived[:-1]
    return np.einsum("tn,tnd->nd", arrived, course.starts[:-1]) / arrived.sum(axis=0)[:, None]


ADDING_UP = {
    "fedavg": FedAvg(compressor=TopK(1), local_steps=3, server_stepsize=0.7),
    "async-fedavg": AsyncFedAvg(compressor=TopK(1), local_steps=3, times=FIXED),
    "fedbuff": FedBuff(2, compressor=TopK(2), local_steps=3, times=TIMES[1], weighting="identical"),
    "fedfix": FedFix(0.5, local_steps=3, times=TIMES[2], server_stepsize=0.7),
}


@pytest.mark.parametrize("method", ADDING_UP.values(), ids=ADDING_UP)
def test_what_arrives_adds_up_to_what_the_model_has_moved(method):
    data, gamma, rounds = problem(), 0.1, 60
    (course,) = courses(data, method, [gamma], begin=7, rounds=rounds)
    weights = np.asarray(method.resolved(data).weights)
    empirical = weights * course.arrived[:-1].mean(axis=0)
    total = surrogate(data, empirical, gamma, method.local_steps)
    slopes = np.einsum("nij,nj->ni", total.matrices, mean_starts(course)) - np.asarray(total.vectors)
    withheld = weights @ (course.errors[-1] - course.errors[0])
    moved = course.x[0] - course.x[-1] + method.server_stepsize * withheld
    steps = method.server_stepsize * gamma * method.local_steps * rounds
    assert_allclose(slopes.mean(axis=0), moved / steps, rtol=1e-9, atol=1e-12)
    # the control: with the weights that are expected instead of those that were found, or at the wrong models
    assert np.max(np.abs(np.mean(data.worker_gradients(jnp.asarray(course.x[-1])), axis=0) - moved / steps)) > 1e-4


BIASED = {
    "async-fedavg": AsyncFedAvg(times=FIXED, weighting="identical"),
    "async-fedavg, compressed": AsyncFedAvg(times=FIXED, weighting="identical", compressor=TopK(1)),
    "fedbuff": FedBuff(2, times=FIXED, weighting="identical"),
    "fedfix": FedFix(0.8, times=FIXED, weighting="identical"),
    "fedfix, compressed": FedFix(0.8, times=FIXED, weighting="identical", compressor=TopK(1)),
}


@pytest.mark.parametrize("method", BIASED.values(), ids=BIASED)
def test_unequal_weights_lead_to_the_minimiser_of_the_weighted_sum(method):
    data, gamma, rounds = problem(), 0.04, 12 * 200
    weights = method.expected_weights(WORKERS)
    a, b = np.asarray(data.matrices), np.asarray(data.vectors)
    mean = np.einsum("n,nij->ij", weights, a)
    limit = np.linalg.solve(mean, weights @ b)
    assert_allclose(surrogate(data, weights).minimizer, limit, rtol=1e-12)
    means = []
    for stepsize, course in zip(
        [gamma, gamma / 2], courses(data, method, [gamma, gamma / 2], 1200, rounds), strict=True
    ):
        of_each = np.asarray(method.resolved(data).weights)
        assert_allclose(of_each * course.arrived[:-1].mean(axis=0), weights, rtol=1e-9)  # whole cycles
        # mean (x - limit) = sum_i q_i A_i (mean x - s_i) + what the model has moved, by the sum of what arrives
        means.append(course.x[:-1].mean(axis=0))
        lag = np.linalg.norm(mean_starts(course) - means[-1], axis=1)
        moved = course.x[0] - course.x[-1] + of_each @ (course.errors[-1] - course.errors[0])
        slope = weights @ (np.asarray(data.worker_smoothness) * lag) + np.linalg.norm(moved) / (stepsize * rounds)
        tolerance = slope / np.linalg.eigvalsh(mean)[0]
        away, from_minimizer = (np.linalg.norm(means[-1] - point) for point in (limit, np.asarray(data.minimizer)))
        assert away <= tolerance < 0.1 * from_minimizer  # which is not the limit
    # it is the limit: what is missing halves with the stepsize
    assert_allclose(2 * means[1] - means[0], limit, atol=0.5 * np.linalg.norm(means[1] - limit))


def test_local_steps_lead_fedavg_to_the_minimiser_of_the_surrogate():
    data, gamma, steps = problem(), 0.3, 4
    instead = surrogate(data, np.full(WORKERS, 1 / WORKERS), gamma, steps)
    method = FedAvg(local_steps=steps, server_stepsize=0.8)
    runs = [simulate(data, method, stepsize=gamma, rounds=rounds, theorems=(), record_every=400) for rounds in (3, 400)]
    descent = simulate(instead, GD(), stepsize=0.8 * gamma * steps, rounds=3, theorems=())
    assert_allclose(runs[0].final_point, descent.final_point, rtol=1e-12, atol=1e-14)
    assert_allclose(runs[1].final_point, instead.minimizer, rtol=1e-12)
    assert np.linalg.norm(runs[1].final_point - np.asarray(data.minimizer)) > 1e-2


def test_diagonal_quadratics_have_a_surrogate_too():
    diagonal = Quadratic.from_arrays([[1.0, 0.5], [0.2, 0.3]], [[1.0, 0.0], [0.0, 1.0]])
    dense = Quadratic.from_arrays([np.diag(row) for row in np.asarray(diagonal.matrices)], diagonal.vectors)
    found, expected = (surrogate(each, [0.7, 0.3], 0.5, 3).minimizer for each in (diagonal, dense))
    assert_allclose(found, expected, rtol=1e-14)
    with pytest.raises(InvalidInput, match="2 numbers >= 0"):
        surrogate(dense, [0.5, -0.5])


# --- accounts -------------------------------------------------------------------------------------------


def test_bits_and_time_are_those_of_the_arrivals():
    data, rounds = problem(), 24
    trace = simulate(data, AsyncFedAvg(times=FIXED), stepsize=0.1, rounds=rounds, record_every=12)
    per_cycle = ENDS.sum() / WORKERS * 32 * 3  # a round is a unit, and 25 works end in 12 of them
    assert_allclose(trace.bits_per_worker, [0, per_cycle, 2 * per_cycle])
    assert_allclose(trace.downlink_bits_per_worker, trace.bits_per_worker)
    assert_allclose(trace.elapsed, [0, 12 * 0.4, 24 * 0.4], rtol=1e-12)
    waiting = simulate(data, FedAvg(times=FIXED, compressor=TopK(1)), stepsize=[0.1, 0.2], rounds=4, record_every=2)
    assert_allclose(waiting.elapsed, [[0, 2 * 1.6, 4 * 1.6]] * 2, rtol=1e-12)
    assert_allclose(waiting.bits_per_worker[0], [0, 2 * 34, 4 * 34])  # a float and 2 bits for its place
    assert_allclose(simulate(data, EF14(TopK(1)), stepsize=0.1, rounds=4).elapsed, 0.0)
    assert "elapsed" in trace.to_pandas()


def test_a_worker_computes_when_it_arrives():
    rng = np.random.default_rng(0)
    data = LeastSquares.from_arrays(
        rng.standard_normal((WORKERS, 10, 3)), rng.standard_normal((WORKERS, 10)), "none", 0.0
    )
    batch = Minibatch(2)  # of 10
    assert_allclose(FedAvg(oracle=batch, local_steps=3).gradient_passes(data), 3 * 0.2)
    assert_allclose(AsyncFedAvg(times=FIXED).gradient_passes(data), ENDS.mean() / 12)
    assert_allclose(FedBuff(2, times=TIMES[1], local_steps=5).gradient_passes(data), 5 * 2 / WORKERS)
    assert_allclose(FedFix(1e6, times=TIMES[2]).gradient_passes(data), 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedTimes(spread=0.5), "spread of the working times"),
        (lambda: ParetoTimes(tail=2.0), "tail of the working times"),
        (lambda: FedFix(0.0), "the interval"),
        (lambda: FedBuff(0), "the size of the buffer"),
        (lambda: FedAvg(local_steps=0), "local_steps must be"),
        (lambda: FedAvg(server_stepsize=0.0), "the server's stepsize"),
        (lambda: AsyncFedAvg(weighting="equal"), "unknown weighting 'equal'"),  # type: ignore[arg-type]
        (lambda: simulate(problem(), FedBuff(5), stepsize=0.1, rounds=1), "a buffer of 5 is never full"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
