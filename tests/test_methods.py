"""Every method against a plain double loop in NumPy, and the identities that relate one method to another.

The references share no code with the simulator: they go round by round and worker by worker.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import DIM, WORKERS, Samples, examples, instance
from numpy.testing import assert_allclose

from problems import InvalidInput, Problem
from problems.pytrees import frozen_pytree
from problems.registry import registered
from simulator import DCGD, EF14, EF21, EF21W, GD, Bits, Compressor, Identity, Method, RandK, TopK, simulate

trajectories_only = pytest.mark.usefixtures("without_theorems")
INITIALS = ("gradient", "compressed", "zero")
START = np.linspace(-1.0, 1.0, DIM)


@pytest.fixture
def without_theorems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the checks out of the compiled programs, which takes most of the time to compile them."""
    for method in registered(Method).values():
        monkeypatch.setattr(method, "theorems", ())


# --- references -----------------------------------------------------------------------------------------


Compress = Callable[[np.ndarray], np.ndarray]


def top_k(k: int, v: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(v)
    for j in sorted(range(len(v)), key=lambda j: -abs(v[j]))[:k]:
        kept[j] = v[j]
    return kept


def gradient(data: Samples, i: int, x: np.ndarray) -> np.ndarray:
    """Of logistic regression with the nonconvex regulariser on worker i."""
    total = np.zeros_like(x)
    for row, label in zip(data.features[i], data.targets[i], strict=True):
        total -= label * row / (1 + np.exp(label * (row @ x)))
    return total / len(data.features[i]) + data.strength * 2 * x / (1 + x**2) ** 2


def smoothness_weights(data: Samples) -> list[float]:
    constants = [np.linalg.norm(a, 2) ** 2 / (4 * len(a)) + 2 * data.strength for a in data.features]
    return [constant / sum(constants) for constant in constants]


def start(initial: str, v: np.ndarray, compress: Compress) -> np.ndarray:
    return {"gradient": v.copy(), "compressed": compress(v), "zero": np.zeros_like(v)}[initial]


def reference_gd(data, gamma, rounds, compress, initial):
    x, n = START.copy(), len(data.features)
    for _ in range(rounds):
        x = x - gamma * sum(gradient(data, i, x) for i in range(n)) / n
        yield x


def reference_dcgd(data, gamma, rounds, compress, initial):
    x, n = START.copy(), len(data.features)
    for _ in range(rounds):
        x = x - gamma * sum(compress(gradient(data, i, x)) for i in range(n)) / n
        yield x


def reference_ef14(data, gamma, rounds, compress, initial):
    x, n = START.copy(), len(data.features)
    errors = [np.zeros(DIM) for _ in range(n)]
    for _ in range(rounds):
        sent = []
        for i in range(n):
            owed = errors[i] + gamma * gradient(data, i, x)
            sent.append(compress(owed))
            errors[i] = owed - sent[i]
        x = x - sum(sent) / n
        yield x


def reference_ef21(data, gamma, rounds, compress, initial):
    x, n = START.copy(), len(data.features)
    estimates = [start(initial, gradient(data, i, x), compress) for i in range(n)]
    for _ in range(rounds):
        x = x - gamma * sum(estimates) / n
        for i in range(n):
            estimates[i] = estimates[i] + compress(gradient(data, i, x) - estimates[i])
        yield x


def reference_ef21_w(data, gamma, rounds, compress, initial):
    x, n, w = START.copy(), len(data.features), smoothness_weights(data)
    estimates = [start(initial, gradient(data, i, x) / (n * w[i]), compress) for i in range(n)]
    for _ in range(rounds):
        x = x - gamma * sum(w[i] * estimates[i] for i in range(n))
        for i in range(n):
            estimates[i] = estimates[i] + compress(gradient(data, i, x) / (n * w[i]) - estimates[i])
        yield x


REFERENCES: dict[str, tuple[Callable[[int, Any], Method], Callable[..., Any], tuple[str, ...]]] = {
    "gd": (lambda k, initial: GD(), reference_gd, ("gradient",)),
    "dcgd": (lambda k, initial: DCGD(TopK(k)), reference_dcgd, ("gradient",)),
    "ef14": (lambda k, initial: EF14(TopK(k)), reference_ef14, ("gradient",)),
    "ef21": (lambda k, initial: EF21(TopK(k), initial=initial), reference_ef21, INITIALS),
    "ef21-w": (lambda k, initial: EF21W(TopK(k), initial=initial), reference_ef21_w, INITIALS),
}
CASES = [(kind, initial) for kind, (_, _, initials) in REFERENCES.items() for initial in initials]


def points_every_100(problem: Problem, method: Method, gamma: float, rounds: int = 500) -> list[np.ndarray]:
    """x^100, x^200, ...: runs that differ only in their number of rounds share one program."""
    counts = range(100, rounds + 1, 100)
    return [
        simulate(problem, method, stepsize=gamma, rounds=t, record_every=rounds, x0=START).final_point for t in counts
    ]


def stepsize(problem: Problem, k: int) -> float:
    """1 / (L + L_AM xi), large enough for all methods to move far in 500 rounds."""
    root = np.sqrt(1 - k / DIM)
    return float(1 / (problem.smoothness + problem.worker_smoothness.mean() * root / (1 - root)))


@trajectories_only
@pytest.mark.parametrize(("kind", "initial"), CASES)
@pytest.mark.parametrize("name", ["logistic-nonconvex", "logistic-nonconvex-unequal"])
@pytest.mark.parametrize("k", [1, 3])
def test_methods_are_their_plain_double_loops(kind, initial, name, k):
    problem, data = instance(name)
    make, reference, _ = REFERENCES[kind]
    gamma = stepsize(problem, k)
    found = points_every_100(problem, make(k, initial), gamma)
    expected = [*reference(data, gamma, 500, partial(top_k, k), initial)][99::100]
    assert np.linalg.norm(expected[-1] - START) > 0.5  # they have moved
    # the figure: a sum in another order moves x by about 1e-15, which the methods do not amplify
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.max(np.abs(expected)))


@trajectories_only
def test_the_comparison_with_references_sees_small_changes():
    problem, data = instance("logistic-nonconvex")
    gamma = stepsize(problem, 1)
    found = points_every_100(problem, EF21(TopK(1)), gamma * (1 + 1e-9), rounds=100)
    expected = [*reference_ef21(data, gamma, 100, partial(top_k, 1), "gradient")]
    assert np.max(np.abs(found[0] - expected[-1])) > 1e-11
    assert np.max(np.abs(found[0] - expected[-2])) > 1e-5  # and an index that is off by one


def test_every_method_has_a_reference():
    kinds = {kind for kind, cls in registered(Method).items() if cls.__module__.startswith("simulator.")}
    assert set(REFERENCES) == kinds, "write a plain double loop for the new method"


# --- laws of every method -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", examples(Method), ids=repr)
def test_states_hold_the_gradients_at_their_own_point(method):
    # measuring and checking rest on this promise
    problem = instance("logistic-unequal").problem
    key = jax.random.key(0)

    @jax.jit
    def states(method: Method, problem: Problem) -> tuple[Any, Any]:
        first = method.init(problem, jnp.asarray(START), key)
        return first, method.step(problem, jnp.asarray(0.1), first, key)

    first, second = states(method, problem)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), first) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), second
    )
    assert_allclose(first.x, START)
    for state in (first, second):
        assert_allclose(state.gradients, problem.worker_gradients(state.x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", examples(Method), ids=repr)
def test_theorems_of_a_method_have_names_of_their_own(method):
    names = [theorem.name for theorem in method.theorems]
    assert len(set(names)) == len(names)
    assert all(method.theorem(name).name == name for name in names)
    assert all(theorem.reference and theorem.formula for theorem in method.theorems)


# --- identities -----------------------------------------------------------------------------------------


def final_point(name: str, method: Method, gamma: float, rounds: int = 200) -> np.ndarray:
    run = simulate(instance(name).problem, method, stepsize=gamma, rounds=rounds, record_every=rounds, x0=START)
    return run.final_point


@trajectories_only
@pytest.mark.parametrize("method", [DCGD, EF14, EF21, EF21W])
@pytest.mark.parametrize("name", ["logistic-l2-unequal", "indefinite"])
def test_without_compression_every_method_is_gradient_descent(name, method):
    gamma = 0.5 / float(instance(name).problem.smoothness)
    assert_allclose(
        final_point(name, method(Identity()), gamma), final_point(name, GD(), gamma), rtol=1e-12, atol=1e-12
    )


@trajectories_only
def test_compression_makes_a_difference():
    gamma = 0.5 / float(instance("indefinite").problem.smoothness)
    compressed, plain = (final_point("indefinite", m, gamma, 3) for m in (EF21(TopK(DIM - 1)), GD()))
    assert np.max(np.abs(compressed - plain)) > 1e-6


@frozen_pytree
class NearestPower(Compressor):
    """Rounds every entry to the nearest power of two: alpha = 8/9, not homogeneous."""

    kind = "nearest-power-of-a-test"
    deterministic = True
    positively_homogeneous = False

    def compress(self, key, x):
        mantissa, exponent = jnp.frexp(x)  # |mantissa| in [1/2, 1)
        return jnp.sign(x) * jnp.ldexp(1.0, jnp.where(jnp.abs(mantissa) < 0.75, exponent - 1, exponent))

    def contraction(self, dim):
        return 8 / 9

    def variance(self, dim):
        return None

    def bits(self, dim):
        return 9 * dim

    def check(self, dim):
        pass


@trajectories_only
@pytest.mark.parametrize("initial", INITIALS)
def test_ef21_w_is_ef21_for_a_homogeneous_compressor(initial):
    name = "logistic-l2-unequal"
    # both start from g_i^W = g_i / (n w_i), as each `initial` commutes with a positive factor
    gamma = 0.1 / float(instance(name).problem.smoothness)
    weighted = final_point(name, EF21W(TopK(2), initial=initial), gamma)
    assert_allclose(weighted, final_point(name, EF21(TopK(2), initial=initial), gamma), rtol=1e-11, atol=1e-12)


def nearest_power(v: np.ndarray) -> np.ndarray:
    candidates = np.array([2.0**e for e in range(-80, 20)])
    return np.array([np.sign(u) * candidates[np.argmin(np.abs(candidates - abs(u)))] for u in v])


@trajectories_only
def test_ef21_w_is_not_ef21_for_another_compressor():
    # and follows its own double loop: with a homogeneous compressor its weights would not be seen
    problem, data = instance("logistic-nonconvex-unequal")
    gamma, rounds = 0.05, 20
    weighted, plain = (
        simulate(problem, method(NearestPower()), stepsize=gamma, rounds=rounds, x0=START).final_point
        for method in (EF21W, EF21)
    )
    for found, reference in ((weighted, reference_ef21_w), (plain, reference_ef21)):
        assert_allclose(found, [*reference(data, gamma, rounds, nearest_power, "gradient")][-1], rtol=1e-12)
    assert np.max(np.abs(weighted - plain)) > 1e-4


@trajectories_only
def test_ef21_is_ef14_for_a_linear_compressor_only():
    # C(v) = v/2 is deterministic, homogeneous and additive; Top-k is not additive (arXiv 2106.05203)
    gamma = 0.1 / float(instance("dense").problem.smoothness)
    halves, top = Halves(), TopK(2)
    # EF21 is one round ahead: its g^0 = C(grad f_i(x^0)) is what EF14 sends in its first round
    ef21, ef14 = (final_point("dense", method, gamma) for method in (EF21(halves, initial="compressed"), EF14(halves)))
    assert_allclose(ef21, ef14, rtol=1e-11, atol=1e-12)
    ef21, ef14 = (final_point("dense", method, gamma, 20) for method in (EF21(top, initial="compressed"), EF14(top)))
    assert np.max(np.abs(ef21 - ef14)) > 1e-3


# --- bits -----------------------------------------------------------------------------------------------

DENSE, TOP, RAND = 32 * 123, 3 * (32 + 7), 2 * (32 + 7)  # d = 123 < 2^7


@pytest.mark.parametrize(
    ("method", "bits"),
    [
        (GD(), Bits(initial=0, uplink=DENSE, downlink=DENSE)),
        (DCGD(TopK(3)), Bits(initial=0, uplink=TOP, downlink=DENSE)),
        (EF14(RandK(2)), Bits(initial=0, uplink=RAND, downlink=DENSE)),
        (EF21(TopK(3)), Bits(initial=DENSE, uplink=TOP, downlink=DENSE)),
        (EF21(TopK(3), initial="compressed"), Bits(initial=TOP, uplink=TOP, downlink=DENSE)),
        (EF21(TopK(3), initial="zero"), Bits(initial=0, uplink=TOP, downlink=DENSE)),
        (EF21W(TopK(3)), Bits(initial=DENSE, uplink=TOP, downlink=DENSE)),
        (EF21W(TopK(3), initial="compressed"), Bits(initial=TOP, uplink=TOP, downlink=DENSE)),
        (EF21W(TopK(3), initial="zero"), Bits(initial=0, uplink=TOP, downlink=DENSE)),
    ],
    ids=repr,
)
def test_bits_of_a_round(method, bits):
    assert method.bits(123) == bits


@trajectories_only
def test_bits_of_a_run_count_the_uncompressed_start():
    trace = simulate(instance("dense").problem, EF21(TopK(1)), stepsize=0.1, rounds=7, record_every=5)
    assert trace.round.tolist() == [0, 5, 7]
    first, message = 32 * DIM, 32 + 3  # d = 6 <= 2^3
    assert trace.bits_per_worker.tolist() == [first, first + 5 * message, first + 7 * message]


# --- bad input and extension ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [EF21, EF21W])
@pytest.mark.parametrize("initial", ["gradients", "", None, 3, ("zero",)])
def test_initial_estimates_are_one_of_three(method, initial):
    with pytest.raises(InvalidInput, match=r"unknown initial estimates .*known: compressed, gradient, zero"):
        method(TopK(1), initial=initial)


def test_an_unknown_theorem_is_named():
    with pytest.raises(InvalidInput, match=r"'quadratic-men'.*did you mean 'quadratic-mean'"):
        EF21(TopK(1)).theorem("quadratic-men")


def test_k_larger_than_the_dimension_is_named():
    with pytest.raises(InvalidInput, match="k = 7 is larger than the dimension d = 6"):
        simulate(instance("dense").problem, EF21(TopK(7)), stepsize=0.1, rounds=1)


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

    def bits(self, dim):
        return 32 * dim

    def check(self, dim):
        pass


class LazyState(NamedTuple):
    x: jax.Array  # [d]
    gradients: jax.Array  # [n, d]


@frozen_pytree
class Lazy(Method):
    """Gradient descent by a part of the first worker's gradient only."""

    share: Any
    kind = "lazy-of-a-test"
    compressor = Identity()
    theorems = ()

    def init(self, problem, x0, key):
        return LazyState(x0, problem.worker_gradients(x0))

    def step(self, problem, stepsize, state, key):
        x = state.x - self.share * stepsize * state.gradients[0]
        return LazyState(x, problem.worker_gradients(x))

    def bits(self, dim):
        return Bits(0, 32 * dim, 0)


def test_a_method_is_registered_by_being_defined_and_runs():
    assert registered(Method)["lazy-of-a-test"] is Lazy
    problem = instance("dense").problem
    trace = simulate(problem, Lazy(0.5), stepsize=[0.1, 0.2], rounds=3, x0=START)
    x = START
    for _ in range(3):
        x = x - 0.5 * 0.2 * np.asarray(problem.worker_gradients(jnp.asarray(x)))[0]
    assert trace.final_point.shape == (2, DIM) and trace.verdicts == {} and WORKERS == 4
    assert_allclose(trace.final_point[1], x, rtol=1e-13)
