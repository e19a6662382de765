"""Workers split over devices, batches split over time, and how much memory a run is counted with."""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import DIM, instance
from method_examples import CONTRACTIVE, UNBIASED
from numpy.testing import assert_allclose

from problems import InvalidInput, LeastSquares, LogisticRegression, Problem, Quadratic
from simulator import (
    EF21,
    EF21PP,
    EF21SGD,
    Independent,
    Method,
    Minibatch,
    RandK,
    TopK,
    Trace,
    devices,
    engine,
    simulate,
)

START = np.linspace(-1.0, 1.0, DIM)
several_devices = pytest.mark.skipif(jax.device_count() < 2, reason="this process has one device")
PLENTY = 1e15


@pytest.fixture
def few_theorems(monkeypatch: pytest.MonkeyPatch) -> None:
    """One theorem a method, which compiles faster."""
    for method in (EF21, EF21PP, EF21SGD):
        monkeypatch.setattr(method, "theorems", method.theorems[:1])


def values(trace: Trace) -> dict[str, np.ndarray]:
    """All floating-point numbers and counts of a trace."""
    found = {name: value for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    for theorem, verdict in trace.verdicts.items():
        chosen = ("lyapunov", "judged_rounds", "violations", "log_capital", "bound")
        found |= {f"{theorem}.{name}": getattr(verdict, name) for name in chosen}
    return found


def assert_close(found: Trace, expected: Trace, rtol: float = 1e-10) -> None:
    """Relative to the largest of each kind, because what has converged is rounding."""
    for name, value in values(expected).items():
        finite = np.abs(np.asarray(value, float))[np.isfinite(value)]
        scale = np.max(finite, initial=0.0)
        assert_allclose(values(found)[name], value, rtol=rtol, atol=rtol * scale, err_msg=name)


# --- the mesh -------------------------------------------------------------------------------------------


@several_devices
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7, 30, 31])
def test_the_devices_divide_the_workers(workers):
    used = devices.workers_mesh(workers, work=np.inf).devices.size
    possible = [count for count in range(1, jax.device_count() + 1) if workers % count == 0]
    assert used == max(possible)  # with two devices: both if n is even, one if it is odd
    assert devices.workers_mesh(workers, work=0.0).devices.size == 1


@several_devices
def test_arrays_of_the_workers_lie_in_parts_and_others_on_every_device():
    mesh = devices.workers_mesh(2, np.inf)
    placed = jax.jit(lambda tree: devices.spread(tree, mesh, 2))({"a": jnp.ones((2, 3)), "b": jnp.ones(3), "c": 1.0})
    shapes = {name: [shard.data.shape for shard in leaf.addressable_shards] for name, leaf in placed.items()}
    assert shapes == {"a": [(1, 3)] * 2, "b": [(3,)] * 2, "c": [()] * 2}


# --- two devices are one --------------------------------------------------------------------------------

SPLIT_CASES: dict[str, Method] = {
    "deterministic": EF21(TopK(2)),
    "random compressor": EF21(RandK(2)),
    "minibatches": EF21SGD(TopK(2), Minibatch(2)),
    "partial participation": EF21PP(TopK(2), Independent(0.5)),
}


def split_or_not(monkeypatch: pytest.MonkeyPatch, method: Method, least_work: float, **options: Any) -> Trace:
    """A trace, with rounds of so many multiplications or more split."""
    monkeypatch.setattr(devices, "LEAST_WORK", least_work)
    problem = instance("logistic-l2").problem
    return simulate(problem, method, stepsize=[0.02, 0.05], rounds=40, record_every=10, x0=START, **options)


def spied_devices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many devices the states lie on after every chunk."""
    found: list[int] = []
    plain = engine.advance

    def spy(*arguments: Any) -> Any:
        runs, records = plain(*arguments)
        found.append(len(runs.place.state.gradients.sharding.device_set))
        return runs, records

    monkeypatch.setattr(engine, "advance", spy)
    return found


@several_devices
@pytest.mark.usefixtures("few_theorems")
@pytest.mark.parametrize("method", SPLIT_CASES.values(), ids=SPLIT_CASES)
def test_two_devices_give_the_trace_of_one(method, monkeypatch):
    used = spied_devices(monkeypatch)
    several, one = (split_or_not(monkeypatch, method, least, seed=[3, 4]) for least in (0.0, np.inf))
    assert len(used) == 2 and used[0] > 1 and used[1] == 1
    assert_close(several, one)
    if not method.deterministic:  # the control: other draws are seen
        with pytest.raises(AssertionError):
            assert_close(split_or_not(monkeypatch, method, np.inf, seed=[4, 5]), one)


# --- batches in parts -----------------------------------------------------------------------------------

GAMMAS = np.geomspace(0.01, 0.1, 6)


def in_parts(monkeypatch: pytest.MonkeyPatch, fitting: float, told: list[int], method: Method | None = None) -> Trace:
    """Six runs, in memory for `fitting` of them."""
    problem = instance("dense").problem
    entries = problem.num_workers * problem.dim + devices.multiplications(problem) / problem.dim
    room = fitting * devices.WORKING_COPIES * entries * 8
    monkeypatch.setattr(devices, "free_memory", lambda mesh: room)
    method = EF21(TopK(2)) if method is None else method
    return simulate(problem, method, stepsize=GAMMAS, rounds=40, record_every=20, x0=START, progress=told.append)


@pytest.mark.usefixtures("few_theorems")
@pytest.mark.parametrize(("fitting", "parts"), [(3.5, 2), (4.0, 2), (2.2, 3), (0.1, 6)])
def test_a_batch_that_does_not_fit_is_computed_in_parts(fitting, parts, monkeypatch, caplog):
    told: list[int] = []
    with caplog.at_level(logging.WARNING, logger="simulator.engine"):
        split = in_parts(monkeypatch, fitting, told)
    (warning,) = [record for record in caplog.records if record.name == "simulator.engine"]
    message = warning.getMessage()
    assert message.startswith("6 runs at once would not fit") and f"in {parts} parts" in message
    assert sum(told) == 40 * 6
    caplog.clear()
    told.clear()
    with caplog.at_level(logging.WARNING, logger="simulator.engine"):
        whole = in_parts(monkeypatch, PLENTY, told)
    assert not [record for record in caplog.records if record.name == "simulator.engine"] and sum(told) == 40 * 6
    assert_close(split, whole)
    with pytest.raises(AssertionError):  # the control: another order of the runs is seen
        assert_allclose(split.loss[::-1], whole.loss, rtol=1e-10)


@pytest.mark.usefixtures("few_theorems")
def test_parts_of_unequal_size_keep_the_order_of_stepsizes_and_seeds(monkeypatch):
    def trace(fitting: float) -> Trace:
        problem = instance("dense").problem
        entries = problem.num_workers * problem.dim + devices.multiplications(problem) / problem.dim
        monkeypatch.setattr(devices, "free_memory", lambda mesh: fitting * devices.WORKING_COPIES * entries * 8)
        return simulate(problem, EF21(RandK(2)), stepsize=[0.05, 0.1], seed=[1, 2, 3], rounds=9, x0=START)

    split, whole = trace(4.0), trace(PLENTY)  # 3 + 3: seeds of one stepsize at a time
    uneven = trace(1.5)
    assert_close(split, whole)
    assert_close(uneven, whole)


@pytest.mark.parametrize("itemsize", [4, 8])
def test_the_runs_that_fit_fill_the_memory(itemsize, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda mesh: 1e6)
    problem = instance("logistic").problem
    lanes = devices.lanes_that_fit(problem, itemsize, devices.workers_mesh(4, 0.0))
    entries = problem.num_workers * problem.dim + devices.multiplications(problem) / problem.dim
    each = devices.WORKING_COPIES * entries * itemsize
    assert lanes * each <= 1e6 < (lanes + 1) * each
    monkeypatch.setattr(devices, "free_memory", lambda mesh: 1.0)
    assert devices.lanes_that_fit(problem, itemsize, devices.workers_mesh(4, 0.0)) == 1


def test_all_runs_fit_where_the_system_does_not_tell_its_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "MEMINFO", tmp_path / "meminfo")
    assert devices.free_memory(devices.workers_mesh(4, 0.0)) == np.inf
    assert devices.lanes_that_fit(instance("logistic").problem, 8, devices.workers_mesh(4, 0.0)) >= 10**6


def test_free_memory_is_a_plausible_number():
    free = devices.free_memory(devices.workers_mesh(2, 0.0))
    assert 2**20 < free < 2**50 or free == np.inf


# --- what a run takes -----------------------------------------------------------------------------------

MEASURED_WORKERS, MEASURED_SAMPLES, MEASURED_DIM, MEASURED_LANES = 50, 40, 30, 64


def large_problem(kind: str) -> Problem:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((MEASURED_WORKERS, MEASURED_SAMPLES, MEASURED_DIM))
    targets = rng.standard_normal(rows.shape[:2])
    makers = {
        "logistic": lambda: LogisticRegression.from_arrays(rows, np.sign(targets), "nonconvex", 0.1),
        "logistic-l2": lambda: LogisticRegression.from_arrays(rows, np.sign(targets), "l2", 0.1),
        "squares": lambda: LeastSquares.from_arrays(rows, targets, "l2", 0.1),
        "dense": lambda: Quadratic.random(MEASURED_WORKERS, MEASURED_DIM, pl_constant=0.1),
        "diagonal": lambda: Quadratic.random(MEASURED_WORKERS, MEASURED_DIM, pl_constant=0.1, structure="diagonal"),
    }
    return makers[kind]()


class Measured(Exception):
    """Carries what was found out of a call that is not carried out."""


def copies_taken(monkeypatch: pytest.MonkeyPatch, problem: Problem, method: Method, optimised: bool = True) -> float:
    """Bytes that the compiled rounds use beside the data, in units of what WORKING_COPIES multiplies."""
    plain = engine.advance

    def measure(*arguments: Any) -> Any:
        options = {} if optimised else {"xla_backend_optimization_level": 0}
        analysis = plain.lower(*arguments).compile(options).memory_analysis()
        used = analysis.temp_size_in_bytes + analysis.argument_size_in_bytes + analysis.output_size_in_bytes
        used -= analysis.alias_size_in_bytes  # the states before, which the states after replace
        raise Measured(used - 8 * devices.multiplications(problem))

    monkeypatch.setattr(engine, "advance", measure)
    monkeypatch.setattr(devices, "LEAST_WORK", np.inf)
    with pytest.raises(Measured) as found:
        simulate(problem, method, stepsize=np.geomspace(1e-3, 1e-1, MEASURED_LANES), rounds=3)
    entries = problem.num_workers * problem.dim + devices.multiplications(problem) / problem.dim
    return found.value.args[0] / (MEASURED_LANES * entries * 8)


MEASURED_METHODS = {kind: make(TopK(3)) for kind, make in CONTRACTIVE.items()} | {
    kind: make(RandK(3, scaled=True)) for kind, make in UNBIASED.items()
}
# those that took much, and the simplest; behind `make soak` is every method
OFTEN = [("logistic", "gd"), ("logistic", "ef21-hb"), ("dense", "ef21"), ("diagonal", "clag")]


@pytest.mark.parametrize(("kind", "name"), OFTEN)
def test_a_run_takes_no_more_memory_than_it_is_counted_with(kind, name, monkeypatch):
    # without the optimiser, which takes half a minute and changes nothing in the sizes of buffers
    copies = copies_taken(monkeypatch, large_problem(kind), MEASURED_METHODS[name], optimised=False)
    assert 1 < copies <= devices.WORKING_COPIES  # the control: to count every number once would be too little


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["logistic", "logistic-l2", "squares", "dense", "diagonal"])
@pytest.mark.parametrize("name", MEASURED_METHODS)
def test_no_method_takes_more_memory_than_it_is_counted_with(kind, name, monkeypatch):
    problem, method = large_problem(kind), MEASURED_METHODS[name]
    try:
        method.check(problem)
    except InvalidInput as error:
        pytest.skip(str(error))
    assert copies_taken(monkeypatch, problem, method) <= devices.WORKING_COPIES
