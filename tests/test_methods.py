"""Every method against a plain double loop in NumPy, and the identities that relate one method to another."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import DIM, WORKERS, instance
from method_examples import CONTRACTIVE, UNBIASED, VARIANTS, method_examples
from numpy.testing import assert_allclose
from references import REFERENCES, START, reference
from stepping import walk

from problems import InvalidInput, Problem, Quadratic
from problems.pytrees import frozen_pytree
from problems.registry import registered
from simulator import (
    CLAG,
    CO2,
    DCGD,
    DGC,
    DIANA,
    EF14,
    EF21,
    EF21BC,
    EF21HB,
    EF21PAGE,
    EF21PP,
    EF21SGD,
    EF21SGDM,
    EF21W,
    EFBV,
    GD,
    L0,
    L1,
    LAG,
    MARINA,
    SGD,
    Adam,
    AdamEF,
    AsyncFedAvg,
    Box,
    ClonedEF21,
    Compressor,
    CyclicRepetition,
    DiLoCo,
    EControl,
    EF21Plus,
    EF21Prox,
    Exact,
    ExponentialTimes,
    FedAvg,
    FedBuff,
    FedFix,
    FixedNumber,
    FixedStragglers,
    FixedTimes,
    GaussianNoise,
    GradientCoding,
    Identity,
    Independent,
    LocalSGD,
    Method,
    Minibatch,
    OneBit,
    OneBitAdam,
    RandK,
    Size,
    StreamingDiLoCo,
    ThreePCv1,
    ThreePCv2,
    ThreePCv4,
    ThreePCv5,
    TopK,
    constants_of,
    dense,
    engine,
    nothing,
    program,
    simulate,
    traffic,
)

trajectories_only = pytest.mark.usefixtures("without_theorems")
INITIALS = ("gradient", "compressed", "zero")
EXAMPLES = method_examples(TopK(2), RandK(2, scaled=True))
every_method = pytest.mark.parametrize("method", EXAMPLES.values(), ids=EXAMPLES)


@pytest.fixture
def without_theorems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the checks out of the compiled programs, which takes most of the time to compile them."""
    for method in registered(Method).values():
        monkeypatch.setattr(method, "theorems", ())


# --- references -----------------------------------------------------------------------------------------


def stepsize(problem: Problem, k: int) -> float:
    """1 / (L + L_AM xi), large enough for the methods to move far in 200 rounds."""
    root = np.sqrt(1 - k / DIM)
    return float(1 / (problem.smoothness + problem.worker_smoothness.mean() * root / (1 - root)))


def points(problem: Problem, method: Method, gamma: float, seed: int = 3) -> list[np.ndarray]:
    """x^100 and x^200: runs that differ only in their number of rounds share one program."""
    return [
        simulate(problem, method, stepsize=gamma, rounds=t, record_every=200, x0=START, seed=seed).final_point
        for t in (100, 200)
    ]


def cases() -> dict[str, Method]:
    """Every method as it is, the variants that a reference knows, and the other ways to start."""
    found = {name: method for name, method in EXAMPLES.items() if name not in ("ef21-prox box", "ef21-sgd noise")}
    for kind in ("ef21-w", "ef21-sgdm", "ef21-bc", "econtrol"):
        found |= {f"{kind} {initial}": replace(EXAMPLES[kind], initial=initial) for initial in INITIALS[1:]}
    return found


@trajectories_only
@pytest.mark.parametrize("method", cases().values(), ids=cases())
@pytest.mark.parametrize("name", ["logistic-nonconvex"])
def test_methods_are_their_plain_double_loops(method, name):
    problem, data = instance(name)
    gamma = stepsize(problem, 2)
    expected = reference(data, method, gamma, 200, seed=3)[99::100]
    assert np.linalg.norm(expected[-1] - START) > 0.3  # they have moved
    # a sum in another order moves x by about 1e-15, which these runs amplify by less than 1e5
    assert_allclose(points(problem, method, gamma), expected, rtol=1e-10, atol=1e-10 * np.max(np.abs(expected)))


@trajectories_only
@pytest.mark.parametrize("kind", ["ef21-w", "ef21-cloned", "ef21-sgd"])
def test_methods_are_their_plain_double_loops_where_workers_have_unequal_samples(kind):
    problem, data = instance("logistic-nonconvex-unequal")
    method = EF21SGD(TopK(2), Minibatch(2, replacement=True)) if kind == "ef21-sgd" else EXAMPLES[kind]
    gamma = stepsize(problem, 2)
    expected = reference(data, method, gamma, 200, seed=3)[99::100]
    assert_allclose(points(problem, method, gamma), expected, rtol=1e-10, atol=1e-10 * np.max(np.abs(expected)))


@trajectories_only
def test_the_comparison_with_references_sees_small_changes():
    problem, data = instance("logistic-nonconvex")
    gamma = stepsize(problem, 1)
    found = points(problem, EF21(TopK(1)), gamma * (1 + 1e-9))[0]
    expected = reference(data, EF21(TopK(1)), gamma, 100)
    assert np.max(np.abs(found - expected[-1])) > 1e-11
    assert np.max(np.abs(found - expected[-2])) > 1e-5  # and an index that is off by one
    random = points(problem, EXAMPLES["diana"], gamma, seed=4)[0]  # and another seed
    assert np.max(np.abs(random - reference(data, EXAMPLES["diana"], gamma, 100, seed=3)[-1])) > 1e-5


def test_every_method_has_a_reference_and_an_example():
    kinds = {kind for kind, cls in registered(Method).items() if cls.__module__.startswith("simulator.")}
    assert set(REFERENCES) == kinds, "write a plain double loop for the new method in tests/references.py"
    assert {*CONTRACTIVE, *UNBIASED} == kinds, "add the new method to tests/method_examples.py"


# --- laws of every method -------------------------------------------------------------------------------


@every_method
def test_states_hold_the_gradients_at_their_own_point(method):
    # measuring and checking rest on this promise
    problem = instance("logistic").problem
    method, key = method.resolved(problem), jax.random.key(0)

    @jax.jit
    def states(method: Method, problem: Problem) -> tuple[Any, Any]:
        first = method.init(problem, jnp.asarray(START), key)
        return first, method.step(problem, jnp.asarray(0.1), first, key)

    first, second = states(method, problem)
    kinds = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) for state in (first, second)]
    assert kinds[0] == kinds[1]
    if not isinstance(method, EF21Prox):  # which moves x^0 to where its regulariser is finite
        assert_allclose(first.x, START)
    for state in (first, second):
        assert_allclose(state.gradients, problem.worker_gradients(state.x), rtol=1e-12, atol=1e-13)


@every_method
def test_theorems_of_a_method_have_names_of_their_own(method):
    names = [theorem.name for theorem in method.theorems]
    assert len(set(names)) == len(names)
    assert bool(names) != bool(method.no_theorem), "a method has theorems, or says why it has none"
    assert all(method.theorem(name).name == name for name in names)
    assert all(theorem.reference and theorem.formula for theorem in method.theorems)
    assert method.paper.title and 1800 < method.paper.year < 2100


@every_method
def test_randomness_is_as_declared(method):
    ends = [walk("logistic-l2", method, 0.05, 30, seed).x for seed in (0, 1, 0)]
    np.testing.assert_array_equal(ends[0], ends[2])
    assert np.array_equal(ends[0], ends[1]) == method.deterministic


@every_method
def test_every_method_keeps_single_precision(method):
    # traced, not compiled: what a round carries on must have the type that it got
    problem = instance("logistic-l2").problem
    constants = constants_of(problem, method)
    theorems = tuple(theorem for theorem in method.theorems if theorem.obstacle(constants) is None)
    batch = engine._prepare(problem, constants, theorems, 32, "float32", lanes=2)
    gammas, x0 = jnp.full(2, 0.1, jnp.float32), jnp.asarray(START, jnp.float32)
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    start = partial(program.start.__wrapped__, batch.program)
    numbers = jax.tree.map(jnp.float32, engine.factors(theorems, constants, np.full(2, 0.1)))
    runs, first = jax.eval_shape(start, (batch.setting, x0, jnp.float32(1e-6)), gammas, keys, numbers)
    advance = partial(program.advance.__wrapped__, batch.program)
    blank = jax.tree.map(lambda leaf: jnp.zeros((2, *leaf.shape), leaf.dtype), first)
    stops = program.Stops(jnp.array([1, 2], jnp.int32), jnp.array([True, False]), jnp.asarray(2))
    after, records = jax.eval_shape(advance, batch.setting, gammas, runs, blank, stops)
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, runs)
    floats = {
        leaf.dtype
        for leaf in jax.tree.leaves((after.place.state.x, after.place.evaluation, after.tally.check, records.lyapunov))
        if leaf.dtype.kind == "f"
    }
    assert floats == {jnp.dtype("float32")}


# --- identities -----------------------------------------------------------------------------------------


def final_point(name: str, method: Method, gamma: float, rounds: int = 200) -> np.ndarray:
    return walk(name, method, gamma, rounds).x


NO_COMPRESSION = method_examples(Identity(), Identity()) | {
    "ef21-pp": EF21PP(Identity(), Independent(1.0)),
    "ef21-w-pp": EF21PP(Identity(), FixedNumber(WORKERS)),
    "ef21-sgd": EF21SGD(Identity(), Exact()),
    "ef21-w-sgd": EF21SGD(Identity(), Exact()),
    "ef21-sgdm": EF21SGDM(Identity(), eta=1.0),
    "ef21-hb": EF21HB(Identity(), momentum=0.0),
    "ef21-page": EF21PAGE(Identity(), Exact(), probability=0.5),
    "ef21-bc": EF21BC(Identity(), Identity()),
    "ef21-prox": EF21Prox(Identity(), Box(1e3)),
    "gradient-coding": GradientCoding(GD(), CyclicRepetition(1), FixedStragglers(1)),
    "lag": LAG(0.0),
    "clag": CLAG(Identity(), 0.0),
    "3pc-v2": ThreePCv2(TopK(1), Identity()),
    "3pc-v4": ThreePCv4(TopK(1), Identity()),
    "marina at p = 1": MARINA(RandK(1, scaled=True), probability=1.0),
    "dgc": DGC(TopK(DIM)),  # masking forgets all momentum
    "3pc-v5 at p = 1": ThreePCv5(TopK(1), probability=1.0),
    "fedavg": FedAvg(times=ExponentialTimes(spread=4.0)),
    "async-fedavg": AsyncFedAvg(),
    "fedbuff": FedBuff(WORKERS, times=ExponentialTimes(spread=4.0)),
    "fedfix": FedFix(1.6, times=FixedTimes(spread=4.0)),
    "local-sgd": LocalSGD(local_steps=1),
    "diloco": DiLoCo(local_steps=1, outer_stepsize=1.0, outer_momentum=0.0, inner=SGD()),
    "streaming-diloco": StreamingDiLoCo(
        local_steps=1, fragments=1, outer_stepsize=1.0, outer_momentum=0.0, inner=SGD()
    ),
    "co2": CO2(local_steps=1, delay=0, outer_momentum=0.0),
}
MOMENTS = ("adam", "adam-ef", "one-bit-adam")  # whose step is no multiple of the gradient
GRADIENT_DESCENTS = {name: method for name, method in NO_COMPRESSION.items() if name not in (*VARIANTS, *MOMENTS)}


@pytest.mark.parametrize("method", GRADIENT_DESCENTS.values(), ids=GRADIENT_DESCENTS)
def test_without_compression_every_method_is_gradient_descent(method):
    gamma = 0.5 / float(instance("indefinite").problem.smoothness)
    found, expected = (final_point("indefinite", each, gamma) for each in (method, GD()))
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_compression_makes_a_difference():
    gamma = 0.5 / float(instance("indefinite").problem.smoothness)
    compressed, plain = (final_point("indefinite", m, gamma, 3) for m in (EF21(TopK(DIM - 1)), GD()))
    assert np.max(np.abs(compressed - plain)) > 1e-6


@frozen_pytree
class Halves(Compressor):
    """C(x) = x / 2: linear, alpha = 3/4."""

    kind = "halves-of-methods-test"
    deterministic = positively_homogeneous = True

    def compress(self, key, x):
        return x / 2

    def contraction(self, dim):
        return 0.75

    def variance(self, dim):
        return None

    def size(self, message, entries):
        return Size(floats=entries)

    def check(self, dim, workers):
        pass


@frozen_pytree
class Steps(Halves):
    """Rounds every entry towards zero to a multiple of 1/8: not homogeneous."""

    kind = "steps-of-methods-test"
    positively_homogeneous = False

    def compress(self, key, x):
        return jnp.trunc(8 * x) / 8


TOP, RAND, BATCH = TopK(2), RandK(2, scaled=True), Minibatch(2)
BIASED, ALIKE = RandK(2), RandK(2, shared_randomness=True)
SAME = {
    "DGC without its parts is EF14": (DGC(TOP, momentum=0.0), EF14(TOP)),
    "DGC without its parts is EF-SGD": (DGC(TOP, momentum=0.0, oracle=BATCH), EF14(TOP, BATCH)),
    "DGC that sends everything is the heavy ball": (
        DGC(TopK(DIM), momentum=0.6, momentum_masking=False),
        EF21HB(Identity(), momentum=0.6),
    ),
    "DGC that sends everything needs no momentum correction": (
        DGC(TopK(DIM), momentum=0.6, momentum_correction=False),
        EF21HB(Identity(), momentum=0.6),
    ),
    "DGC with a loose bound does not clip": (DGC(TOP, clip=1e6), DGC(TOP)),
    "Adam with error feedback is Adam where nothing is withheld": (
        AdamEF(Identity(), Identity(), BATCH),
        Adam(BATCH, bias_correction=False),
    ),
    "1-bit Adam is Adam as long as it warms up": (OneBitAdam(10**6), Adam(bias_correction=False)),
    "EF-SGD with all samples is EF14": (EF14(TOP, Minibatch(8)), EF14(TOP)),
    "EControl with eta = 0 is EF21": (EControl(TOP, eta=0.0), EF21(TOP)),
    "EF-BV is EF21 for a deterministic compressor": (EFBV(TOP), EF21(TOP)),
    "EF-BV is DIANA with its lam and nu": (EFBV(RAND, lam=1 / 3, nu=1.0), DIANA(RAND)),
    "CLAG at trigger 0 is EF21": (CLAG(TOP, 0.0), EF21(TOP)),
    "CLAG at trigger 0 is EF21, random": (CLAG(BIASED, 0.0), EF21(BIASED)),
    "EF21-SGDM with eta = 1 is EF21-SGD": (EF21SGDM(TOP, BATCH, eta=1.0), EF21SGD(TOP, BATCH)),
    "EF21-SGD with full gradients is EF21": (EF21SGD(TOP, Exact()), EF21(TOP)),
    "EF21-SGD with all samples is EF21": (EF21SGD(TOP, Minibatch(8)), EF21(TOP)),
    "EF21-HB without momentum is EF21": (EF21HB(TOP, momentum=0.0), EF21(TOP)),
    "EF21-PAGE at p = 1 is EF21": (EF21PAGE(TOP, BATCH, probability=1.0), EF21(TOP)),
    "EF21-PP with everyone is EF21": (EF21PP(TOP, Independent(1.0)), EF21(TOP)),
    "EF21-PP with a fixed number of all is EF21": (EF21PP(TOP, FixedNumber(WORKERS)), EF21(TOP)),
    "EF21-BC with a full downlink is EF21": (EF21BC(TOP, Identity()), EF21(TOP)),
    "EF21-Prox in a large box is EF21": (EF21Prox(TOP, Box(1e6)), EF21(TOP)),
    "3PCv4 is EF21 with the larger k": (ThreePCv4(TopK(1), TopK(2)), EF21(TopK(3))),
    "EF21-W is EF21 for a homogeneous compressor": (EF21W(TOP), EF21(TOP)),
    "EF21-W is EF21 for shared randomness": (EF21W(ALIKE), EF21(ALIKE)),
    "FedAvg with one local step is EF14": (FedAvg(compressor=TOP), EF14(TOP)),
    "FedFix with an interval as long as all works is EF14": (FedFix(1.0, compressor=TOP), EF14(TOP)),
    "FedBuff of all workers is FedAvg": (
        FedBuff(WORKERS, compressor=TOP, local_steps=3, times=ExponentialTimes(spread=4.0)),
        FedAvg(compressor=TOP, local_steps=3),
    ),
    "FedBuff of one arrival is asynchronous FedAvg": (
        FedBuff(1, compressor=TOP, times=ExponentialTimes(spread=4.0)),
        AsyncFedAvg(compressor=TOP, times=ExponentialTimes(spread=4.0)),
    ),
    "clones of EF21 are EF21 for a homogeneous compressor": (ClonedEF21(TOP), EF21(TOP)),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_methods_that_coincide(pair):
    # in units of the run's length a stepsize of 1/L: the iterates move by more than their own size
    gamma = 0.1 / float(instance("logistic-l2").problem.smoothness)
    found, expected = (final_point("logistic-l2", method, gamma) for method in pair)
    assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


DIFFERENT = {
    "EControl": (EControl(TOP), EF21(TOP)),
    "CLAG": (CLAG(TOP, 3.0), EF21(TOP)),
    "EF21-SGDM": (EF21SGDM(TOP, BATCH, eta=0.9), EF21SGD(TOP, BATCH)),
    "EF-BV": (EFBV(RAND), DIANA(RAND)),
    "DGC, its momentum correction": (DGC(TOP), DGC(TOP, momentum_correction=False)),
    "DGC, its clipping": (DGC(TOP, clip=0.3), DGC(TOP)),
    "DGC, its masking": (DGC(TOP), DGC(TOP, momentum_masking=False)),
    "DGC, its warm-up": (DGC(TOP, warmup=12), DGC(TOP)),
    "1-bit Adam": (OneBitAdam(10), Adam(bias_correction=False)),
    "Adam, its bias correction": (Adam(), Adam(bias_correction=False)),
    "EF21+": (EF21Plus(Steps()), EF21(Steps())),
    "3PCv1": (ThreePCv1(TOP), EF21(TOP)),
    "delays": (AsyncFedAvg(times=FixedTimes(spread=4.0)), AsyncFedAvg()),
    "local steps": (FedAvg(local_steps=2), FedAvg()),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_and_that_do_not(pair):
    gamma = 0.1 / float(instance("logistic-l2").problem.smoothness)
    found, expected = (final_point("logistic-l2", method, gamma, 20) for method in pair)
    assert np.max(np.abs(found - expected)) > 1e-6


@pytest.mark.parametrize("initial", INITIALS)
def test_ef21_w_is_ef21_however_it_starts(initial):
    # both start from g_i^W = g_i / (n w_i), as each `initial` commutes with a positive factor
    name = "logistic-l2-unequal"
    gamma = 0.1 / float(instance(name).problem.smoothness)
    weighted = final_point(name, EF21W(TopK(2), initial=initial), gamma)
    assert_allclose(weighted, final_point(name, EF21(TopK(2), initial=initial), gamma), rtol=1e-11, atol=1e-12)


def test_ef21_w_is_not_ef21_for_a_compressor_that_is_not_homogeneous(monkeypatch):
    # and follows its own double loop: with a homogeneous compressor its weights would not be seen
    data = instance("logistic-nonconvex-unequal").data
    monkeypatch.setattr("references.Draws.compress", lambda self, t, i, v: np.trunc(8 * v) / 8)
    found = [final_point("logistic-nonconvex-unequal", cls(Steps()), 0.05, rounds=20) for cls in (EF21W, EF21)]
    for point, method in zip(found, (EF21W(Steps()), EF21(Steps())), strict=True):
        assert_allclose(point, reference(data, method, 0.05, 20)[-1], rtol=1e-11)
    assert np.max(np.abs(found[0] - found[1])) > 1e-4


def test_ef21_is_ef14_for_a_linear_compressor_only():
    # C(v) = v/2 is deterministic, homogeneous and additive; Top-k is not additive (arXiv 2106.05203)
    gamma = 0.1 / float(instance("dense").problem.smoothness)
    halves, top = Halves(), TopK(2)
    # EF21 is one round ahead: its g^0 = C(grad f_i(x^0)) is what EF14 sends in its first round
    ef21, ef14 = (final_point("dense", method, gamma) for method in (EF21(halves, initial="compressed"), EF14(halves)))
    assert_allclose(ef21, ef14, rtol=1e-11, atol=1e-12)
    ef21, ef14 = (final_point("dense", method, gamma, 20) for method in (EF21(top, initial="compressed"), EF14(top)))
    assert np.max(np.abs(ef21 - ef14)) > 1e-3


def test_the_proximal_method_solves_the_regularised_problem():
    # the lasso's optimality conditions: |grad_j f| <= strength where x_j = 0, grad_j f = -strength sign(x_j) elsewhere
    problem, strength = instance("logistic-l2").problem, 0.05
    method = EF21Prox(TopK(3), L1(strength))
    gamma = float(method.theorem("arithmetic-mean").max_stepsize(constants_of(problem, method)))
    x = final_point("logistic-l2", method, gamma, 10_000)
    gradient = np.asarray(problem.gradient(jnp.asarray(x)))
    zero = x == 0
    assert 0 < zero.sum() < DIM
    assert np.all(np.abs(gradient[zero]) < strength)
    assert_allclose(gradient[~zero], -strength * np.sign(x[~zero]), rtol=1e-6)


def test_the_starting_point_is_moved_into_the_box():
    found = final_point("dense", EF21Prox(TopK(1), Box(0.4)), 1e-12, rounds=1)
    assert_allclose(found, np.clip(START, -0.4, 0.4), atol=1e-10)


def test_the_warm_up_of_dgc_sends_the_published_shares():
    # 25, 6.25, 1.5625 and 0.4 percent, then 0.1: an epoch is one round here
    problem = Quadratic.random(2, 1000, structure="diagonal")
    trace = simulate(problem, DGC(TopK(1), warmup=4), stepsize=1e-6, rounds=6)
    assert_allclose(np.diff(trace.bits_per_worker) / (32 + 10), [251, 63, 16, 4, 1, 1])


def test_1_bit_adam_after_its_warm_up_is_momentum_scaled_with_a_frozen_variance():
    problem, rounds, warmup, gamma = instance("logistic-l2").problem, 40, 15, 0.01
    x, m, v = START, np.zeros(DIM), np.zeros(DIM)
    for t in range(rounds):
        gradient = np.asarray(problem.gradient(jnp.asarray(x)))
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2 if t < warmup else v
        x = x - gamma * m / (np.sqrt(v) + 1e-8)
    found = final_point("logistic-l2", OneBitAdam(warmup, Identity(), Identity()), gamma, rounds)
    assert_allclose(found, x, rtol=1e-10)


def test_a_single_worker_is_answered_in_one_bit_without_a_second_error():
    # C(C(v)) = C(v): the server withholds nothing from a worker that is alone
    one_way, both_ways = (AdamEF(OneBit(), downlink) for downlink in (Identity(), OneBit()))
    found, expected = (final_point("single-worker", method, 0.01, 40) for method in (both_ways, one_way))
    assert_allclose(found, expected, rtol=1e-10)
    found, expected = (final_point("dense", method, 0.01, 40) for method in (both_ways, one_way))
    assert np.max(np.abs(found - expected)) > 1e-3


def test_adam_without_memory_takes_the_signs():
    gradient = np.asarray(instance("dense").problem.gradient(jnp.asarray(START)))
    method = Adam(beta1=0.0, beta2=0.0, bias_correction=False)
    assert_allclose(final_point("dense", method, 0.01, 1), START - 0.01 * np.sign(gradient), atol=1e-8)


# --- traffic --------------------------------------------------------------------------------------------

# d = 6 <= 2^3: an index takes 3 bits
DENSE, TOP2, RAND2, SHARED = 32 * DIM, 2 * (32 + 3), 2 * (32 + 3), 2 * 32
ROUNDS = 7


def sent(method: Method, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    """Bits to and from the server at round 0 and after the last one."""
    end = walk("logistic", method, 1e-3, rounds)
    return end.uplink, end.downlink


@pytest.mark.parametrize(
    ("method", "first", "uplink", "downlink"),
    [
        (GD(), 0, DENSE, DENSE),
        (DCGD(TOP), 0, TOP2, DENSE),
        (EF14(RandK(2)), 0, RAND2, DENSE),
        (EF14(ALIKE), 0, SHARED, DENSE),
        (EF21(TOP), DENSE, TOP2, DENSE),
        (EF21(TOP, initial="compressed"), TOP2, TOP2, DENSE),
        (EF21(TOP, initial="zero"), 0, TOP2, DENSE),
        (EF21W(TOP, initial="compressed"), TOP2, TOP2, DENSE),
        (EF21Plus(TOP), DENSE, TOP2 + 1, DENSE),
        (EF21PP(TOP, FixedNumber(1)), DENSE, TOP2 / 4, DENSE),
        (EF21PAGE(TOP, BATCH, probability=0.3), DENSE, TOP2, DENSE),
        (EControl(TOP), DENSE, TOP2, DENSE),
        (DIANA(RAND, initial="zero"), 0, RAND2, DENSE),
        (MARINA(RAND, probability=1.0), DENSE, DENSE, DENSE),
        (MARINA(RAND, probability=1e-12), DENSE, RAND2, DENSE),
        (LAG(0.0), DENSE, DENSE, DENSE),
        (LAG(1e12), DENSE, 0, DENSE),
        (CLAG(TOP, 1e12), DENSE, 0, DENSE),
        (ThreePCv1(TOP), DENSE, DENSE + TOP2, DENSE),
        (ThreePCv2(TOP, RAND), DENSE, TOP2 + RAND2, DENSE),
        (ThreePCv4(TOP, TopK(1)), DENSE, TOP2 + 35, DENSE),
        (ThreePCv5(TOP, probability=1e-12), DENSE, TOP2, DENSE),
        (DGC(TOP), 0, TOP2, DENSE),
        (Adam(), 0, DENSE, DENSE),
        (AdamEF(), 0, 32 + DIM, 32 + DIM),
    ],
    ids=repr,
)
def test_bits_of_a_run(method, first, uplink, downlink):
    up, down = sent(method)
    assert up == [first, first + ROUNDS * uplink]
    assert down == [0, ROUNDS * downlink]


def test_bits_of_both_directions_where_both_are_compressed():
    assert sent(EF21BC(TOP, TopK(1))) == ([DENSE, DENSE + ROUNDS * TOP2], [DENSE, DENSE + ROUNDS * 35])


def test_1_bit_adam_sends_everything_while_it_warms_up():
    total = 3 * DENSE + (ROUNDS - 3) * (32 + DIM)
    assert sent(OneBitAdam(3)) == ([0, total], [0, total])


def of_a_trace(method: Method, **options: Any) -> tuple[list[float], list[float]]:
    """The same from the engine."""
    options = {"stepsize": 1e-3, "rounds": ROUNDS, "record_every": ROUNDS, "x0": START} | options
    trace = simulate(instance("logistic").problem, method, **options)
    return trace.bits_per_worker.tolist(), trace.downlink_bits_per_worker.tolist()


@trajectories_only
def test_a_trace_counts_the_bits_of_its_rounds():
    assert of_a_trace(EF21BC(TOP, TopK(1))) == sent(EF21BC(TOP, TopK(1)))
    assert of_a_trace(EF21(TOP), stepsize=1e6) == sent(EF21(TOP))  # and goes on where a run has diverged


@trajectories_only
def test_a_float_may_count_as_64_bits():
    assert of_a_trace(EF21(TOP), payload=64)[0] == [64 * DIM, 64 * DIM + ROUNDS * 2 * (64 + 3)]
    with pytest.raises(InvalidInput, match="payload must be 32 or 64"):
        of_a_trace(GD(), payload=16)


@pytest.mark.parametrize(
    ("method", "mean"),
    [(EF21PP(TOP, Independent(0.25)), 0.25 * TOP2), (MARINA(RAND, probability=0.25), 0.25 * DENSE + 0.75 * RAND2)],
    ids=repr,
)
def test_what_is_sent_by_chance_is_counted_when_it_is_sent(method, mean):
    rounds = 2000
    first, last = sent(method, rounds)[0]
    # one coin a round for MARINA, four for EF21-PP: at most 0.5 (192 - 70) / sqrt(2000) a standard deviation
    assert abs((last - first) / rounds - mean) < 5 * 0.5 * 122 / np.sqrt(rounds)


# --- bad input and extension ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [EF21, EF21W, EF21Plus, EControl, DIANA])
@pytest.mark.parametrize("initial", ["gradients", "", None, 3, ("zero",)])
def test_initial_estimates_are_one_of_three(method, initial):
    with pytest.raises(InvalidInput, match=r"unknown initial estimates .*known: compressed, gradient, zero"):
        method(TopK(1), initial=initial)


WRONG = {
    "beta1 must be a number in [0, 1), not 1": lambda: Adam(beta1=1),
    "beta2 must be a number in [0, 1), not -0.1": lambda: AdamEF(beta2=-0.1),
    "epsilon must be a finite number > 0, not 0": lambda: Adam(epsilon=0),
    "warmup must be a whole number >= 1, not 0": lambda: OneBitAdam(0),
    "warmup must be a whole number >= 0, not 2.5": lambda: DGC(TOP, warmup=2.5),
    "clip must be a finite number > 0, not 0": lambda: DGC(TOP, clip=0),
    "momentum must be a number in [0, 1), not 1.0": lambda: DGC(TOP, momentum=1.0),
    "its compressor must be top-k, not RandK(": lambda: DGC(RAND),
    "eta must be a number in (0, 1], not 0": lambda: EF21SGDM(TOP, eta=0),
    "eta must be a number in (0, 1], not 1.5": lambda: EF21SGDM(TOP, eta=1.5),
    "eta must be a number in [0, 1], not -0.1": lambda: EControl(TOP, eta=-0.1),
    "momentum must be a number in [0, 1), not 1": lambda: EF21HB(TOP, momentum=1),
    "probability must be a number in (0, 1], not 0": lambda: MARINA(RAND, probability=0),
    "probability must be a number in (0, 1], not 'often'": lambda: ThreePCv5(TOP, probability="often"),
    "trigger must be a finite number >= 0, not -1": lambda: CLAG(TOP, -1),
    "trigger must be a finite number >= 0, not True": lambda: LAG(True),
    "lam must be a finite number > 0, not 0": lambda: DIANA(RAND, lam=0),
    "nu must be a finite number > 0, not inf": lambda: EFBV(RAND, nu=float("inf")),
    "the chance to take part must be a number in (0, 1], not 0": lambda: Independent(0),
    "the number of workers that take part must be a whole number >= 1, not 0": lambda: FixedNumber(0),
    "the variance of the noise must be a finite number >= 0, not -1": lambda: GaussianNoise(-1),
    "the size of a minibatch must be a whole number >= 1, not 0": lambda: Minibatch(0),
    "the strength of the l1 norm must be a finite number > 0, not 0": lambda: L1(0),
    "the strength of the l0 norm must be a finite number > 0, not nan": lambda: L0(float("nan")),
    "the radius of the box must be a finite number > 0, not -1": lambda: Box(-1),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_parameters_are_named(message):
    with pytest.raises(InvalidInput) as error:
        WRONG[message]()
    assert message in str(error.value)


UNFIT = {
    "k = 7 is larger than the dimension d = 6": EF21(TopK(7)),
    "5 workers cannot take part where there are 4": EF21PP(TOP, FixedNumber(5)),
    "minibatches need a problem with samples, not a Quadratic": EF21SGD(TOP, BATCH),
    "DIANA takes lam = 1/(1 + omega) from an unbiased compressor; for this one, give lam": DIANA(TOP),
    "EControl takes eta = alpha/32 from a contractive compressor; for this one, give eta": EControl(RAND),
}


@pytest.mark.parametrize("message", UNFIT)
def test_what_does_not_fit_the_problem_is_named(message):
    with pytest.raises(InvalidInput) as error:
        simulate(instance("dense").problem, UNFIT[message], stepsize=0.1, rounds=1)
    assert message in str(error.value)


def test_minibatches_larger_than_a_workers_samples_are_refused():
    problem = instance("logistic-unequal").problem  # a worker has one sample only
    with pytest.raises(InvalidInput, match="minibatches of 2 samples without replacement need as many; a worker has 1"):
        simulate(problem, EF21SGD(TOP, Minibatch(2)), stepsize=0.1, rounds=1)
    EF21SGD(TOP, Minibatch(2, replacement=True)).check(problem)


@trajectories_only
@pytest.mark.parametrize("method", [DIANA(TOP, lam=0.5), EControl(RAND, eta=0.01)], ids=repr)
def test_a_method_runs_without_what_its_theorems_need(method):
    trace = simulate(instance("dense").problem, method, stepsize=1e-3, rounds=20, x0=START)
    assert trace.diverged_round < 0 and trace.verdicts == {}


def test_an_unknown_theorem_is_named():
    with pytest.raises(InvalidInput, match=r"'quadratic-men'.*did you mean 'quadratic-mean'"):
        EF21(TopK(1)).theorem("quadratic-men")
    with pytest.raises(InvalidInput, match="dgc has no theorem that could name a stepsize"):
        DGC(TopK(1)).theorem("nonconvex")


class LazyState(NamedTuple):
    x: jax.Array  # [d]
    gradients: jax.Array  # [n, d]
    traffic: Any


@frozen_pytree
class Lazy(Method):
    """Gradient descent by a part of the first worker's gradient only."""

    share: Any
    kind = "lazy-of-a-test"
    compressor = Identity()
    theorems = ()

    def init(self, problem, x0, key):
        return LazyState(x0, problem.worker_gradients(x0), traffic(nothing, nothing))

    def step(self, problem, stepsize, state, key):
        x = state.x - self.share * stepsize * state.gradients[0]
        return LazyState(x, problem.worker_gradients(x), traffic(dense(len(x)), nothing))


def test_a_method_is_registered_by_being_defined_and_runs():
    assert registered(Method)["lazy-of-a-test"] is Lazy
    problem = instance("dense").problem
    trace = simulate(problem, Lazy(0.5), stepsize=[0.1, 0.2], rounds=3, x0=START)
    x = START
    for _ in range(3):
        x = x - 0.5 * 0.2 * np.asarray(problem.worker_gradients(jnp.asarray(x)))[0]
    assert trace.final_point.shape == (2, DIM) and trace.verdicts == {} and WORKERS == 4
    assert_allclose(trace.final_point[1], x, rtol=1e-13)
