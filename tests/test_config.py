"""Configs: what is accepted, what is swept, and that every error is told at once in the user's terms."""

import tomllib
from dataclasses import field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array

from experiments.config import MOST_RUNS, parse_config
from experiments.config_models import schema
from experiments.plan import make_plan
from experiments.raw_config import apply_overrides, read_raw, reduced, write_toml
from experiments.runs import LARGEST_BATCH
from experiments.spec import Parameter, Spec, constructors, parameters
from problems import InvalidInput, frozen_pytree
from simulator import Exact, GaussianNoise

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))

SMALL = """
name = "small"
rounds = 5
[problem]
kind = "quadratic"
workers = 4
dim = 3
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = "quadratic-mean" }
"""


def small(*overrides: str) -> dict:
    return apply_overrides(tomllib.loads(SMALL), overrides)


def errors_of(raw: dict) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        make_plan(parse_config(raw))
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configs_are_valid_and_say_what_they_claim(path):
    config = parse_config(read_raw(path))
    assert config.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configs_have_a_small_version_for_the_suite(path):
    raw = read_raw(path)
    assert "reduced" in raw and parse_config(reduced(raw)).num_runs > 0


def test_a_list_is_swept_and_the_product_is_counted():
    config = parse_config(
        small(
            "seeds=[0, 1]",
            "problem.smoothness_ratio=[1.0, 1.5, 2.0]",
            "method.0.compressor.kind=rand-k",
            "method.0.compressor.k=[1, 2]",
            'method.0.stepsize=[{rule=["quadratic-mean", "arithmetic-mean"], multiple=[1, 2]}, 0.1]',
        )
    )
    assert config.num_runs == 2 * 3 * 2 * (2 * 2 + 1)
    plan = make_plan(config)
    runs = [run for batch in plan.batches for lane in batch.runs for run in lane]
    assert len(runs) == config.num_runs == len({run.id for run in runs})


def test_seeds_are_for_methods_that_draw():
    compressors = '[{kind="top-k", k=1}, {kind="rand-k", k=1}]'
    config = parse_config(small("seeds=[3, 4, 5]", f"method.0.compressor={compressors}", "method.0.stepsize=0.1"))
    seeds = {batch.case.method.compressor.kind: batch.seeds for batch in make_plan(config).batches}
    assert seeds == {"top-k": [0], "rand-k": [3, 4, 5]} and config.num_runs == 4


def test_several_problems_and_compressors_may_be_listed():
    raw = small()
    raw["problem"] = [raw["problem"], {**raw["problem"], "structure": "diagonal"}]
    raw["method"][0]["compressor"] = [{"kind": "identity"}, {"kind": "top-k", "k": [1, 2]}]
    config = parse_config(raw)
    assert (len(config.problems), len(config.methods)) == (2, 3)


# Components: tables in the table of a method, and in each other


def with_method(**fields: object) -> dict:
    """The small config with another method."""
    method = {"compressor": {"kind": "top-k", "k": 1}, "stepsize": 0.1} | fields
    return tomllib.loads(SMALL) | {"method": [method]}


def specs(**fields: object) -> list[Spec]:
    return [spec for _, spec, _ in parse_config(with_method(**fields)).methods]


def run_ids(raw: dict) -> list[str]:
    return [run.id for batch in make_plan(parse_config(raw)).batches for lane in batch.runs for run in lane]


def test_every_component_is_a_table_that_may_be_swept():
    oracle = [{"kind": "exact"}, {"kind": "gaussian-noise", "variance": [0.1, 1]}]
    found = specs(kind="ef21-sgdm", compressor={"kind": "top-k", "k": [1, 2]}, oracle=oracle, eta=[0.5, 1])
    assert len(found) == 2 * 3 * 2
    assert found[-1].flat() == {
        "kind": "ef21-sgdm",
        "compressor": "top-k",
        "compressor.k": 2,
        "oracle": "gaussian-noise",
        "oracle.variance": 1.0,
        "eta": 1.0,
        "initial": "gradient",
    }
    method = found[-1].build()
    assert (type(method.oracle), method.oracle.variance) == (GaussianNoise, 1.0)
    (partial,) = specs(kind="ef21-pp", participation={"kind": "independent", "chance": 0.5})
    assert partial.build().participation.chance == 0.5


def test_a_component_that_is_left_out_is_its_default_and_is_told():
    (omitted,), (given,) = specs(kind="ef21-sgdm"), specs(kind="ef21-sgdm", oracle={"kind": "exact"})
    assert omitted == given and omitted.flat()["oracle"] == "exact" and isinstance(omitted.build().oracle, Exact)
    assert run_ids(with_method(kind="ef21-sgdm")) == run_ids(with_method(kind="ef21-sgdm", oracle={"kind": "exact"}))
    noisy = {"kind": "gaussian-noise", "variance": 1.0}
    assert run_ids(with_method(kind="ef21-sgdm")) != run_ids(with_method(kind="ef21-sgdm", oracle=noisy))


def damped(compressor: dict) -> dict:
    return {"kind": "damped", "compressor": compressor}


def test_compressors_may_be_inside_compressors_but_not_without_end():
    scaled = {"kind": "rand-k", "k": [1, 2], "scaled": True}
    deep = {"kind": "composition", "outer": damped(scaled), "inner": [{"kind": "top-k", "k": 2}, {"kind": "identity"}]}
    found = specs(kind="ef21", compressor=deep)
    assert len(found) == 4
    assert found[0].flat()["compressor.outer.compressor.k"] == 1
    assert found[0].build().compressor.outer.compressor.k == 1
    (error,) = errors_of(with_method(kind="ef21", compressor=damped(deep)))
    assert error.startswith(
        "method[0].compressor.compressor.outer.kind: 'damped' has components, which is too deep here; accepted: "
    )
    assert "rand-k" in error and "composition" not in error


def test_errors_in_nested_tables_name_the_innermost_one():
    inner = {"kind": "top-k", "k": 1, "j": 2}
    compressor = {"kind": "composition", "outer": {"kind": "rand-k", "k": "x"}, "inner": inner}
    raw = with_method(kind="ef21-sgdm", compressor=compressor, oracle={"kind": "exact", "variance": 1}, eta="x")
    assert errors_of(raw) == [
        "method[0].compressor.outer.k: input should be a valid integer, not 'x'",
        "method[0].compressor.inner.j: unknown field; accepted: kind, k",
        "method[0].oracle.variance: unknown field; accepted: kind",
        "method[0].eta: input should be a valid number, not 'x'",
    ]
    for wrong, told in (
        ({"kind": "exat"}, "oracle.kind: unknown kind 'exat'; accepted: exact, "),  # and more, those of tests too
        ({"variance": 1.0}, "oracle: needs a kind"),
        ({"kind": 3}, "oracle.kind: unknown kind '3'"),
        ("exact", "oracle: needs a table, such as { kind = ... }, not 'exact'"),
        ({"kind": "gaussian-noise", "variance": -1.0}, "variance of the noise must be a finite number >= 0, not -1.0"),
    ):
        (error,) = errors_of(with_method(kind="ef21-sgdm", oracle=wrong))
        assert error.startswith("method[0]") and told in error


def test_a_component_that_does_not_fit_the_problem_is_told_with_its_method():
    (error,) = errors_of(with_method(kind="ef21-pp", participation={"kind": "fixed-number", "workers": 9}))
    assert error == "method[0] (ef21-pp): 9 workers cannot take part where there are 4"


def test_a_number_that_may_be_left_out():
    (omitted,), (given,) = specs(kind="diana"), specs(kind="diana", lam=0.5)
    assert omitted.flat()["lam"] is None and given.flat()["lam"] == 0.5
    assert "method[0].lam: " in errors_of(with_method(kind="diana", lam="x"))[0]
    raw = with_method(kind="diana", compressor={"kind": "rand-k", "k": 1, "scaled": True})
    (batch,) = make_plan(parse_config(raw)).batches
    assert batch.case.resolved == {"lam": pytest.approx(1 / 3)}  # 1/(1 + omega), which theory chooses
    assert make_plan(parse_config(with_method(kind="diana", lam=0.5))).batches[0].case.resolved == {}


class Base:
    """Classes to look at, out of the way of the registered ones."""


@frozen_pytree
class WithOptionalArray(Base):
    k: int = field(default_factory=lambda: 3)
    table: Array | None = None
    kind = "with-optional-array"


@frozen_pytree
class WithArray(Base):
    table: Array
    kind = "with-array"


def test_arrays_are_not_offered_to_configs():
    assert list(constructors(Base)) == ["with-optional-array"]  # an array cannot be left out of the other
    assert parameters(WithOptionalArray) == [Parameter("k", int, False, 3)]


def test_the_same_kind_below_two_bases_is_no_ambiguity():
    tables = schema().tables
    assert {"Method.ef21", "Compressor.top-k", "GradientOracle.exact", "Participation.independent"} <= set(tables)
    assert all(tag.count(".") == 1 for tag in tables if tag not in ("by-rule", "start", "clock"))


def test_the_payload_is_part_of_a_run():
    assert parse_config(small()).payload == 32
    assert run_ids(small()) == run_ids(small("payload=32")) != run_ids(small("payload=64"))
    assert errors_of(small("payload=16")) == ["payload: 16 is not accepted; accepted: 32, 64"]


def test_a_run_keeps_its_id_when_the_sweep_grows():
    def ids(*overrides: str) -> set[str]:
        return {run.id for b in make_plan(parse_config(small(*overrides))).batches for lane in b.runs for run in lane}

    few = ids("method.0.stepsize.multiple=[2, 1]")
    assert few < ids("method.0.stepsize.multiple=[1, 2, 4]", "seeds=[3, 0]")
    assert not few & ids("method.0.stepsize.multiple=[2, 1]", "rounds=6")


def test_all_errors_are_told_at_once_by_their_paths():
    raw = tomllib.loads("""
        name = "a b"
        rounds = "ten"
        recod_every = 1
        seeds = [0, -1]
        [problem]
        kind = "logistic-regresion"
        [[method]]
        kind = "ef21"
        compresor = { kind = "identity" }
        compressor = { kind = "top-k", k = [1, "a"], j = 3 }
        stepsize = { rule = "quadratic-mean", multiple = [-1, 2] }
        initial = "gradiet"
        [[method]]
        kind = "ef14"
        compressor = { kind = "topk" }
        stepsize = [0, 0.1]
        [[method]]
        kind = "gd"
    """)
    told = "\n".join(errors_of(raw))
    for expected in (
        "name: 'a b' is not accepted",
        "rounds: input should be a valid integer, not 'ten'",
        "seeds[1]: input should be greater than or equal to 0, not -1",
        "did you mean 'record_every'?",
        "problem.kind: unknown kind 'logistic-regresion'",
        "did you mean 'logistic-regression'?",
        "method[0].compresor: unknown field",
        "did you mean 'compressor'?",
        "method[0].compressor.k[1]: input should be a valid integer, not 'a'",
        "method[0].compressor.j: unknown field; accepted: kind, k",
        "method[0].stepsize.multiple[0]: input should be greater than 0, not -1",
        "method[0].initial: 'gradiet' is not accepted; accepted: gradient, compressed, zero; did you mean 'gradient'?",
        "method[1].compressor.kind: unknown kind 'topk'; accepted: ",  # tests of other modules may register more
        "did you mean 'top-k'?",
        "method[1].stepsize[0]: input should be greater than 0, not 0",
        "method[2].stepsize: is required",
    ):
        assert expected in told


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("method.0.compressor.k=4", "k = 4 is larger than the dimension d = 3"),
        ("method.0.compressor.k=0", "k must be a whole number >= 1, not 0"),
        ("method.0.stepsize.rule=quadratic-men", "did you mean 'quadratic-mean'?"),
        ("problem.smoothness_ratio=3", "lies between 1 and sqrt(4) = 2, not at 3"),
        ("problem.workers=0", "workers must be at least 1, not 0"),
        ("problem.workers=true", "problem.workers: input should be a valid integer, not True"),
        ("problem.profile=spread", "accepted: one-large, geometric"),
        ("method.0.stepsize=nan", "method[0].stepsize"),
        ("rounds=0", "rounds: input should be greater than or equal to 1, not 0"),
        ("name=../elsewhere", "name: '../elsewhere' is not accepted"),
        ("problem.dim=200000", "above the limit of 4 GiB"),
        (f"problem.workers={10**12}", "above the limit of 4 GiB"),
        ("rounds=2000000000", "raise record_every"),
        ("seeds=[3, 3]", "seeds: 3 is listed 2 times; accepted is once"),
        ("method.0.stepsize.multiple=[1, 1.0]", "the same run 2 times"),
        ("seeds=[]", "seeds: needs at least one entry"),
        ("method=[]", "method: needs at least one entry"),
        ("problem=3", "problem: needs a table"),
        ("method.0.compressor=top-k", "method[0].compressor: needs a table"),
        ("precision=float16", "precision: 'float16' is not accepted; accepted: float64, float32"),
    ],
)
def test_one_mistake_is_named(override, expected):
    assert expected in "\n".join(errors_of(small(override)))


def test_a_rule_whose_theorem_does_not_apply_is_an_error_in_words():
    raw = small("method.0.compressor={kind='rand-k', k=1, scaled=true}")
    assert errors_of(raw) == [
        "method[0] (ef21): the rule 'quadratic-mean' does not apply to quadratic with rand-k: "
        "it needs a contractive compressor (one with an alpha)"
    ]
    logistic = {"kind": "logistic-regression", "dataset": "breast-cancer-wisconsin", "workers": 10}
    raw = small("method.0.stepsize.rule=arithmetic-mean-pl") | {"problem": logistic}
    assert "it needs a constant mu with which f satisfies the Polyak-Lojasiewicz inequality" in errors_of(raw)[0]


def test_an_explosion_is_refused_before_it_is_expanded():
    raw = small()
    raw["problem"] |= {"seed": list(range(10**4)), "workers": list(range(4, 10**4)), "dim": list(range(2, 1000))}
    assert f"accepted are at most {MOST_RUNS:,}" in errors_of(raw)[0]


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("rounds=7", ("rounds",), 7),
        ("problem.dim=[3, 4]", ("problem", "dim"), [3, 4]),
        ("method[0].compressor.k=2", ("method", 0, "compressor", "k"), 2),
        ("method.0.kind=ef14", ("method", 0, "kind"), "ef14"),
        ("start.kind=normal", ("start", "kind"), "normal"),
    ],
)
def test_overrides_merge_into_the_raw_config(override, path, value):
    raw, found = tomllib.loads(SMALL), small(override)
    for part in path:
        found = found[part]
    assert found == value
    assert small() == raw  # the original is left alone


@pytest.mark.parametrize("override", ["rounds", "=3", ".=1", "method.5.k=1", "rounds.x=1", "method.first.k=1"])
def test_an_override_that_leads_nowhere_is_refused(override):
    with pytest.raises(InvalidInput, match="--set"):
        small(override)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"rounds = = 3", "not valid TOML"), (b"\xff\xfe", "UTF-8"), (None, "cannot read the config")],
)
def test_a_file_that_is_not_toml_is_refused(tmp_path, content, expected):
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=expected):
        read_raw(path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["rounds", "seeds", "problem", "method", "start", "name", "plugins", "payload", "x"]),
    value=plain,
)
def test_no_value_anywhere_ends_in_another_exception(path, value):
    try:
        parse_config({**tomllib.loads(SMALL), path: value})
    except InvalidInput as error:
        assert str(error)


def test_a_written_config_reads_back_equal():
    raw = small("problem.smoothness_ratio=[1.0, 2.0]", "start.kind=normal")
    assert tomllib.loads(write_toml(raw)) == raw


def test_large_sweeps_are_split_into_batches_that_fit():
    stepsizes = [0.001 * (1 + i) for i in range(30)]
    drawing = "method.0.compressor.kind=rand-k"
    config = parse_config(small(f"seeds={list(range(100))}", f"method.0.stepsize={stepsizes}", drawing))
    batches = make_plan(config).batches
    assert all(len(batch.stepsizes) * len(batch.seeds) <= LARGEST_BATCH for batch in batches)
    assert len({run.id for batch in batches for lane in batch.runs for run in lane}) == config.num_runs == 3000
    assert len({batch.block.key for batch in batches}) == len(batches)
