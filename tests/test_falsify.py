"""The search for counterexamples breaks what is false and spares what is true; its files say the same when replayed."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_false import KNOWN_FALSE
from mpmath import mpf
from numpy.testing import assert_allclose
from wrong_parts import DoublyScaledEF14, DoublyScaledHB

from experiments.falsify.campaign import Budget, Report, falsify
from experiments.falsify.exact import evaluated, extended, floats
from experiments.falsify.files import read_record, replay, write_record
from experiments.falsify.methods import Kinds, Setting
from experiments.falsify.names import theorem_of
from experiments.falsify.parts import WithError
from experiments.falsify.records import judged, record_of
from experiments.falsify.search import Search
from experiments.falsify.spaces import spaces_of
from experiments.falsify.table import sections
from problems import InvalidInput, Quadratic
from problems.registry import registered
from simulator import Method
from simulator.theorem import Assumption

DRAWN = Budget(turns=40, steps=0)  # random restarts only: what compiles fastest


# --- what is false is broken ----------------------------------------------------------------------------

# Of the known false statements those that are an inequality of a round: the method, and n and d.
INEQUALITIES: dict[str, tuple[str, tuple[int, int]]] = {
    "mean square without the root": ("ef21", (1, 1)),
    "equal weights at the arithmetic mean": ("ef21", (2, 1)),
    "A/(2 mu) in place of 2 mu/A": ("ef21", (2, 1)),
    "EF14 with gamma twice": (DoublyScaledEF14.kind, (1, 1)),
    "heavy ball with gamma twice": (DoublyScaledHB.kind, (1, 1)),
    "EF14 without heterogeneity": ("ef14", (2, 1)),
    "(1 + s) mu in the step of compressed gradient descent": ("dcgd", (1, 1)),
    "0 for an omega that does not exist": ("dcgd", (1, 1)),
    "the mean of products for the constant of EF21-SGD": ("ef21-sgd", (3, 1)),
    "omega/n of workers that share a key (DCGD)": ("dcgd", (2, 2)),
}

# The others speak of a part, for which there is no round to search: what a compressor does to one vector, what a
# message costs, what a problem declares. tests/test_known_false.py has an instance against each.
OF_PARTS = {
    "B_i = 0 for bounded variance": "the second moment of a gradient oracle",
    "omega/n of workers that share a key": "the mean of messages",
    "the 1-bit sign as a contraction": "a compressor's alpha",
    "Rand-k with replacement": "a compressor's bias",
    "bits without indices": "the size of a message",
    "bits without the first round": "the size of a message",
    "the largest eigenvalue as L_i": "a problem's constants",
    "half the gradient": "a problem's gradients",
}


def false_theorem(name: str) -> Any:
    """The theorem that is false of the method in INEQUALITIES."""
    known = KNOWN_FALSE[name]
    of_wrong_methods = {"EF14 with gamma twice": "nonconvex", "heavy ball with gamma twice": "quadratic-mean"}
    return known.true.theorem(of_wrong_methods[name]) if name in of_wrong_methods else known.false


@pytest.mark.parametrize("name", INEQUALITIES)
def test_every_known_false_inequality_is_broken(name, tmp_path):
    (kind, size), false = INEQUALITIES[name], false_theorem(name)
    (report,) = falsify(kind, [false], DRAWN, sizes=(size,))
    assert report.verdict == "broken" and report.judgement.excess > 0.01
    write_record(tmp_path / "broken.json", report.record, report.judgement)
    assert replay(tmp_path / "broken.json", false).broken


def test_the_known_false_statements_are_inequalities_or_of_parts():
    assert {*INEQUALITIES, *OF_PARTS} == set(KNOWN_FALSE) and not {*INEQUALITIES} & {*OF_PARTS}


# --- what is true survives ------------------------------------------------------------------------------

METHODS = {
    kind: cls for kind, cls in registered(Method).items() if cls.__module__.startswith("simulator.") and cls.theorems
}


@pytest.mark.parametrize("kind", METHODS)
def test_every_theorem_of_the_catalogue_survives(kind):
    theorems = METHODS[kind].theorems
    reports = list(falsify(kind, theorems, Budget(turns=1, steps=0), sizes=((2, 2),)))
    assert [report.record.theorem for report in reports] == [theorem.name for theorem in theorems]
    for report in reports:
        assert report.verdict == "survived", report.record.theorem
        assert report.judgement.ratio > 0.01, report.record.theorem  # something was promised, and judged


@pytest.mark.soak
@pytest.mark.parametrize("kind", METHODS)
def test_every_theorem_of_the_catalogue_survives_for_long(kind):
    for report in falsify(kind, METHODS[kind].theorems, Budget(seconds=20), seed=1):
        assert report.verdict == "survived", report.record.theorem


def test_the_table_in_the_documentation_has_every_theorem():
    """`make falsify METHODS=...` adds what is new."""
    text = (Path(__file__).parent.parent / "docs" / "tightness.md").read_text(encoding="utf-8")
    shown = {
        kind: re.findall(r"^\| ([a-z0-9-]+) \| [01]", table, re.MULTILINE) for kind, table in sections(text).items()
    }
    assert shown == {kind: [theorem.name for theorem in cls.theorems] for kind, cls in METHODS.items()}


def test_the_true_counterpart_survives_the_search_that_breaks_the_false_one():
    # the one that is no theorem of the catalogue
    true = KNOWN_FALSE["(1 + s) mu in the step of compressed gradient descent"].true
    (report,) = falsify("dcgd", [true], DRAWN, sizes=((1, 1),))
    assert report.verdict == "survived"


def test_a_theorem_is_searched_with_all_parts_that_its_assumptions_allow():
    def of(kind: str, name: str) -> set[tuple[str, str]]:
        return {tuple(each.kinds) for each in spaces_of(METHODS[kind], theorem_of(kind, name), ((2, 2),))}

    assert of("ef14", "nonconvex") == {("contractive", "exact"), ("contractive", "noisy")}
    assert of("ef14", "tight") == {("contractive", "exact")}
    assert of("ef-bv", "quadratic-mean") == {(each, "exact") for each in ("contractive", "unbiased", "shared")}
    assert of("dcgd", "unbiased") == {("unbiased", "exact"), ("shared", "exact")}
    assert of("ef21-sgd", "quadratic-mean-abc") == {("contractive", "noisy")}


# --- what is tight is found to be -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"), [("gd", ["tight"]), ("ef14", ["tight"]), ("ef21", ["tight", "quadratic-mean-exact-root"])]
)
def test_tight_theorems_are_found_tight_and_fail_a_little_beyond(kind, names):
    tight = [theorem_of(kind, name) for name in names]
    reports = list(falsify(kind, [*tight, *map(a_little_beyond, tight)], Budget(turns=2, steps=600), sizes=((1, 1),)))
    for report in reports[: len(names)]:
        assert -1e-3 < report.judgement.excess < 1e-12, report.record.theorem
    assert all(report.verdict == "broken" for report in reports[len(names) :])


def a_little_beyond(theorem: Any) -> Any:
    """The theorem at a larger stepsize."""
    beyond = lambda c: 1.01 * theorem.max_stepsize(c)  # noqa: E731
    return replace(theorem, max_stepsize=beyond, min_stepsize=beyond)


# --- files ----------------------------------------------------------------------------------------------


@cache
def found() -> Report:
    return next(falsify("ef21", [theorem_of("ef21", "quadratic-mean")], Budget(turns=1, steps=0), sizes=((2, 2),)))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "found.json"
    write_record(path, found().record, found().judgement)
    return path


def test_a_file_says_the_same_when_replayed(file):
    record, _ = read_record(file)
    for given, back in zip(found().record, record, strict=True):
        jax.tree.map(np.testing.assert_array_equal, given, back)  # every digit
    assert replay(file) == found().judgement


def _changed(told: dict[str, Any], *path: Any, value: Any) -> None:
    for key in path[:-1]:
        told = told[key]
    told[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("claims", "ratio"), 0.5, "claims ratio = 0.5"),
        (("claims", "stepsize"), 1.0, "claims stepsize"),
        (("claims", "constants", "smoothness"), 1.0, "claims the constant smoothness"),
        (("claims", "broken"), True, "claims broken = True"),
        (("instance", "start", 0), 3.0, "computed from its instance"),
        (("instance", "matrices", 0, 0, 1), 3.0, "symmetric"),
        (("instance", "alpha"), 1.5, "alpha of the instance must be in (0, 1)"),
        (("instance", "theorem"), "rare-features", "depend on some of the coordinates only"),
        (("instance", "theorem"), "no-such", "no-such"),
        (("instance", "method"), "no-such", "no-such"),
        (("instance", "start"), [], "start of the instance must be finite numbers of the shape (2,)"),
        (("instance", "choices", 0, "compressor", "errors"), [1.0], "choices of the method's parts"),
        (("instance", "skipped"), 7, "of which 0 to 2 are skipped"),
        (("instance", "choices"), [], "of which 0 to 2 are skipped"),
        (("instance", "compressor"), "biased", "unknown kind of compressor of the instance 'biased'"),
        (("instance", "scaled_stepsize"), "much", "could not convert"),
        (("claims", "constants"), [], "claims the constant smoothness = None"),
        (("claims", "excess"), 0.5, "claims excess = 0.5"),
        (("claims", "charged"), [[1.0], []], "claims charged"),
        (("format",), "another", "has the format 'another'"),
        (("instance",), {}, "no file of efsim falsify"),
    ],
)
def test_a_damaged_file_is_refused_in_words(file, path, value, words):
    told = json.loads(file.read_text())
    _changed(told, *path, value=value)
    file.write_text(json.dumps(told))
    with pytest.raises(InvalidInput) as error:
        replay(file)
    assert words in str(error.value)


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="cannot read"):
        replay(tmp_path / "missing.json")
    (tmp_path / "text").write_text("{")
    with pytest.raises(InvalidInput, match="no file of efsim falsify"):
        replay(tmp_path / "text")


# --- the parts of the search ----------------------------------------------------------------------------


def test_contractive_parts_contract_and_random_parts_are_unbiased():
    rng, v = np.random.default_rng(0), np.random.default_rng(1).standard_normal((3, 4))
    key = jax.random.key(0)
    for scale in (0.1, 1.0, 10.0):
        part = WithError(0.3, scale * rng.standard_normal((3, 4)))
        errors = np.sum((np.asarray(part.compress_rows(key, v)) - v) ** 2, axis=1)
        assert np.all(errors <= 0.7 * np.sum(v**2, axis=1) * (1 + 1e-12))
    part = Setting(3, 4, Kinds("unbiased", "exact")).compressor("unbiased", 0.25)
    drawn = [(float(each.probability), np.asarray(each.value.compress_rows(key, v))) for each in part.outcomes()]
    assert_allclose(sum(p * message for p, message in drawn), v, rtol=1e-12)
    variance = sum(p * np.sum((message - v) ** 2, axis=1) for p, message in drawn)
    assert_allclose(variance, 3 * np.sum(v**2, axis=1), rtol=1e-12)


def test_noise_has_the_constants_that_it_declares():
    rng = np.random.default_rng(2)
    budget = Budget(turns=1, steps=0)
    (report,) = falsify("ef21-sgd", [theorem_of("ef21-sgd", "quadratic-mean-abc")], budget, sizes=((2, 2),))
    record = report.record
    oracle = Setting(2, 2, Kinds("contractive", "noisy")).noise()
    oracle = replace(oracle, **record.choices[-1]["oracle"])
    problem = Quadratic.from_arrays(record.matrices, record.vectors)
    declared = oracle.constants(problem)
    for x in 10 * rng.standard_normal((50, 2)):
        gaps = np.asarray(problem.worker_losses(jnp.asarray(x))) - declared.lower_bounds
        bound = 2 * declared.expected_smoothness * gaps + declared.constant
        assert np.all(gaps >= -1e-9) and np.all(np.asarray(oracle.variances(problem, x)) <= bound * (1 + 1e-9))


def test_evaluations_agree_with_jax_in_both_precisions():
    def function(a, b):
        rows = jnp.sqrt(jnp.sum((a @ b) ** 2, axis=1)) / jnp.maximum(b[0, 0], 2.0)
        return jnp.where(rows > 1, rows, -rows), a.clip(0.1) % 1.0, 1.0 * (a < b)

    a, b = np.random.default_rng(3).uniform(-2, 2, (2, 3, 3))
    expected = function(jnp.asarray(a), jnp.asarray(b))
    for numbers in (floats, extended):
        for got, wanted in zip(evaluated(function, numbers, a, b), expected, strict=True):
            assert_allclose(np.asarray(got, float), wanted, rtol=1e-14)
    assert isinstance(evaluated(lambda x: x / 3, extended, np.array([1.0]))[0], mpf)
    with pytest.raises(NotImplementedError, match="exp"):
        evaluated(jnp.exp, floats, np.array([1.0]))


def test_the_constants_of_a_search_are_those_of_the_simulator():
    # judged by `constants_of`, the ratio is what the search has found with its own
    for kind, name in (
        ("ef-bv", "quadratic-mean-pl"),
        ("econtrol", "pl"),
        ("diana", "convex"),
        ("ef21", "rare-features"),
    ):
        theorem = theorem_of(kind, name)
        (space, *_) = spaces_of(METHODS[kind], theorem, ((2, 2),))
        search = Search(METHODS[kind], [theorem], space)
        one = search.best(theorem, np.random.default_rng(0), 0)
        again = judged(record_of(search, theorem, one), theorem)
        assert_allclose(1 + again.excess, np.exp(one.log_ratio), rtol=1e-7)


def test_what_cannot_be_searched_is_told():
    with pytest.raises(InvalidInput, match="unknown method 'no-such'"):
        list(falsify("no-such", [theorem_of("gd", "smooth")], DRAWN))
    with pytest.raises(InvalidInput, match="it needs a miracle"):
        never = Assumption("never", lambda c: False, "a miracle")
        list(falsify("gd", [replace(theorem_of("gd", "smooth"), assumptions=(never,))], DRAWN))
