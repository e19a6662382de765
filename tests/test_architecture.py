"""The house: imports go one way, and starting the command line is cheap."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# each package may import itself and those before it
ORDER = ("problems", "simulator", "experiments")


def modules(package: str) -> dict[str, Path]:
    """Dotted names of a package's modules with their files."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def own_imports(file: Path) -> set[str]:
    """Dotted names of this project's modules that the file imports at its top level or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ORDER}


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_to_its_left(package):
    allowed = ORDER[: ORDER.index(package) + 1]
    for name, file in modules(package).items():
        wrong = {used for used in own_imports(file) if used.split(".")[0] not in allowed}
        assert not wrong, f"{name} imports {wrong}"


@pytest.mark.parametrize("package", ORDER)
def test_a_package_has_no_circles(package):
    known = modules(package)
    graph = {name: imported_first(name, own_imports(file) & set(known)) for name, file in known.items()}
    assert set(graph) <= set(TopologicalSorter(graph).static_order())  # a circle raises CycleError


def imported_first(name: str, used: set[str]) -> set[str]:
    """What has to be imported before a module: what it uses, and the folders of that, unless it lies in them itself."""
    folders = {".".join(parts[:end]) for parts in (each.split(".") for each in used) for end in range(2, len(parts))}
    return {each for each in used | folders if each != name and not name.startswith(f"{each}.")}


def test_a_circle_through_a_folder_is_one():
    used = {"experiments.figures.critical"}
    assert imported_first("experiments.exponents", used) == {"experiments.figures", "experiments.figures.critical"}
    assert imported_first("experiments.figures.named", used) == used


def test_the_check_of_directions_can_fail(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text("def f():\n    from experiments.cli import main\n")
    assert own_imports(file) == {"experiments.cli", "experiments.cli.main"}


def test_help_does_not_import_jax():
    code = "import sys, experiments.cli as c; c.main(['--help'], standalone_mode=False); sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_methods_are_short_files():
    lines = sorted(len(file.read_text().splitlines()) for file in (ROOT / "simulator" / "methods").glob("[a-z]*.py"))
    assert lines[len(lines) // 2] < 150
