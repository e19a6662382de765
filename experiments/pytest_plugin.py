"""A pytest plugin: the claims of experiments are tests.

A TOML config that is named on the command line, or found by a glob of the option `efsim_configs`, is a file of tests
with an item for every claim: `configs/heterogeneity.toml::ef21/arithmetic-mean`. Its sweep is computed once, before the
first of them is tested.

pytest loads this module wherever efsim is installed, so all that takes time to import is imported when a config is
collected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from experiments.claims import Claim, Findings, Outcome
    from experiments.config import Config

__all__: list[str] = []

FOUND = pytest.StashKey[frozenset[Path]]()  # the configs that `efsim_configs` means


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line and of the ini file."""
    group = parser.getgroup("efsim", "experiments as tests")
    group.addoption(
        "--efsim-reduced",
        action="store_true",
        help="Run configs at the size of their table [reduced], if they have one.",
    )
    group.addoption(
        "--efsim-allow-undecided", action="store_true", help="Skip a claim that is undecided instead of failing it."
    )
    parser.addini("efsim_configs", "Globs of configs whose claims are tests, relative to rootdir.", "linelist", [])


def pytest_configure(config: pytest.Config) -> None:
    """Find the configs that the globs mean."""
    globs = config.getini("efsim_configs")
    try:
        config.stash[FOUND] = frozenset(path for glob in globs for path in config.rootpath.glob(glob))
    except (ValueError, NotImplementedError) as error:
        raise pytest.UsageError(
            f"efsim_configs takes globs relative to {config.rootpath}, not {globs}: {error}"
        ) from error


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ConfigFile | None:
    """A config that is named on the command line or found by a glob."""
    if file_path.suffix != ".toml":
        return None
    if parent.session.isinitpath(file_path) or file_path in parent.config.stash[FOUND]:
        return ConfigFile.from_parent(parent, path=file_path)
    return None


class ConfigFile(pytest.File):
    """A config; its sweep is computed into a temporary folder when the first of its claims is tested."""

    findings: Findings

    def collect(self) -> Iterator[ClaimItem]:
        from experiments.claims import claims_of_plan
        from experiments.plan import make_plan
        from problems import InvalidInput

        try:
            config = self._read()
            _skip_without(_absent_data(config))
            claims = claims_of_plan(make_plan(config))
        except InvalidInput as error:
            raise self.CollectError(f"{self.nodeid} cannot be run:\n{error}") from error
        for claim in claims:
            yield ClaimItem.from_parent(self, name=claim.name, claim=claim)

    def _read(self) -> Config:
        from experiments.config import parse_config
        from experiments.raw_config import read_raw, reduced

        raw = read_raw(self.path)
        return parse_config(reduced(raw) if self.config.getoption("efsim_reduced") else raw)

    def setup(self) -> None:
        """Compute the sweep. pytest remembers what is raised here, for all items."""
        from experiments.claims import Findings
        from experiments.execute import SweepFailed, run_sweep
        from experiments.interrupts import Interrupted
        from experiments.verdicts import judge
        from problems import InvalidInput

        folder = TemporaryDirectory(prefix="efsim-")
        self.addfinalizer(folder.cleanup)
        try:
            results = run_sweep(self._read(), Path(folder.name) / "results")
            self.findings = Findings(results, judge(results))
        except Interrupted as error:
            raise KeyboardInterrupt from error  # it is pytest that is to stop
        except (InvalidInput, SweepFailed) as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    @property
    def command(self) -> str:
        """What repeats the sweep and its verdicts, from pytest's root folder."""
        reduced = self.config.getoption("efsim_reduced")
        folder = f"results/{self.path.stem}" + ("-reduced" if reduced else "")
        run = f"efsim run {quote(self.nodeid)}{' --reduced' if reduced else ''} --out {quote(folder)}"
        return f"{run}; efsim verify {quote(folder)}"


def _absent_data(config: Config) -> list[str]:
    """The data sets of the config that are not on this machine; collecting tests downloads none."""
    from problems.datasets import dataset_infos

    absent = {info.name for info in dataset_infos() if info.found in ("download", "only through EFSIM_DATA")}
    return sorted(absent & {str(problem.parameters.get("dataset")) for problem in config.problems})


def _skip_without(data: Iterable[str]) -> None:
    names = ", ".join(data)
    if names:
        pytest.skip(f"not on this machine, nor in the folder EFSIM_DATA: {names}", allow_module_level=True)


class ClaimItem(pytest.Item):
    """A claim of a config."""

    parent: ConfigFile  # type: ignore[assignment]

    def __init__(self, *, claim: Claim, **options: Any) -> None:
        super().__init__(**options)
        self.claim = claim

    def runtest(self) -> None:
        from experiments.claims import Status, check

        outcome = check(self.claim, self.parent.findings)
        if outcome.status is Status.UNDECIDED and self.config.getoption("efsim_allow_undecided"):
            pytest.skip(f"undecided: {outcome.reason}")
        if outcome.status is not Status.MET:
            pytest.fail(_told(outcome, self.parent.command), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.nodeid


def _told(outcome: Outcome, command: str) -> str:
    return f"{outcome}\n{'reproduce:':<12}{command}"
