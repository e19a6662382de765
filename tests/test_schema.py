"""The JSON Schema of configs and docs/config.md: they accept and refuse what `parse_config` does."""

import json
import re
from pathlib import Path

import pytest
from command_line import SMALL, efsim, refused
from jsonschema import Draft202012Validator

from experiments.catalogue import shipped
from experiments.config import parse_config
from experiments.config_models import schema
from experiments.config_reference import config_reference
from experiments.expectations import EXPECTATIONS
from experiments.raw_config import apply_overrides, read_raw, reduced
from experiments.schema import json_schema
from experiments.spec import COMPONENTS, constructors, parameters
from problems import InvalidInput, Problem
from simulator import Method

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
EF21 = """
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = "quadratic-mean" }
[[expect]]
kind = "exponent"
against = "L_QM/L_AM"
between = [0.9, 1.1]
"""


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = json_schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL + EF21)
    return read_raw(path)


def places(error) -> set[str]:
    """Where an error is: of a union that has a table of the kind that is given, where that table is wrong."""
    branches = {inner.schema_path[0]: [] for inner in error.context}
    for inner in error.context:
        branches[inner.schema_path[0]].append(inner)
    meant = [inside for inside in branches.values() if not any(map(of_another_kind, inside))]
    if len(meant) == 1:
        return set().union(*map(places, meant[0]))
    return {"".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")}


def of_another_kind(error) -> bool:
    """Whether it says that what is given is not what the branch of the union is about."""
    path = list(error.relative_path)
    wrong_kind = path == ["kind"] or (error.validator == "required" and "'kind'" in error.message)
    wrong_type = not path and error.validator == "type"
    nothing_meant = not path and error.validator == "oneOf" and all(map(of_another_kind, error.context))
    return wrong_kind or wrong_type or nothing_meant


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configs_are_valid_whole_and_reduced(path, validator):
    raw = read_raw(path)
    assert not list(validator.iter_errors(raw)) and not list(validator.iter_errors(reduced(raw)))


VALID = [
    "seeds=[0, 1]",
    "seeds=3",
    "problem.dim=[4, 5]",
    "problem=[{kind='worst-case-quadratic'}, {kind='quadratic', workers=4, dim=3}]",
    "method.0.compressor.k=[1, 2]",
    "method.0.compressor=[{kind='sign'}, {kind='top-k', k=[1, 2]}]",
    "method.0.compressor={kind='composition', outer={kind='sign'}, inner=[{kind='top-k', k=1}, {kind='sign'}]}",
    "method.0.stepsize=0.1",
    "method.0.stepsize=1",
    "method.0.stepsize=[0.1, {rule=['quadratic-mean', 'arithmetic-mean'], multiple=[1, 2.5]}]",
    "method=[{kind='diana', compressor={kind='rand-k', k=1, scaled=true}, stepsize=0.1, lam=0.5}]",
    "method=[{kind='ef21-sgdm', compressor={kind='sign'}, oracle={kind='gaussian-noise', variance=1}, stepsize=0.1}]",
    "reduced={rounds=3, method.0.compressor.k=2}",
    "start={kind='normal', seed=3}",
    "payload=64",
    "expect=[]",
]


@pytest.mark.parametrize("override", VALID)
def test_what_is_accepted_is_valid(override, raw, validator):
    given = apply_overrides(raw, [override])
    parse_config(given)
    assert not list(validator.iter_errors(given))


# what is wrong in structure, and where that is told
BROKEN = [
    ("recod_every=1", ""),
    ("rounds=0", "rounds"),
    ("rounds=ten", "rounds"),
    ("rounds=true", "rounds"),
    ("rounds=2147483648", "rounds"),
    ("name=a b", "name"),
    ("name=3", "name"),
    ("seeds=[]", "seeds"),
    ("seeds=[0, -1]", "seeds[1]"),
    ("seeds=4294967296", "seeds"),
    ("target=1", "target"),
    ("precision=float16", "precision"),
    ("payload=16", "payload"),
    ("plugins=x.py", "plugins"),
    ("start.kind=ones", "start.kind"),
    ("start.scale=0", "start.scale"),
    ("problem=3", "problem"),
    ("problem=[]", "problem"),
    ("problem.kind=quadratc", "problem"),
    ("problem.dim=x", "problem.dim"),
    ("problem.dim=[4, true]", "problem.dim[1]"),
    ("problem.dims=4", "problem"),
    ("problem.profile=spread", "problem.profile"),
    ("problem={kind='quadratic', workers=3}", "problem"),
    ("method=[]", "method"),
    ("method={kind='gd', stepsize=0.1}", "method"),
    ("method=[{kind='gd'}]", "method[0]"),
    ("method.0.kind=ef22", "method[0]"),
    ("method.0.initial=gradiet", "method[0].initial"),
    ("method.0.compressor=top-k", "method[0].compressor"),
    ("method.0.compressor.k=[1, 'a']", "method[0].compressor.k[1]"),
    ("method.0.compressor.j=1", "method[0].compressor"),
    ("method.0.compressor={k=1}", "method[0].compressor"),
    ("method.0.compressor={kind='damped', compressor={kind='top-k', k='x'}}", "method[0].compressor.compressor.k"),
    ("method.0.stepsize=0", "method[0].stepsize"),
    ("method.0.stepsize={multiple=2}", "method[0].stepsize"),
    ("method.0.stepsize.multiple=[1, -1]", "method[0].stepsize.multiple[1]"),
    ("expect.0.kind=exponents", "expect[0]"),
    ("expect=[{method='ef21', theorem='arithmetic-mean'}]", "expect[0]"),
    ("expect.0.between=[1]", "expect[0].between"),
    ("reduced=3", "reduced"),
]


@pytest.mark.parametrize(("override", "where"), BROKEN)
def test_what_is_wrong_in_structure_is_refused_in_the_same_place(override, where, raw, validator):
    given = apply_overrides(raw, [override])
    with pytest.raises(InvalidInput) as refusal:
        parse_config(given)
    assert where in re.split(r"[: ]", str(refusal.value))[0]
    (error,) = validator.iter_errors(given)
    assert places(error) == {where}


def test_the_table_of_broken_configs_can_fail(raw, validator):
    """The config that they are made from is valid, so that what makes them invalid is their override."""
    assert not list(validator.iter_errors(raw)) and parse_config(raw)


def test_tables_say_what_they_are_and_fields_what_they_default_to():
    made = json_schema()
    quadratic, sgdm = made["$defs"]["quadratic"], made["$defs"]["ef21-sgdm"]
    assert quadratic["description"] == "Random quadratics that have the prescribed constants exactly."
    assert quadratic["properties"]["pl_constant"]["description"] == "mu > 0." and quadratic["title"] == "quadratic"
    assert quadratic["properties"]["pl_constant"]["default"] == 0.01
    assert sgdm["properties"]["oracle"]["default"] == {"kind": "exact"}
    assert made["properties"]["rounds"]["description"] and made["properties"]["start"]["default"]["kind"] == "zeros"
    assert all("description" in about for about in made["properties"].values())
    assert set(schema().whole.model_fields) == set(made["properties"])


PLUGIN = """
from problems import frozen_pytree
from simulator import EF21

@frozen_pytree
class Renamed(EF21):
    \"\"\"EF21 by another name.\"\"\"
    kind = "renamed-ef21"
"""


def test_a_plugin_is_part_of_the_schema(tmp_path):
    file = tmp_path / "renamed.py"
    file.write_text(PLUGIN)
    made = json.loads(efsim("schema", "--plugin", file).stdout)
    assert made["$defs"]["renamed-ef21"]["description"] == "EF21 by another name."
    assert {"$ref": "#/$defs/renamed-ef21"} in made["properties"]["method"]["items"]["oneOf"]
    assert "renamed-ef21" not in config_reference()
    assert "cannot" in refused("schema", "--plugin", tmp_path / "none.py")


def test_the_committed_reference_is_up_to_date():
    committed = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert committed == config_reference(), "`make docs` writes it"


def test_every_field_of_every_table_is_in_the_reference():
    text = config_reference()
    for base in (Problem, Method, *COMPONENTS):
        for kind, constructor in shipped(constructors(base)).items():
            assert f"[{kind}](catalogue.md#{kind})" in text
            assert all(f"`{parameter.name}`" in text for parameter in parameters(constructor)), kind
    assert all(f"`{name}`" in text for model in EXPECTATIONS.values() for name in model.model_fields)
    assert text.count("\n## ") == 12
