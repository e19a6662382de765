"""Methods with local steps: what they are in the limits, where they stop, and what they send.

Their plain loops in NumPy are in local_references.py, and tests/test_methods.py compares.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import DIM, instance
from numpy.testing import assert_allclose
from references import START
from stepping import walk

from problems import InvalidInput
from problems.registry import registered
from simulator import (
    CO2,
    DCGD,
    EF14,
    EF21HB,
    FP4,
    GD,
    SGD,
    AdamW,
    DiLoCo,
    ExponentialTimes,
    FedAvg,
    Identity,
    InnerOptimizer,
    LocalSGD,
    Method,
    Minibatch,
    StreamingDiLoCo,
    TopK,
    simulate,
)

TOP, BATCH = TopK(2), Minibatch(2)
PLAIN: Any = {"outer_stepsize": 1.0, "outer_momentum": 0.0}
FED: Any = {"feedback": 1.0, "oracle": BATCH}

# --- limits -----------------------------------------------------------------------------------------------

SAME = {
    "one local step is gradient descent": (LocalSGD(local_steps=1), GD()),
    "one local step on all samples is gradient descent": (LocalSGD(local_steps=1, oracle=Minibatch(8)), GD()),
    "one local step, compressed, is DCGD": (LocalSGD(TOP, 1), DCGD(TOP)),
    "one local step, compressed and fed back, is EF14": (LocalSGD(TOP, 1, feedback=1.0), EF14(TOP)),
    "nothing withheld is nothing fed back": (LocalSGD(local_steps=3, feedback=1.0), LocalSGD(local_steps=3)),
    "DiLoCo with SGD and a plain outer step is local SGD": (
        DiLoCo(TOP, 3, inner=SGD(), **PLAIN, **FED),
        LocalSGD(TOP, 3, **FED),
    ),
    "one fragment without overlap is DiLoCo": (
        StreamingDiLoCo(TOP, 3, 1, inner=AdamW(epsilon=0.1), **FED),
        DiLoCo(TOP, 3, inner=AdamW(epsilon=0.1), **FED),
    ),
    "FedAvg is local SGD with feedback": (
        FedAvg(compressor=TOP, local_steps=3, oracle=BATCH, times=ExponentialTimes(spread=4.0)),
        LocalSGD(TOP, 3, **FED),
    ),
    "CO2 without delay and momentum is local SGD": (
        CO2(TOP, 3, delay=0, outer_momentum=0.0, **FED),
        LocalSGD(TOP, 3, **FED),
    ),
    "CO2 without delay is the heavy ball at one local step": (
        CO2(local_steps=1, delay=0, outer_momentum=0.5),
        EF21HB(Identity(), momentum=0.5),
    ),
    "a wide clip clips nothing": (CO2(local_steps=2, clip=1e3), CO2(local_steps=2)),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_limits_are_the_known_methods(pair):
    gamma = 0.1 / float(instance("logistic-l2").problem.smoothness)
    found, expected = (walk("logistic-l2", method, gamma, 100) for method in pair)
    assert np.max(np.abs(expected.x - START)) > 0.1
    # differences x - x_i lose some digits of a short step
    assert_allclose(found.x, expected.x, rtol=1e-10, atol=1e-11)
    assert np.diff(found.uplink) == np.diff(expected.uplink) and found.downlink == expected.downlink


DIFFERENT = {
    "local steps": (LocalSGD(local_steps=2), LocalSGD(local_steps=1)),
    "feedback": (LocalSGD(TOP, 3, feedback=1.0), LocalSGD(TOP, 3)),
    "outer momentum": (DiLoCo(local_steps=3, inner=SGD()), LocalSGD(local_steps=3)),
    "fragments": (StreamingDiLoCo(local_steps=4, fragments=2), StreamingDiLoCo(local_steps=4, fragments=1)),
    "overlap": (StreamingDiLoCo(local_steps=4, overlap=1), StreamingDiLoCo(local_steps=4)),
    "mixing": (StreamingDiLoCo(local_steps=4, mixing=0.5), StreamingDiLoCo(local_steps=4)),
    "delay": (CO2(local_steps=2, penalty=1.0), CO2(local_steps=2, delay=0)),
    "penalty": (CO2(local_steps=2), CO2(local_steps=2, penalty=1.0)),
    "clip": (CO2(local_steps=2, clip=1e-3), CO2(local_steps=2)),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_every_field_changes_something(pair):
    found, expected = (walk("logistic-l2", method, 0.05, 20).x for method in pair)
    assert np.max(np.abs(found - expected)) > 1e-4


def test_exchanges_do_not_disturb_a_lone_worker():
    # whose model is gradient descent's, however it is cut into fragments and mixed
    method = StreamingDiLoCo(local_steps=6, fragments=3, mixing=0.3, inner=SGD(), **PLAIN)
    problem, gamma = instance("single-worker").problem, 0.3
    step = jax.jit(lambda state, key: method.step(problem, gamma, state, key))
    state, key = method.init(problem, jnp.asarray(START), jax.random.key(0)), jax.random.key(1)
    for _ in range(5):
        state = step(state, key)
    assert_allclose(state.models[0], walk("single-worker", GD(), gamma, 5 * 2).x, rtol=1e-12, atol=1e-12)
    assert np.max(np.abs(state.models[0] - state.x)) > 1e-3  # two fragments of x are older


# --- fixed points and stability ---------------------------------------------------------------------------


def drifted(gamma: float, local_steps: int) -> np.ndarray:
    """Where sum_i (I - (I - gamma A_i)^H) (x - b_i) = 0 on the quadratics of `dense`, b_i the minimiser of f_i."""
    data = instance("dense").data
    pulls = [np.eye(DIM) - np.linalg.matrix_power(np.eye(DIM) - gamma * a, local_steps) for a in data.matrices]
    minimisers = [np.linalg.lstsq(a, b)[0] for a, b in zip(data.matrices, data.vectors, strict=True)]
    return np.linalg.solve(sum(pulls), sum(p @ m for p, m in zip(pulls, minimisers, strict=True)))


STOPPING = {
    "local-sgd": LocalSGD(local_steps=5),
    "diloco": DiLoCo(local_steps=5, outer_momentum=0.5, inner=SGD()),
    "streaming-diloco": StreamingDiLoCo(local_steps=5, fragments=1, overlap=0, mixing=0.0, inner=SGD(), **PLAIN),
    "co2": CO2(local_steps=5, outer_momentum=0.2),
}


@pytest.mark.parametrize("method", STOPPING.values(), ids=STOPPING)
def test_on_quadratics_clients_drift_to_the_exact_fixed_point(method):
    problem = instance("dense").problem
    gamma = 0.5 / float(jnp.max(problem.worker_smoothness))
    found = walk("dense", method, gamma, 3000).x
    assert_allclose(found, drifted(gamma, 5), rtol=1e-9, atol=1e-10)
    assert np.linalg.norm(found - problem.minimizer) > 0.05  # which is not the minimiser
    assert_allclose(drifted(gamma, 1), problem.minimizer, rtol=1e-9, atol=1e-10)  # one step has no drift


@pytest.mark.parametrize(("delay", "limit"), [(0, 2.0), (1, 1.0)])
def test_a_delay_of_one_round_halves_the_largest_stepsize(delay, limit):
    # x+ = x - gamma L x^(t - 1): the roots of z^2 - z + gamma L are inside the unit circle for gamma L < 1
    method = CO2(local_steps=1, delay=delay, outer_momentum=0.0, penalty=1.0)
    problem = instance("single-worker").problem
    gammas = np.array([0.95, 1.05]) * limit / float(problem.smoothness)
    trace = simulate(problem, method, stepsize=gammas, rounds=400, x0=START, record_every=400)
    below, above = trace.grad_norm_sq[:, -1] / trace.grad_norm_sq[:, 0]
    assert below < 1e-6 < 10 < above


# --- what is sent, and computed -----------------------------------------------------------------------------

DENSE, TOP2 = 32 * DIM, 2 * (32 + 3)


@pytest.mark.parametrize(
    ("method", "uplink", "downlink"),
    [
        (LocalSGD(), DENSE, DENSE),
        (LocalSGD(TOP, 3), TOP2, DENSE),
        (DiLoCo(FP4(), 3), 4 * DIM + 32, DENSE),
        (StreamingDiLoCo(local_steps=6, fragments=3), DENSE / 3, DENSE / 3),
        (StreamingDiLoCo(FP4(), 6, 3, 2, 0.5), 4 * DIM / 3 + 32, DENSE / 3),
        (StreamingDiLoCo(TopK(1), 6, 3), 32 + 1, DENSE / 3),  # of two coordinates
        (CO2(TOP, 2), TOP2, DENSE),
    ],
    ids=repr,
)
def test_bits_of_a_round(method, uplink, downlink):
    end = walk("logistic", method, 1e-3, 7)
    assert end.uplink == [0, 7 * uplink] and end.downlink == [0, 7 * downlink]


def test_every_local_step_is_counted():
    problem = instance("logistic").problem
    for method, passes in (
        (LocalSGD(local_steps=3), 3.0),
        (LocalSGD(local_steps=3, oracle=BATCH), 3 * 2 / 8),
        (StreamingDiLoCo(local_steps=6, fragments=3, overlap=1), 2.0),
        (CO2(local_steps=4), 4.0),
    ):
        assert method.gradient_passes(problem) == pytest.approx(passes)


def test_every_inner_optimizer_is_tried():
    shipped = {cls for cls in registered(InnerOptimizer).values() if cls.__module__.startswith("simulator.")}
    assert shipped == {SGD, AdamW}


# --- bad input ----------------------------------------------------------------------------------------------

WRONG = {
    "local_steps must be a whole number >= 1, not 0": lambda: LocalSGD(local_steps=0),
    "feedback must be a number in [0, 1], not 2": lambda: DiLoCo(feedback=2),
    "outer_stepsize must be a finite number > 0, not 0": lambda: DiLoCo(outer_stepsize=0),
    "outer_momentum must be a number in [0, 1), not 1": lambda: CO2(outer_momentum=1),
    "delay must be a whole number >= 0, not -1": lambda: CO2(delay=-1),
    "penalty must be a finite number >= 1, not 0.5": lambda: CO2(penalty=0.5),
    "clip must be a finite number > 0, not 0": lambda: CO2(clip=0),
    "10 local_steps are no multiple of 3 fragments": lambda: StreamingDiLoCo(local_steps=10, fragments=3),
    "overlap must be at most 5, 10 local_steps / 2 fragments, not 6": lambda: StreamingDiLoCo(overlap=6),
    "mixing must be a number in [0, 1), not 1": lambda: StreamingDiLoCo(mixing=1),
    "beta1 must be a number in [0, 1), not 1": lambda: AdamW(beta1=1),
    "epsilon must be a finite number > 0, not 0": lambda: AdamW(epsilon=0),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_parameters_are_named(message):
    with pytest.raises(InvalidInput) as error:
        WRONG[message]()
    assert message in str(error.value)


UNFIT: dict[str, Method] = {
    "fragments = 4 must divide the dimension d = 6": StreamingDiLoCo(local_steps=4, fragments=4),
    "k = 3 is larger than the dimension d = 2": StreamingDiLoCo(TopK(3), 6, 3),
}


@pytest.mark.parametrize("message", UNFIT)
def test_what_does_not_fit_the_problem_is_named(message):
    with pytest.raises(InvalidInput, match=message):
        simulate(instance("dense").problem, UNFIT[message], stepsize=0.1, rounds=1)
