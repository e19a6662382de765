"""The engine's promises: shapes, recording, batches, divergence, precision and how often it compiles."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import compilations
from instances import DIM, instance
from matplotlib import pyplot
from numpy.testing import assert_allclose, assert_array_equal

from problems import InvalidInput, LeastSquares, Problem, Quadratic
from problems.pytrees import frozen_pytree
from problems.registry import registered
from simulator import DCGD, EF21, GD, Method, RandK, TopK, Trace, simulate
from simulator.engine import RECORDS_PER_CHUNK

START = np.linspace(-1.0, 1.0, DIM)
GAMMA = 0.1


@pytest.fixture
def few_theorems(monkeypatch: pytest.MonkeyPatch) -> None:
    """One theorem a method: programs compile several times faster, and nothing here depends on the number."""
    for method in registered(Method).values():
        monkeypatch.setattr(method, "theorems", method.theorems[:1])


pytestmark = pytest.mark.usefixtures("few_theorems")


def run(method: Method | None = None, stepsize: Any = GAMMA, rounds: int = 20, **options: Any) -> Trace:
    method = EF21(TopK(2)) if method is None else method
    options = {"x0": START, "record_every": 5} | options
    return simulate(instance("dense").problem, method, stepsize=stepsize, rounds=rounds, **options)


def values(trace: Trace) -> dict[str, np.ndarray]:
    """All that a trace says of its runs, by name."""
    found = {name: value for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    del found["round"]
    for theorem, verdict in trace.verdicts.items():
        own = {name: value for name, value in vars(verdict).items() if name not in ("bounded", "max_stepsize")}
        found |= {f"{theorem}.{name}": value for name, value in own.items()}
    return found


def assert_same(left: Trace, right: Trace, choose: Any = ...) -> None:
    """Bit for bit, NaN included; `choose` picks the runs of both."""
    ours, theirs = values(left), values(right)
    for name, value in ours.items():
        assert_array_equal(np.asarray(value)[choose], np.asarray(theirs[name])[choose], err_msg=name)


# --- shapes and recording -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stepsize", "seed", "shape"),
    [
        (0.1, 0, ()),
        ([0.1, 0.2], 0, (2,)),
        (0.1, [0, 1, 2], (3,)),
        ([0.1, 0.2], [0, 1, 2], (2, 3)),
        ([0.1], [5], (1, 1)),
        (np.float64(0.1), np.int64(3), ()),
    ],
)
def test_shapes(stepsize, seed, shape):
    trace = run(EF21(RandK(2)), stepsize, rounds=7, record_every=3, seed=seed)
    assert trace.round.tolist() == [0, 3, 6, 7]  # the last one always
    assert trace.final_point.shape == (*shape, DIM)
    for name in ("loss", "loss_gap", "grad_norm_sq", "mean_grad_norm_sq", "min_grad_norm_sq", "bits_per_worker"):
        assert getattr(trace, name).shape == (*shape, 4)
    assert trace.diverged_round.shape == trace.target_round.shape == shape
    for verdict in trace.verdicts.values():
        assert verdict.lyapunov.shape == verdict.bound.shape == (*shape, 4)
        scalars = (
            "applies",
            "smallest_slack",
            "smallest_slack_round",
            "worst_change",
            "worst_promise",
            "violations",
            "judged_rounds",
            "bet_rounds",
            "least_noise",
            "excess",
            "fitted_rate",
            "promised_rate",
            "fitted_from",
            "fitted_to",
        )
        assert all(np.shape(getattr(verdict, name)) == shape for name in scalars)
        recorded = (verdict.slack, verdict.log_ratio, verdict.log_capital)
        assert all(figure.shape == (*shape, 4) for figure in recorded)
    assert trace.lyapunov.keys() == trace.verdicts.keys()


def test_a_trace_is_a_table_and_a_plot_and_says_what_it_is():
    trace = run(EF21(RandK(2)), [0.1, 0.2], rounds=7, record_every=3, seed=[0, 4])
    table = trace.to_pandas()
    assert list(table.columns[:3]) == ["stepsize", "seed", "round"] and len(table) == 2 * 2 * 4
    one = table[(table.stepsize == 0.2) & (table.seed == 4)]
    for name in ("loss", "grad_norm_sq", "bits_per_worker"):
        assert np.array_equal(one[name], getattr(trace, name)[1, 1])
    for theorem, verdict in trace.verdicts.items():
        suffix = theorem.replace("-", "_")
        assert np.array_equal(one[f"bound_{suffix}"], verdict.bound[1, 1], equal_nan=True)
    for theorem in (None, *trace.verdicts):
        axes = trace.plot(theorem)
        dashed = [line for line in axes.lines if line.is_dashed()]
        assert len(axes.lines) - len(dashed) == 4 and len(dashed) == (0 if theorem is None else 4)
        pyplot.close(axes.figure)
    with pytest.raises(InvalidInput, match="unknown theorem that applies 'no-such'"):
        trace.plot("no-such")
    assert repr(trace).startswith("Trace(2x2 runs of 7 rounds, 4 recorded, 0 diverged; judged by ")
    assert len(run(rounds=7, record_every=3).to_pandas()) == 4


def test_axes_are_stepsizes_then_seeds():
    trace = run(EF21(RandK(2)), [0.1, 0.2], seed=[0, 1])
    for s, stepsize in enumerate([0.1, 0.2]):
        for k, seed in enumerate([0, 1]):
            alone = run(EF21(RandK(2)), stepsize, seed=seed)
            assert_allclose(trace.final_point[s, k], alone.final_point, rtol=1e-12, atol=1e-14)
    assert np.max(np.abs(trace.final_point[0, 0] - trace.final_point[0, 1])) > 1e-3
    assert np.max(np.abs(trace.final_point[0, 0] - trace.final_point[1, 0])) > 1e-3


def test_no_rounds_is_the_start():
    trace = run(rounds=0)
    problem = instance("dense").problem
    assert trace.round.tolist() == [0] and np.isnan(trace.mean_grad_norm_sq[0])
    assert_array_equal(trace.final_point, START)
    assert_allclose(trace.loss, [problem.loss(jnp.asarray(START))], rtol=1e-13)
    verdict = trace.verdicts["quadratic-mean"]
    assert verdict.judged_rounds == 0 and verdict.smallest_slack == np.inf and np.isnan(verdict.excess)


def test_the_start_is_the_origin_unless_given():
    assert_array_equal(run(rounds=0, x0=None).final_point, np.zeros(DIM))


def test_records_are_those_of_the_round():
    every = run(rounds=3 * RECORDS_PER_CHUNK + 5, record_every=1)
    for step in (3, 7, 200):
        some = run(rounds=3 * RECORDS_PER_CHUNK + 5, record_every=step)
        for name, value in values(every).items():
            other = values(some)[name]
            if "excess" in name:  # a maximum over the records
                assert other <= value
            elif "fitted" in name or "promised" in name:  # through the records
                continue
            elif name.endswith(".slack"):  # the smallest since the record before
                windows = np.split(value[1:], some.round[1:-1])
                assert_array_equal(other[1:], [window.min() for window in windows])
            else:
                assert_array_equal(other, value[some.round] if value.shape == every.round.shape else value, name)
    problem = instance("dense").problem
    assert_allclose(every.loss[-1], problem.loss(jnp.asarray(every.final_point)), rtol=1e-13)
    assert_allclose(every.loss_gap, every.loss - problem.minimum, rtol=1e-8, atol=1e-14)
    squares = np.sum(np.asarray(problem.gradient(jnp.asarray(every.final_point))) ** 2)
    assert_allclose(every.grad_norm_sq[-1], squares, rtol=1e-8)
    before = np.cumsum(every.grad_norm_sq)[:-1] / every.round[1:]
    assert_allclose(every.mean_grad_norm_sq[1:], before, rtol=1e-12)


def test_progress_is_told_every_round_once():
    done: list[int] = []
    run(rounds=2 * RECORDS_PER_CHUNK + 3, record_every=1, progress=done.append)
    assert sum(done) == 2 * RECORDS_PER_CHUNK + 3 and len(done) == 3


def test_target_round_is_the_first_below_the_target():
    trace = run(GD(), [0.05, 0.5], rounds=60, record_every=1, target=1e-2)
    below = trace.grad_norm_sq <= 1e-2 * trace.grad_norm_sq[:, :1]
    assert below.any(axis=1).tolist() == [False, True]
    assert trace.target_round.tolist() == [-1, int(np.argmax(below[1]))]


def test_a_run_that_starts_below_its_target_says_so():
    assert run(target=1.0).target_round == 0


# --- seeds and batches ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_trace_bit_for_bit():
    first, again, other = (run(EF21(RandK(2)), seed=seed) for seed in (7, 7, 8))
    assert_same(first, again)
    assert np.any(first.loss != other.loss)


def test_every_round_draws_afresh():
    # with one worker that sends one entry, a round moves one coordinate: not the same one every time
    problem, method = instance("single-worker").problem, DCGD(RandK(1))
    runs = [simulate(problem, method, stepsize=0.1, rounds=t, record_every=99, x0=START) for t in range(1, 13)]
    points = np.array([START, *(trace.final_point for trace in runs)])
    moved = np.diff(points, axis=0) != 0
    assert np.all(moved.sum(axis=1) == 1) and moved.any(axis=0).sum() > 2


def test_draws_depend_on_the_seed_alone():
    # the batch changes last bits through the order of sums, but not what is drawn
    batch = run(EF21(RandK(2)), [0.1, 0.2, 0.3], seed=[4, 5], rounds=50)
    alone = run(EF21(RandK(2)), 0.2, seed=5, rounds=50)
    assert_allclose(batch.loss[1, 1], alone.loss, rtol=1e-12)
    assert_allclose(batch.final_point[1, 1], alone.final_point, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("method", [EF21(TopK(2)), EF21(RandK(2)), GD()], ids=repr)
def test_a_diverging_run_disturbs_no_other(method):
    gammas = np.array([0.05, 0.1, 0.2])
    calm, mixed = run(method, gammas, rounds=120), run(method, np.array([0.05, 1e3, 0.2]), rounds=120)
    assert_same(calm, mixed, choose=[0, 2])
    assert calm.diverged_round.tolist() == [-1, -1, -1]
    round_ = int(mixed.diverged_round[1])
    assert 0 < round_ < 120
    for name in ("loss", "loss_gap", "grad_norm_sq"):
        value = getattr(mixed, name)[1]
        assert np.all(np.isnan(value[mixed.round >= round_])) and np.all(np.isfinite(value[mixed.round < round_]))
    for verdict in mixed.verdicts.values():
        assert np.all(np.isnan(verdict.lyapunov[1][mixed.round >= round_]))
        assert verdict.judged_rounds[1] <= round_  # a diverged run stops counting


def test_divergence_is_noted_at_its_round():
    # GD on f = x^2/2 with gamma = 101 multiplies x by -100: |grad f| passes 1/eps = 4.5e15 in round 8
    problem = LeastSquares.from_arrays([[[1.0]]], [[0.0]])
    trace = simulate(problem, GD(), stepsize=101.0, rounds=20, x0=[1.0])
    assert trace.diverged_round == 8
    assert_allclose(trace.loss[:8], 0.5 * 10.0 ** (4 * np.arange(8)), rtol=1e-12)
    assert np.all(np.isnan(trace.loss[8:]))


# --- precision ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [EF21(TopK(2)), EF21(RandK(2)), EF21(RandK(2, scaled=True)), GD()], ids=repr)
def test_single_precision_is_used_throughout(method):
    single, double = (run(method, precision=precision) for precision in ("float32", "float64"))
    for name in ("loss", "grad_norm_sq", "final_point"):
        assert getattr(single, name).dtype == np.float32 and getattr(double, name).dtype == np.float64
    for verdict in single.verdicts.values():
        assert verdict.smallest_slack.dtype == verdict.lyapunov.dtype == np.float32
    difference = np.max(np.abs(single.grad_norm_sq[0] - double.grad_norm_sq[0]))
    assert 0 < difference < 1e-5 * double.grad_norm_sq[0]


# --- compilation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [TopK, RandK])
def test_calls_that_differ_in_data_only_compile_nothing(make, caplog):
    def call(k: int = 2, stepsizes: Any = (0.1, 0.2), seeds: Any = (0, 1), x0: Any = START, **options: Any) -> None:
        run(EF21(make(k)), np.array(stepsizes), seed=np.array(seeds), x0=x0, **options)

    jax.clear_caches()
    assert compilations(caplog, call)  # the first compiles, so that the count counts
    assert compilations(caplog, call) == []
    assert compilations(caplog, lambda: call(k=3)) == []
    assert compilations(caplog, lambda: call(stepsizes=(0.3, 1e3), seeds=(5, 6), x0=-START)) == []
    assert compilations(caplog, lambda: call(rounds=40, record_every=10)) == []
    assert compilations(caplog, lambda: call(stepsizes=(0.1, 0.2, 0.3)))  # another shape does compile


# --- bad arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepsize": 0.0}, "stepsize must be .*> 0.*not 0.0"),
        ({"stepsize": -0.1}, "stepsize must be .*not -0.1"),
        ({"stepsize": [0.1, np.nan]}, r"stepsize must be .*not \[0.1, nan\]"),
        ({"stepsize": np.inf}, "stepsize must be a finite number"),
        ({"stepsize": []}, r"stepsize must be .*not \[\]"),
        ({"stepsize": [[0.1]]}, "stepsize must be"),
        ({"stepsize": "large"}, "stepsize .*'large'"),
        ({"seed": -1}, "seed must be a whole number .*not -1"),
        ({"seed": 1.5}, "seed must be a whole number .*not 1.5"),
        ({"seed": [0, 2**32]}, "seed must be .*4294967296"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": []}, "seed must be"),
        ({"rounds": -1}, "rounds must be >= 0.*-1"),
        ({"rounds": 1.5}, "rounds .*1.5"),
        ({"rounds": "many"}, "rounds .*many"),
        ({"record_every": 0}, "record_every >= 1.*0"),
        ({"record_every": 2.5}, "record_every .*2.5"),
        ({"precision": "float16"}, "'float16'; known: float32, float64"),
        ({"x0": np.ones(3)}, r"x0 must be 6 finite numbers, not an array of shape \(3,\)"),
        ({"x0": np.full(DIM, np.nan)}, "x0 must be 6 finite numbers"),
        ({"x0": "origin"}, "x0 .*origin"),
        ({"target": np.nan}, "target"),
        pytest.param({"theorems": GD.theorems[:1] * 2}, "names of their own; 'smooth' is given 2 times", id="theorems"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InvalidInput, match=message):
        run(**options)


def test_a_class_that_is_no_pytree_is_named():
    class Plain(Method):
        kind = "plain-of-a-test"
        compressor = GD.compressor
        theorems = ()

        def init(self, problem: Problem, x0: Any, key: Any) -> Any: ...

        def step(self, problem: Problem, stepsize: Any, state: Any, key: Any) -> Any: ...

    with pytest.raises(InvalidInput, match="Plain must be decorated with frozen_pytree"):
        run(Plain())
    assert frozen_pytree(Plain)().deterministic  # and is none once it is decorated


def test_a_start_that_is_out_of_range_is_refused():
    with pytest.raises(InvalidInput, match="x0 is too far out"):
        run(x0=np.full(DIM, 1e200), rounds=3)


def test_a_constant_function_is_refused():
    flat = Quadratic.from_arrays(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(InvalidInput, match="L = 0"):
        simulate(flat, GD(), stepsize=1.0, rounds=1)
