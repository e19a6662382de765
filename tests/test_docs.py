"""Every page shows what works, and the site can be built from all of them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError

import click
import pytest
import yaml
from command_line import efsim
from pages import PAGES, ROOT, SAMPLE, Block, Reader, blocks_of

from problems import InvalidInput


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "results"
    assert efsim("run", ROOT / SAMPLE, "--reduced", "--out", folder).exit_code == 0
    return folder


@pytest.fixture
def reader(sample, tmp_path, monkeypatch, pytestconfig) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    reader = Reader(sample, pytestconfig)
    yield reader
    reader.leave()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_works(page, reader):
    for block in blocks_of(page):
        reader.do(block)
    if page.name == "README.md":
        _check_the_readme(reader)


def _check_the_readme(reader: Reader) -> None:
    shown = vars(reader.module)
    assert shown["trace"].grad_norm_sq.shape == (2, 201)
    assert shown["trace"].verdicts["arithmetic-mean"].violations.tolist() == [0, 0]
    config = next(block.text for block in blocks_of(ROOT / "README.md") if block.language == "toml")
    assert tomllib.loads(config) == tomllib.loads((ROOT / SAMPLE).read_text())


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "efsim verify results/mine --nothing"),
        ("sh", "efsim verify results/nothing"),
        ("sh", "efsim run configs/catalogue.toml --dask --nothing"),
        ("sh", "efsim nothing --dask"),
        ("sh", "efsim verify results/mine  # exit status 1"),
        ("sh", "pytest configs/heterogeneity.toml --efsim-nothing"),
        ("sh", "make nothing"),
        ("sh", "pip install 'efsim[nothing]'"),
        ("sh", "nothing"),
        ("bash", "if"),
        ("python", "assert False"),
        ("toml", "rounds = 0"),
        ("toml", "[tool.pytest.ini_options]\nnothing = 1"),
        ("yaml", "{"),
        ("nothing", ""),
    ],
)
def test_what_is_not_so_is_noticed(language, text, reader):
    with pytest.raises(
        (AssertionError, click.ClickException, InvalidInput, KeyError, ValueError, yaml.YAMLError, CalledProcessError)
    ):
        reader.do(Block("", language, text))


# What each page's plugin would be with a false claim: its file, what it says, and what it must not say.
FALSE = {
    "add-a-method": ("server_compression.py", "1 / c.smoothness", "4 / c.smoothness"),
    "add-a-compressor": ("grid.py", "1 - (dim - 1) / (4 * self.levels**2)\n", "1 - 1e-4\n"),
    "add-a-problem": ("pseudo_huber.py", "return self.weights\n", "return self.weights / 16\n"),
    "add-a-theorem": ("gd_distance.py", "stepsize * c.strong_convexity", "3 * stepsize * c.strong_convexity"),
}


@pytest.mark.parametrize("name", FALSE)
def test_a_false_claim_in_a_pages_plugin_is_violated(name, reader):
    file, true, false = FALSE[name]
    blocks = [block for block in blocks_of(ROOT / "docs" / f"{name}.md") if block.note.startswith("file: ")]
    assert true in blocks[0].text
    for block in blocks:
        reader.do(block._replace(text=block.text.replace(true, false)))
    (config,) = Path().glob("*.toml")
    assert efsim("run", config, "--out", "results").exit_code == 0
    done = efsim("verify", "results")
    assert done.exit_code == 1 and "VIOLATED" in done.stdout and Path(file).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_images_are_there(page):
    text = page.read_text(encoding="utf-8")
    assert all((page.parent / path).is_file() for path in re.findall(r"!\[.*?\]\((.*?)\)", text))


def site(pages: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does."""
    recipe = re.search(r"-m sphinx (.*) docs build/docs", (ROOT / "Makefile").read_text())
    assert recipe
    options = recipe[1].replace("build/", f"{out}/").split()
    command = [sys.executable, "-m", "sphinx", *options, str(pages), str(out / "html")]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"})


def test_the_site_is_built_without_a_warning(tmp_path):
    done = site(ROOT / "docs", tmp_path)
    assert done.returncode == 0, done.stderr
    concepts = (tmp_path / "html" / "concepts.html").read_text(encoding="utf-8")
    assert "<math" in concepts and "$" not in re.sub(r"<(code|pre|script).*?</\1>", "", concepts, flags=re.DOTALL)


def test_broken_links_are_errors(tmp_path):
    pages, links = tmp_path / "pages", ["[there](nowhere.md)", "[there](#nowhere)", "{py:func}`simulator.nothing`"]
    pages.mkdir()
    for file in ("conf.py", "site.css"):
        shutil.copy(ROOT / "docs" / file, pages)
    (pages / "index.md").write_text("# Page\n\n" + "\n\n".join(links) + "\n")
    done = site(pages, tmp_path)
    assert done.returncode != 0 and all(f"index.md:{line}: WARNING" in done.stderr for line in (3, 5, 7)), done.stderr


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["title"].startswith("efsim")
    assert citation["authors"] == [{"name": "The efsim developers"}]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year"} <= set(reference)
        assert all({"family-names", "given-names"} == set(author) for author in reference["authors"])
