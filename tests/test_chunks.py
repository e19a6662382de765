"""Rounds in chunks: what a chunk holds, that it costs no compilation, who is left out, and how calls end early."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import compilations
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import DIM, instance
from numpy.testing import assert_allclose, assert_array_equal

from simulator import EF21, GD, Method, RandK, TopK, Trace, engine, simulate
from simulator.engine import RECORDS_PER_CHUNK, Schedule

START = np.linspace(-1.0, 1.0, DIM)
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def few_theorems(monkeypatch: pytest.MonkeyPatch) -> None:
    """One theorem a method, which compiles faster."""
    for method in (EF21, GD):
        monkeypatch.setattr(method, "theorems", method.theorems[:1])


def run(stepsize: Any, rounds: int, method: Method | None = None, **options: Any) -> Trace:
    method = EF21(TopK(2)) if method is None else method
    return simulate(instance("dense").problem, method, stepsize=stepsize, rounds=rounds, x0=START, **options)


# --- the schedule ---------------------------------------------------------------------------------------


@st.composite
def recorded_rounds(draw: st.DrawFn) -> np.ndarray:
    """As the engine makes them, regular with an end of its own; and any others."""
    last = draw(st.integers(0, 3000))
    if draw(st.booleans()):
        every = draw(st.integers(1, 3500))
        return np.unique(np.append(np.arange(0, last, every), last))
    return np.unique([0, last, *draw(st.lists(st.integers(0, last), max_size=200))])


def assert_partition(recorded: np.ndarray, rounds: int, chunks: list[tuple[np.ndarray, np.ndarray]]) -> None:
    counts = np.concatenate([np.zeros(0, int), *(counts for counts, _ in chunks)])
    kept = np.concatenate([np.zeros(0, bool), *(kept for _, kept in chunks)])
    stops = np.cumsum(counts)
    assert np.sum(counts) == recorded[-1]
    assert_array_equal(stops[kept], recorded[1:])  # those and no others; round 0 is recorded before the first chunk
    assert np.all((counts >= 1) & (counts <= rounds))  # no stop is further than `rounds` from the one before
    for counts, kept in chunks:
        assert len(counts) == len(kept)
        assert 1 <= len(counts) <= RECORDS_PER_CHUNK
        assert np.sum(counts) <= rounds


@settings(max_examples=300, deadline=None, derandomize=True)
@given(recorded_rounds(), st.integers(1, 4000))
def test_chunks_are_a_partition_of_the_rounds(recorded, rounds):
    assert_partition(recorded, rounds, list(Schedule(recorded).chunks(rounds)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(recorded_rounds(), st.integers(1, 4000))
def test_chunks_are_not_smaller_than_they_have_to_be(recorded, rounds):
    chunks = list(Schedule(recorded).chunks(rounds))
    for (counts, _), (following, _) in pairwise(chunks):
        assert len(counts) == RECORDS_PER_CHUNK or np.sum(counts) + following[0] > rounds


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        pytest.param([4, 5], [True, True], id="a round too few"),
        pytest.param([4, 6], [False, True], id="a record too few"),
        pytest.param([2, 2, 6], [True, True, True], id="a record too many"),
        pytest.param([10], [True], id="too long"),
        pytest.param([4, 0, 6], [True, False, True], id="an empty stop"),
    ],
)
def test_other_chunks_would_be_seen(counts, kept):
    recorded = np.array([0, 4, 10])
    assert_partition(recorded, 12, [(np.array([4, 6]), np.array([True, True]))])
    with pytest.raises(AssertionError):
        assert_partition(recorded, 9 if len(counts) == 1 else 12, [(np.array(counts), np.array(kept))])


# --- compilation ----------------------------------------------------------------------------------------


def test_nothing_is_compiled_from_chunk_to_chunk_nor_from_call_to_call(caplog, monkeypatch):
    told: list[int] = []
    first = compilations(caplog, lambda: run([0.1, 0.2], 40, record_every=5, progress=told.append))
    assert len(told) == 1 and sum("advance" in message for message in first) == 1

    def call(rounds: int, every: int, chunks: int) -> None:
        told.clear()
        run([0.1, 0.2], rounds, record_every=every, progress=told.append)
        assert len(told) == chunks and sum(told) == 2 * rounds

    assert compilations(caplog, lambda: call(5 * RECORDS_PER_CHUNK + 3, 1, 6)) == []
    assert compilations(caplog, lambda: call(1000, 7, 5)) == []
    assert compilations(caplog, lambda: call(1, 1, 1)) == []
    # and where recorded rounds are so far apart that the host stops between them
    work = engine.multiplications(instance("dense").problem)
    monkeypatch.setattr(engine, "WORK_PER_CHUNK", 10 * 2 * work)
    monkeypatch.setattr(engine, "LEAST_WORK_OF_A_ROUND", 0)
    assert compilations(caplog, lambda: call(1000, 1000, 100)) == []


def test_another_shape_is_compiled(caplog):
    run([0.1, 0.2], 3)
    assert compilations(caplog, lambda: run([0.1, 0.2, 0.3], 3))


# --- runs that have ended -------------------------------------------------------------------------------

# most diverge, at several rounds; those that stay are no power of two, so that some that have ended come along
MIXED = np.array([0.05, 1e3, 20.0, 30.0, 0.1, 1e6, 40.0, 60.0, 0.2, 80.0, 1e2, 3e2])
STAY = np.flatnonzero(MIXED < 1)
EXACT = ("violations", "judged_rounds", "smallest_slack_round", "bet_rounds", "applies")


def advanced_lanes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs every call of the compiled program advances."""
    found: list[int] = []
    plain = engine.advance

    def spy(program: Any, setting: Any, gammas: Any, *rest: Any) -> Any:
        found.append(len(gammas))
        return plain(program, setting, gammas, *rest)

    monkeypatch.setattr(engine, "advance", spy)
    return found


def left_out(monkeypatch: pytest.MonkeyPatch, leaving: bool, gammas: np.ndarray = MIXED, **options: Any) -> Trace:
    """A trace with ended runs left out as soon as possible, or never."""
    monkeypatch.setattr(engine, "WORK_OF_COMPILING", 0.0 if leaving else np.inf)
    monkeypatch.setattr(engine, "RECORDS_PER_CHUNK", 4)
    return run(gammas, 60, **options)


def values(trace: Trace) -> dict[str, np.ndarray]:
    found = {name: value for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    for theorem, verdict in trace.verdicts.items():
        found |= {f"{theorem}.{name}": value for name, value in vars(verdict).items() if isinstance(value, np.ndarray)}
    return found


@pytest.mark.parametrize("method", [EF21(TopK(2)), EF21(RandK(2))], ids=["deterministic", "random"])
def test_leaving_ended_runs_out_changes_nothing(method, monkeypatch):
    lanes = advanced_lanes(monkeypatch)
    fewer = left_out(monkeypatch, True, method=method, record_every=2)
    assert lanes[0] == len(MIXED) and lanes[-1] == 4 and lanes == sorted(lanes, reverse=True)
    lanes.clear()
    every = left_out(monkeypatch, False, method=method, record_every=2)
    assert set(lanes) == {len(MIXED)}

    assert np.all((every.diverged_round >= 0) == (MIXED > 1))
    assert len(set(every.diverged_round.tolist())) > 3
    for name, value in values(every).items():
        found = values(fewer)[name]
        exact = value.dtype.kind in "ibu" or "bits" in name or name.split(".")[-1] in EXACT
        assert_array_equal(np.isnan(found), np.isnan(value), err_msg=name)
        if exact:
            assert_array_equal(found, value, err_msg=name)
        else:
            finite = np.abs(value[np.isfinite(value)])
            scale = np.max(finite[finite < 1e3], initial=0.0)
            assert_allclose(found, value, rtol=1e-10, atol=1e-10 * scale, err_msg=name)
    # the control: another run's values are seen
    assert not np.allclose(fewer.final_point[STAY[0]], every.final_point[STAY[1]], rtol=1e-10)


def test_runs_are_not_left_out_where_that_costs_more_than_it_saves(monkeypatch):
    lanes = advanced_lanes(monkeypatch)
    monkeypatch.setattr(engine, "RECORDS_PER_CHUNK", 4)
    run(MIXED, 60)  # so little work is not worth a compilation
    assert set(lanes) == {len(MIXED)}


def test_nothing_is_computed_once_all_runs_have_ended(monkeypatch):
    lanes, told = advanced_lanes(monkeypatch), []
    gone = left_out(monkeypatch, True, np.geomspace(1e3, 1e4, len(MIXED)), progress=told.append)
    last = int(gone.diverged_round.max())
    assert gone.diverged_round.min() > 0 and len(lanes) == -(-last // 4) < 15  # chunks of four rounds up to there
    assert sum(told) == 60 * len(MIXED) and len(told) == 15  # they count as done all the same
    assert np.all(np.isnan(gone.loss[:, last:])) and np.all(gone.bits_per_worker[:, -1] > 0)
    lanes.clear()
    kept = left_out(monkeypatch, False, np.geomspace(1e3, 1e4, len(MIXED)))
    # they do where nothing needs to be compiled for it, whatever compilation costs
    assert len(lanes) == -(-last // 4)
    for name, value in values(kept).items():
        assert_array_equal(values(gone)[name], value, err_msg=name)


def test_bits_are_those_sent_until_the_end(monkeypatch):
    """A diverged run sends nothing more; whether it is still computed makes no difference."""
    trace = left_out(monkeypatch, True)
    for lane in np.flatnonzero(trace.diverged_round >= 0):
        after = trace.bits_per_worker[lane, trace.diverged_round[lane] :]
        assert np.all(after == after[0])
    assert np.all(np.diff(trace.bits_per_worker[STAY]) > 0)


def test_the_final_point_of_a_diverged_run_is_where_it_diverged(monkeypatch):
    trace = left_out(monkeypatch, True)
    lane = 1
    rounds = int(trace.diverged_round[lane])
    there = run(MIXED, rounds)
    assert there.diverged_round[lane] == rounds
    assert_allclose(trace.final_point[lane], there.final_point[lane], rtol=1e-10)
    before = run(MIXED, rounds - 1)
    assert before.diverged_round[lane] == -1
    assert np.linalg.norm(before.final_point[lane]) < np.linalg.norm(trace.final_point[lane]) / 10


# --- interrupts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_progress_raises_stops_the_rounds(error, monkeypatch):
    lanes = advanced_lanes(monkeypatch)

    def stop(_: int) -> None:
        if len(lanes) == 2:
            raise error

    rounds = 10 * RECORDS_PER_CHUNK
    with pytest.raises(error):
        run([0.1, 0.2], rounds, progress=stop)
    assert len(lanes) == 2  # of ten chunks
    lanes.clear()
    again = run([0.1, 0.2], rounds)
    assert len(lanes) == 10 and np.all(np.isfinite(again.loss))
    assert_array_equal(again.loss, run([0.1, 0.2], rounds).loss)


# --- memory ---------------------------------------------------------------------------------------------

PEAKS = """
import json, sys
from pathlib import Path
sys.path[:0] = ["tests"]
from instances import instance
from simulator import EF21, TopK, simulate

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024

def call(rounds, every):
    simulate(instance("dense").problem, EF21(TopK(2)), stepsize=[0.05, 0.1] * 32, rounds=rounds, record_every=every,
             theorems=())

def peak(rounds, every):
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    call(rounds, every)
    return status("VmHWM") - before

call(200, 200)
call(200, 1)
print(json.dumps([peak(200, 200), peak(20000, 20000), peak(20000, 1)]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux restarts the peak of a process")
def test_memory_does_not_grow_with_the_number_of_rounds():
    done = subprocess.run([sys.executable, "-c", PEAKS], cwd=ROOT, capture_output=True, text=True, check=True)
    few, many, recorded = json.loads(done.stdout)
    assert many - few < 4e6
    # the control: records of every round are kept, 64 runs x 20000 rounds x 8 bytes of each kind
    assert recorded - few > 64 * 20000 * 8
