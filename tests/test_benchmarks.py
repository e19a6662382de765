"""The benchmark of the engine: contestants do the same work, a wrong one is caught, and reports are complete."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from simulator import EF21
from tests.benchmarks import measure as measuring
from tests.benchmarks.contestants import Contestant, Engine, Rival
from tests.benchmarks.limits import Machine, least_seconds, work_of
from tests.benchmarks.measure import (
    TOLERANCE,
    Disagreement,
    Measurement,
    check_agreement,
    contestants_of,
    measure,
)
from tests.benchmarks.models import DenseQuadratic, DiagonalQuadratic, Logistic, Model
from tests.benchmarks.report import as_json, summary, workload_report
from tests.benchmarks.workloads import WORKLOADS, Workload, named, stepsizes

MODELS: dict[str, Model] = {
    "logistic": Logistic(3, 5, 7),
    "diagonal": DiagonalQuadratic(3, 7),
    "dense": DenseQuadratic(3, 7),
}
MACHINE = Machine(flops=1e9, bandwidth=1e9)  # measuring a real one takes seconds
pytestmark = pytest.mark.usefixtures("few_theorems")


@pytest.fixture
def few_theorems(monkeypatch: pytest.MonkeyPatch) -> None:
    """One theorem, which compiles faster."""
    monkeypatch.setattr(EF21, "theorems", EF21.theorems[:1])


def tiny(kind: str = "logistic", k: int = 2, runs: int = 6) -> Workload:
    return Workload("tiny", MODELS[kind], k, stepsizes(runs))


# --- agreement ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "k", "runs"), [("logistic", 2, 6), ("logistic", 1, 6), ("diagonal", 2, 1)])
def test_contestants_reach_the_same_points(kind, k, runs):
    contestants = contestants_of(tiny(kind, k, runs))
    assert [c.key for c in contestants] == ["engine", "unchecked", "a", "b1", *(["b"] if runs > 1 else []), "c", "d"]
    check_agreement(contestants)


@pytest.mark.parametrize("kind", MODELS)
def test_models_give_everybody_the_same_gradients(kind):
    model, rng = MODELS[kind], np.random.default_rng(1)
    points = rng.standard_normal((model.dim, 2))
    batch = model.batch_gradients(points)
    for lane, x in enumerate(points.T):
        expected = np.asarray(model.problem.worker_gradients(x))
        assert np.max(np.abs(expected)) > 0.1
        close = {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(model.gradients(x), expected, **close)
        np.testing.assert_allclose(model.traced_gradients(model.arrays, x), expected, **close)
        np.testing.assert_allclose([model.worker_gradient(i, x) for i in range(model.workers)], expected, **close)
        np.testing.assert_allclose(batch[:, :, lane], expected, **close)


class Wrong(Contestant):
    """Another contestant's points, all or one of them with an error."""

    key, label = "wrong", "a wrong one"

    def __init__(self, other: Contestant, error: float, lane: int | None = None) -> None:
        self.other, self.error, self.lane, self.workload = other, error, lane, other.workload

    @property
    def lanes(self) -> np.ndarray:
        return self.other.lanes

    def points(self, rounds: int) -> np.ndarray:
        found = self.other.points(rounds).copy()
        chosen = slice(None) if self.lane is None else self.lane
        found[chosen] *= 1 + self.error
        return found

    def sample(self, rounds: int) -> measuring.Sample:
        return self.other.sample(rounds)


@pytest.fixture(scope="module")
def two() -> Iterator[list[Contestant]]:
    """NumPy alone, which compiles nothing; the first is given all stepsizes."""
    yield sorted((c for c in contestants_of(tiny()) if c.key in ("b", "b1")), key=lambda c: c.key)


@pytest.mark.parametrize("error", [1e-8, -1e-8, np.nan, np.inf])
@pytest.mark.parametrize("lane", [None, 0, -1])
def test_one_that_is_wrong_is_caught(error, lane, two):
    with pytest.raises(Disagreement, match="after 3 rounds, x of 'a wrong one' differs"):
        check_agreement([*two, Wrong(two[0], error, lane)])


def test_rounding_is_not_caught(two):
    check_agreement([*two, Wrong(two[0], TOLERANCE / 100)])


@pytest.mark.parametrize("k", [1, 3])
def test_another_k_is_caught(k):
    ours, others = contestants_of(tiny(k=2)), contestants_of(tiny(k=k))
    pick = [next(c for c in all_ if c.key == key) for all_, key in ((ours, "b"), (others, "b1"))]
    with pytest.raises(Disagreement):
        check_agreement(pick)


# --- reports --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> Iterator[Measurement]:
    """A tiny workload with the fewest rounds and two repetitions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "measure_machine", lambda: MACHINE)
        patch.setattr(measuring, "PAUSE_SECONDS", 0.0)
        patch.setattr(EF21, "theorems", EF21.theorems[:1])
        for kind in (Engine, Rival):
            patch.setattr(kind, "sample_seconds", 0.0)
        told: list[str] = []
        yield measure(tiny(), 2, told.append)
        assert told[0] == "compilation and agreement" and told[-1] == "repetition 2 of 2"


KEYS = ["engine", "unchecked", "a", "b1", "b", "c", "d"]


def test_every_contestant_is_timed(measured):
    assert list(measured.times) == KEYS and measured[:5] == ("tiny", 3, 7, 2, 6)
    for key, times in measured.times.items():
        assert len(times.samples) == 2 and (times.first_call is not None) == (key in ("engine", "unchecked"))
        assert times.lanes == (4 if key in ("a", "b1", "c") else 6)  # one stepsize after another: some are enough
    assert all(sample.round > 0 for key in KEYS[2:] for sample in measured.times[key].samples)


def test_a_workload_is_reported_with_a_row_for_everybody(measured):
    text = workload_report(measured)
    assert text.startswith("tiny: n = 3, d = 7, k = 2, S = 6; repetitions: 2")
    for times in measured.times.values():
        assert any(line.startswith(times.label) for line in text.splitlines())
    assert "4, scaled to 6" in text and text.count("beyond its rounds") == 2


def test_the_summary_is_a_table_in_markdown(measured):
    *_, header, ruler, first, second = summary([measured, measured._replace(name="other")], MACHINE).splitlines()
    assert {len(line.split("|")) for line in (header, ruler, first, second)} == {6 + 5 + 2}
    cells = [cell.strip() for cell in header.split("|")]
    assert cells[1:4] == ["workload", "engine, ms", "unchecked, ms"] and cells[-6:-1] == [
        "(a)",
        "(b1)",
        "(b)",
        "(c)",
        "(d)",
    ]
    assert set(ruler) <= set("|-: ") and first.split("|")[1].strip() == "tiny" and "other" in second
    alone = measured._replace(times={key: times for key, times in measured.times.items() if key != "b"})
    assert summary([alone], MACHINE).splitlines()[-1].split("|")[-4].strip() == "-"  # who was not there


def test_the_json_is_valid_and_complete(measured):
    nan = measured._replace(work=measured.work._replace(flops=float("nan")))
    text = json.dumps(as_json([measured, nan], MACHINE, []), allow_nan=False)
    found = json.loads(text)
    assert found.keys() == {"environment", "machine", "workloads", "growth"}
    first, second = found["workloads"]
    assert list(first["times"]) == KEYS and first["runs"] == 6 and second["work"]["flops"] is None
    assert first["limit_seconds"] == least_seconds(work_of(tiny()), MACHINE)
    assert len(first["times"]["b"]["samples"]) == 2 and first["times"]["b"]["samples"][0].keys() == {"round", "call"}


def test_the_least_time_of_a_round():
    # two products of [15, 7] and [7, 6]; states of 3 x 7 x 6 numbers, read and written, and data of 15 x 7
    assert work_of(tiny()) == (2 * 2 * 15 * 7 * 6, 16 * 3 * 7 * 6 + 8 * 15 * 7)
    assert least_seconds(work_of(tiny()), Machine(1.0, 1e9)) == 2 * 2 * 15 * 7 * 6


def test_workloads_are_found_by_how_their_names_begin():
    assert [recipe.name for recipe in named(["mushrooms-k1-", "dense-k10"])] == [
        "mushrooms-k1-S64",
        "mushrooms-k1-S1",
        "dense-k10-S64",
    ]
    assert len({recipe.name for recipe in WORKLOADS}) == len(WORKLOADS)
    with pytest.raises(ValueError, match="no workload begins with 'nothing'; there are mushrooms-k1-S64"):
        named(["dense", "nothing"])
