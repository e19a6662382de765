"""Gradient codes: what the server recovers is the sum, whenever it says that it can; and methods on coded workers."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import Any

import jax
import numpy as np
import pytest
from command_line import SMALL
from instances import DIM, WORKERS, instance
from numpy.testing import assert_allclose, assert_array_equal
from stepping import walk

from experiments.config import parse_config
from experiments.plan import make_plan
from experiments.raw_config import apply_overrides, read_raw
from problems import InvalidInput
from problems.registry import registered
from simulator import (
    EF21,
    EF21PP,
    EF21SGDM,
    GD,
    CyclicRepetition,
    FixedStragglers,
    FractionalRepetition,
    GilbertElliott,
    GradientCode,
    GradientCoding,
    Independent,
    IndependentStragglers,
    Method,
    Minibatch,
    Multiplexed,
    RandK,
    SelectiveRepeat,
    Stragglers,
    TopK,
    constants_of,
    decoding_weights,
    simulate,
)

REPETITION = [(FractionalRepetition(s), 6) for s in (0, 1, 2, 5)]
REPETITION += [(CyclicRepetition(s, seed=seed), n) for s, n, seed in ((0, 5, 0), (2, 7, 1), (3, 8, 2), (4, 5, 3))]
SEQUENTIAL = [SelectiveRepeat(B, W, m) for B, W, m in ((1, 2, 3), (2, 3, 4), (2, 5, 5), (3, 4, 8), (1, 4, 3))]
SEQUENTIAL += [Multiplexed(B, W, m) for B, W, m in ((1, 2, 3), (2, 3, 4), (2, 5, 5), (3, 5, 2), (2, 3, 8))]
NINE = 9  # workers of the sequential codes


def sets_of(workers: int) -> Iterator[np.ndarray]:
    """Every set of workers that may be late."""
    for size in range(workers + 1):
        for late in combinations(range(workers), size):
            yield np.isin(np.arange(workers), late)


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "workers"), REPETITION, ids=repr)
def test_the_server_recovers_the_sum_from_every_set_of_workers_from_which_it_can(code, workers):
    code.check(workers)
    matrix, gradients = code.matrix(workers), np.random.default_rng(0).standard_normal((workers, DIM))
    sent = matrix @ gradients
    for late in sets_of(workers):
        weights = decoding_weights(matrix, late)
        decodable = np.max(np.abs(weights @ matrix - 1)) < 1e-9
        assert bool(code.receive((), late)[1]) == decodable
        assert decodable or late.sum() > code.tolerance  # any s stragglers are tolerated
        if decodable:  # the solutions of the code's random systems have entries of some hundreds
            assert not weights[late].any()
            assert_allclose(weights @ sent, gradients.sum(axis=0), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("code", "workers"), REPETITION, ids=repr)
def test_every_worker_has_as_many_partitions_as_the_load_says(code, workers):
    held = code.matrix(workers) != 0
    assert_array_equal(held.sum(axis=1), code.redundancy(workers))
    assert_array_equal(held.sum(axis=0), code.copies)


def test_workers_with_random_combinations_of_their_partitions_are_no_code():
    workers, code = 7, CyclicRepetition(2)
    wrong = np.where(code.matrix(workers) != 0, np.random.default_rng(1).standard_normal((workers, workers)), 0.0)
    late = np.arange(workers) < 2
    assert np.max(np.abs(decoding_weights(wrong, late) @ wrong - 1)) > 1e-2


# --- sequential codes -------------------------------------------------------------------------------------------------


def bursty(code: Any, rng: np.random.Generator, rounds: int, beyond: int = 0) -> np.ndarray:
    """Stragglers that the model (B, W, lambda + beyond) allows, drawn greedily. -> [rounds, n]."""
    late = np.zeros((rounds, NINE), bool)
    for now in range(rounds):
        window, apart = max(0, now + 1 - code.window), max(0, now + 1 - code.burst)
        for worker in rng.permutation(NINE)[: rng.integers(0, NINE)]:
            late[now, worker] = not late[window:apart, worker].any()
            if late[window : now + 1].any(axis=0).sum() > code.distinct + beyond:
                late[now, worker] = False
    return late


def recoveries(code: Any, late: np.ndarray) -> np.ndarray:
    """Whether the gradient of every round is recovered by its time, for those whose time comes. [R, n] -> [R - T]."""
    return np.asarray(_all_rounds(code, late))[code.delay :]


@partial(jax.jit, static_argnums=0)
def _all_rounds(code: Any, late: Any) -> Any:
    return jax.lax.scan(code.receive, code.start(NINE), late)[1]


@pytest.mark.parametrize("code", SEQUENTIAL, ids=repr)
def test_sequential_codes_recover_every_gradient_under_their_model_of_stragglers(code):
    code.check(NINE)
    rng = np.random.default_rng(2)
    patterns = [bursty(code, rng, 60) for _ in range(6)]
    assert max(late[i : i + code.window].any(axis=0).sum() for late in patterns for i in range(60)) == code.distinct
    assert all(recoveries(code, late).all() for late in patterns)


@pytest.mark.parametrize("code", [SelectiveRepeat(1, 2, 3), SelectiveRepeat(2, 5, 5), *SEQUENTIAL[5:9]], ids=repr)
def test_and_not_every_one_under_more_stragglers(code):
    rng = np.random.default_rng(3)
    always = np.ones((60, NINE), bool) * (np.arange(NINE) <= code.distinct)
    assert not recoveries(code, always).any()
    assert not all(recoveries(code, bursty(code, rng, 60, beyond=NINE)).all() for _ in range(10))


def selective_repeat(code: SelectiveRepeat, late: np.ndarray) -> list[bool]:
    """Task after task: who sends which gradient's part in which round."""
    rounds, sent = len(late), {}
    for now in range(rounds):
        owing = [i for i in range(NINE) if i not in sent.get(now - code.burst, range(NINE))]
        repeating = owing[: max(0, len(owing) - code.tolerance)]
        for i in range(NINE):
            job = now - code.burst if i in repeating else now
            sent.setdefault(now, set())
            if not late[now, i]:
                sent[job].add(i)
    return [len(sent[job]) >= NINE - code.tolerance for job in range(rounds - code.delay)]


def multiplexed(code: Multiplexed, late: np.ndarray) -> list[bool]:
    """Task after task: every worker's own parts of a gradient, and who has sent which coded part."""
    found, own = [], code.window - 1
    for job in range(len(late) - code.delay):
        done, coded = [0] * NINE, [0] * code.burst
        for part in range(own + code.burst):
            for i in range(NINE):
                if part >= own and done[i] == own:
                    coded[part - own] += not late[job + part, i]
                else:
                    done[i] += not late[job + part, i]
        found.append(min(done) == own and min(coded) >= NINE - code.distinct)
    return found


@pytest.mark.parametrize("code", SEQUENTIAL, ids=repr)
def test_sequential_codes_are_their_loops_over_tasks(code):
    rng = np.random.default_rng(4)
    loop = selective_repeat if isinstance(code, SelectiveRepeat) else multiplexed
    for chance in (0.1, 0.25):
        late = rng.random((80, NINE)) < chance
        assert_array_equal(recoveries(code, late), loop(code, late))


@pytest.mark.parametrize("n", [9, 20])
@pytest.mark.parametrize(("B", "W", "m"), [(1, 2, 3), (2, 3, 4), (2, 5, 5)])
def test_delays_and_loads_are_those_of_the_paper(B, W, m, n):
    repeat, multiplex = SelectiveRepeat(B, W, m), Multiplexed(B, W, m)
    assert (repeat.delay, multiplex.delay) == (B, W - 2 + B)
    assert repeat.redundancy(n) / n == (-(-B * m // (W - 1 + B)) + 1) / n
    # n (W - 1) own parts of a share q of the data each, and n B coded ones of q / (m + 1), are all data
    q = 1 / (n * (W - 1) + n * B / (m + 1))
    assert_allclose(multiplex.redundancy(n) / n, (W - 1 + B) * q, rtol=1e-14)


# --- stragglers -------------------------------------------------------------------------------------------------------


def process(stragglers: Stragglers, workers: int, rounds: int) -> np.ndarray:
    """Who is late in a long run. -> [rounds, n]."""
    keys = jax.random.split(jax.random.key(1), rounds)

    def one(late: Any, key: Any) -> Any:
        late = stragglers.draw(key, late)
        return late, late

    return np.asarray(jax.lax.scan(one, stragglers.start(jax.random.key(0), workers), keys)[1])


@pytest.mark.parametrize(
    ("stragglers", "share", "burst"),
    [
        (IndependentStragglers(0.2), 0.2, 1 / 0.8),
        (GilbertElliott(0.05, 0.25), 0.05 / 0.3, 4.0),
        (GilbertElliott(0.3, 0.7), 0.3, 1 / 0.7),
        (FixedStragglers(2), 0.25, 1 / 0.75),
        (FixedStragglers(0), 0.0, None),
        (IndependentStragglers(0.0), 0.0, None),
    ],
    ids=repr,
)
def test_stragglers_are_as_many_and_as_long_late_as_they_say(stragglers, share, burst):
    late = process(stragglers, 8, 6000)
    assert late.dtype == bool
    assert_allclose(late.mean(), share, rtol=0.08)  # of 48,000 draws, in bursts
    if burst is not None:
        begun = (late[1:] & ~late[:-1]).sum()
        assert_allclose(late[1:].sum() / begun, burst, rtol=0.08)
    if isinstance(stragglers, FixedStragglers):
        assert np.all(late.sum(axis=1) == stragglers.workers)


# --- the layer --------------------------------------------------------------------------------------------------------

METHODS = [GD(), EF21(RandK(2)), EF21SGDM(TopK(1), Minibatch(2), eta=0.3)]
EXACT = {
    "no stragglers": (CyclicRepetition(0), FixedStragglers(0)),
    "s stragglers, cyclic": (CyclicRepetition(2), FixedStragglers(2)),
    "s stragglers, fractional": (FractionalRepetition(1), FixedStragglers(1)),
    "a sequential code": (SelectiveRepeat(1, 2, 2), FixedStragglers(1)),
}


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize(("code", "stragglers"), EXACT.values(), ids=EXACT)
def test_a_method_on_coded_workers_is_itself_where_the_code_tolerates_the_stragglers(code, stragglers, method):
    found, expected = (
        walk("logistic-l2", each, 0.1, 60) for each in (GradientCoding(method, code, stragglers), method)
    )
    assert_allclose(found.x, expected.x, rtol=1e-12, atol=1e-13)  # another program may fuse other operations
    whole = isinstance(method, GD)
    assert found.uplink[1] == expected.uplink[1] * (1 if whole else code.copies) + (not whole) * (
        found.uplink[0] - code.copies * expected.uplink[0]
    )
    assert found.downlink == expected.downlink
    assert found.uplink[0] == expected.uplink[0]  # gradients in full, or nothing


def test_one_straggler_more_than_tolerated_and_nothing_moves():
    problem = instance("logistic-l2").problem
    lost = GradientCoding(GD(), CyclicRepetition(1), FixedStragglers(2))
    trace = simulate(problem, lost, stepsize=0.1, rounds=20, x0=np.ones(DIM))
    assert np.ptp(trace.loss) == 0
    assert trace.bits_per_worker[-1] == 20 * 32 * DIM  # it is sent all the same


def test_lost_rounds_are_repeated_and_others_are_the_methods():
    """The points of a run with losses are those of the method, some of them several times."""
    problem = instance("logistic-l2").problem
    lossy = GradientCoding(GD(), FractionalRepetition(1), GilbertElliott(0.4, 0.5))
    found = simulate(problem, lossy, stepsize=0.5, rounds=200, seed=1).loss
    own = simulate(problem, GD(), stepsize=0.5, rounds=200).loss
    moved = np.concatenate([[True], np.diff(found) != 0])
    assert 20 < moved.sum() < 180
    assert_allclose(found[moved], own[: moved.sum()], rtol=1e-12)


@pytest.mark.parametrize(
    ("code", "messages", "passes"),
    [
        (FractionalRepetition(1), 1, 2),
        (CyclicRepetition(2), 1, 3),
        (SelectiveRepeat(1, 2, 2), 1, 2),
        (Multiplexed(1, 2, 2), 2, 1.5),
        (Multiplexed(2, 3, 3), 4, 1.6),
    ],
    ids=repr,
)
def test_passes_and_bits_are_exact(code, messages, passes):
    problem = instance("logistic-l2").problem
    coded = GradientCoding(GD(), code, FixedStragglers(0))
    assert_allclose(coded.gradient_passes(problem), passes, rtol=1e-15)
    assert coded.workers_computing(problem) == WORKERS
    assert coded.workers_awaited(problem) == WORKERS - code.tolerance
    assert walk("logistic-l2", coded, 0.1, 10).uplink == [0, 10 * 32 * DIM * messages]
    half = GradientCoding(EF21SGDM(TopK(1), Minibatch(4)), FractionalRepetition(1), FixedStragglers(0))
    assert half.gradient_passes(problem) == 1.0  # half of eight samples, twice


def test_stepsizes_are_named_by_the_theorems_of_the_method_within(tmp_path):
    problem = instance("logistic-l2").problem
    within = EF21SGDM(TopK(1), eta=0.3)
    coded = GradientCoding(within, CyclicRepetition(1), FixedStragglers(1))
    limits = [each.theorem("arithmetic-mean").max_stepsize(constants_of(problem, each)) for each in (within, coded)]
    assert limits[0] == limits[1]
    assert coded.theorems == () and "lost round" in coded.no_theorem
    assert coded.theorem("arithmetic-mean").obstacle(constants_of(problem, coded)) is None
    with pytest.raises(InvalidInput, match="unknown theorem of ef21-sgdm 'smooth'"):
        coded.theorem("smooth")


CODED = """
[[method]]
kind = "gradient-coding"
method = { kind = "ef21", compressor = { kind = "top-k", k = [1, 2] } }
code = { kind = "cyclic-repetition", tolerance = [1, 2] }
stragglers = { kind = "gilbert-elliott", begin = 0.1, end = 0.5 }
stepsize = { rule = "arithmetic-mean" }
"""


def test_configs_sweep_what_is_coded_and_how(tmp_path):
    path = tmp_path / "coded.toml"
    path.write_text(SMALL + CODED)
    plan = make_plan(parse_config(read_raw(path)))
    built = [batch.case.method for batch in plan.batches]
    assert [(each.method.compressor.k, each.code.tolerance) for each in built] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert plan.batches[0].stepsizes == plan.batches[1].stepsizes < plan.batches[2].stepsizes
    assert built[0].stragglers.begin == 0.1
    with pytest.raises(InvalidInput, match=r"method\[0\].method.stepsize: unknown field"):
        parse_config(apply_overrides(read_raw(path), ["method.0.method.stepsize=0.1"]))


TWICE = GradientCoding(GD(), CyclicRepetition(1), FixedStragglers(0))
UNFIT = [
    (GradientCoding(GD(), FractionalRepetition(2), FixedStragglers(0)), r"s \+ 1 = 3 divides the 4 workers"),
    (GradientCoding(GD(), CyclicRepetition(4), FixedStragglers(0)), "tolerates at most 3 stragglers"),
    (GradientCoding(GD(), CyclicRepetition(1), FixedStragglers(4)), "4 workers cannot be late where there are 4"),
    (GradientCoding(GD(), Multiplexed(1, 2, 4), FixedStragglers(0)), "at most 3 can be late, not 4"),
    (GradientCoding(EF21(TopK(1)), Multiplexed(1, 2, 2), FixedStragglers(0)), "recovers sums only"),
    (GradientCoding(EF21PP(TopK(1), Independent(0.5)), CyclicRepetition(1), FixedStragglers(0)), "needs all workers"),
    (GradientCoding(TWICE, CyclicRepetition(1), FixedStragglers(0)), "not coded already"),
]


@pytest.mark.parametrize(("method", "told"), UNFIT, ids=[told for _, told in UNFIT])
def test_what_does_not_fit_is_told(method: Method, told):
    with pytest.raises(InvalidInput, match=told):
        simulate(instance("logistic-l2").problem, method, stepsize=0.1, rounds=1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CyclicRepetition(-1), "that a code tolerates must be a whole number >= 0, not -1"),
        (lambda: SelectiveRepeat(2, 4, 2), "B = 2 divides W - 1 = 3"),
        (lambda: Multiplexed(3, 3, 2), "a burst of 3 rounds must be shorter than the window"),
        (lambda: GilbertElliott(0.0, 0.5), "burst begins must be a number in"),
        (lambda: IndependentStragglers(1.0), "chance to be late must be a number in"),
        (lambda: FixedStragglers(-1), "must be a whole number >= 0, not -1"),
    ],
)
def test_parameters_are_checked(make, told):
    with pytest.raises(InvalidInput) as error:
        make()
    assert told in str(error.value)


def test_every_part_is_tried():
    mine = lambda base: {cls for cls in registered(base).values() if cls.__module__.startswith("simulator.")}  # noqa: E731
    assert {type(code) for code in [*SEQUENTIAL, *(code for code, _ in REPETITION)]} == mine(GradientCode)
    assert {IndependentStragglers, GilbertElliott, FixedStragglers} == mine(Stragglers)
