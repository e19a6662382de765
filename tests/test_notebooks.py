"""The notebooks: what is stored is fit to be read, and everything runs again from top to bottom, at reduced size."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from executing_notebooks import FOLDER, NOTEBOOKS, PARAMETERS, executed, reduced, stripped

MOST_BYTES = 400_000  # of a notebook with its figures
MOST_LINES = 15  # of a cell: logic lives in the packages
OF_A_MACHINE = re.compile(r"(/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\)")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def stored(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(outputs: list[Any]) -> str:
    """What a reader sees of outputs, but for figures."""
    data = [item for output in outputs for name, item in output.get("data", {}).items() if name != "image/png"]
    return "\n".join([*data, *(output.get("text", "") for output in outputs)])


def troubles(outputs: list[Any]) -> list[Any]:
    """Errors, and whatever went to standard error."""
    return [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_they_are_numbered():
    assert [path.stem[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 12


@each_notebook
def test_what_is_stored_is_valid_and_small(path):
    nbformat.validate(stored(path))
    assert path.stat().st_size < MOST_BYTES


@each_notebook
def test_what_is_stored_was_executed_from_top_to_bottom_without_trouble(path):
    cells = code(stored(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs and not troubles(outputs)


@each_notebook
def test_what_is_stored_says_nothing_of_machine_and_time(path):
    notebook = stored(path)
    assert not OF_A_MACHINE.search(texts([output for cell in code(notebook) for output in cell.outputs]))
    assert nbformat.writes(notebook) == nbformat.writes(stripped(stored(path)))


@each_notebook
def test_cells_are_short(path):
    assert max(len(cell.source.splitlines()) for cell in code(stored(path))) <= MOST_LINES


@each_notebook
def test_what_is_stored_is_of_full_size(path):
    (cell,) = [cell for cell in code(stored(path)) if PARAMETERS in cell.metadata.get("tags", [])]
    assert re.search(r"^REDUCED = False\b", cell.source, re.MULTILINE)
    assert "REDUCED = True" in reduced(nbformat.from_dict({"cells": [cell]})).cells[0].source


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the notebooks, beside the configs; results come beside it, and are shared."""
    root = tmp_path_factory.mktemp("notebooks")
    (root / "configs").symlink_to(FOLDER.parent / "configs")
    (root / "notebooks").mkdir()
    return root / "notebooks"


@pytest.mark.filterwarnings("default")  # a kernel's own warnings are not ours
@each_notebook
def test_a_notebook_runs(path, workplace):
    done = executed(reduced(stored(path)), workplace)
    assert not troubles([output for cell in code(done) for output in cell.outputs])
    kinds = [[output.output_type for output in cell.outputs] for cell in code(done)]
    assert kinds == [[output.output_type for output in cell.outputs] for cell in code(stored(path))]
