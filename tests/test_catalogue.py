"""docs/catalogue.md says what the code says."""

import re
from pathlib import Path

import pytest

from experiments.catalogue import _table, catalogue
from experiments.descriptions import field_texts, properties, stepsize_bound
from problems.registry import load_plugin, registered
from simulator import Compressor, GradientOracle, Method, Participation, RandK, TopK

COMMITTED = Path(__file__).parent.parent / "docs" / "catalogue.md"


@pytest.fixture(scope="module")
def text() -> str:
    return catalogue()


def test_the_committed_catalogue_is_up_to_date(text):
    assert COMMITTED.read_text(encoding="utf-8") == text, "`make docs` writes it"


def test_every_class_of_the_packages_has_a_section(text):
    sections = re.findall(r"^### (.*)$", text, re.MULTILINE)
    for base in (Method, Compressor, GradientOracle, Participation):
        shipped = {kind for kind, cls in registered(base).items() if cls.__module__.startswith("simulator.")}
        assert shipped <= set(sections) and shipped


def test_every_theorem_has_a_row_with_its_formula(text):
    for cls in (cls for cls in registered(Method).values() if cls.__module__.startswith("simulator.")):
        for theorem in cls.theorems:
            assert f"| {theorem.name} | `{stepsize_bound(theorem)}` |".replace("|f", r"\|f") in text


def test_plugins_are_left_out(tmp_path):
    code = "from problems import frozen_pytree\nfrom simulator import Identity\n\n"
    code += '@frozen_pytree\nclass Extra(Identity):\n    kind = "extra"\n'
    (tmp_path / "extra.py").write_text(code)
    load_plugin(tmp_path / "extra.py")
    assert "extra" in registered(Compressor) and "### extra" not in catalogue()


def test_the_markdown_is_whole(text):
    """Fences come in pairs, and every row of a table has as many cells as its header."""
    assert text.count("```") % 2 == 0
    prose = re.sub(r"```text\n.*?```", "", text, flags=re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert max(map(len, re.findall(r"```text\n(.*?)```", text, re.DOTALL)[0].splitlines())) <= 120


def test_a_bar_in_a_cell_is_escaped():
    assert _table(("a", "b"), [("|x|", "y")]) == "| a | b |\n| --- | --- |\n| \\|x\\| | y |\n"


def test_fields_are_told_as_a_config_writes_them():
    assert field_texts(RandK)[:2] == ["k: whole number", "scaled: true | false = false"]
    sgdm = field_texts(registered(Method)["ef21-sgdm"])
    assert 'oracle: gradient oracle = { kind = "exact" }' in sgdm and "compressor: compressor" in sgdm
    assert "lam: number or none" in field_texts(registered(Method)["diana"])


def test_properties_say_what_is_declared_and_what_depends_on_fields():
    assert properties(TopK) == "deterministic, positively homogeneous, sparsifier"
    assert properties(RandK) == "random, positively homogeneous; its fields decide whether sparsifier"
