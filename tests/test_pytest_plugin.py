"""The pytest plugin: configs are collected where they are named, claims are items, failures say all that is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

# A pytest run inside this process forgets the modules that it is the first to import.
import experiments.claims
import experiments.execute  # noqa: F401

pytest_plugins = ["pytester"]

CONFIG = """
name = "small"
rounds = 2000000
problem = { kind = "quadratic", workers = 4, dim = 3 }
method = [{ kind = "gd", stepsize = { rule = "smooth", multiple = [1, 0.5] } }]

[[expect]]
kind = "verdict"
method = "gd"
theorem = "smooth"
verdict = "violated"

[[expect]]
kind = "exponent"
against = "multiple"
between = [-1.2, -0.8]

[reduced]
rounds = 30
"""


@pytest.fixture
def small(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config, which is also the root of a project of its own."""
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    (pytester.path / "configs").mkdir()
    path = pytester.path / "configs" / "small.toml"
    path.write_text(CONFIG)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return path


def collected(pytester: pytest.Pytester, *arguments: object) -> list[str]:
    done = pytester.runpytest_inprocess("--collect-only", "-q", *arguments)
    return [line for line in done.outlines if "::" in line]


CLAIMS = [
    "configs/small.toml::gd/smooth",
    "configs/small.toml::gd/smooth-pl",
    "configs/small.toml::exponent of target_round against multiple",
]


def test_a_config_is_collected_if_it_is_named(pytester, small):
    assert collected(pytester, small) == CLAIMS
    assert collected(pytester, f"{small}::gd/smooth") == CLAIMS[:1]
    assert collected(pytester, "configs") == collected(pytester) == []


def test_a_config_is_collected_if_a_glob_finds_it_in_what_pytest_walks(pytester, small):
    pytester.makeini("[pytest]\nefsim_configs =\n  configs/*.toml\n")
    (pytester.path / "other.toml").write_text("not a config")
    (pytester.path / "tests").mkdir()
    assert collected(pytester, "configs") == collected(pytester) == CLAIMS
    assert collected(pytester, "tests") == []


def test_globs_that_are_none_are_a_usage_error(pytester, small):
    pytester.makeini("[pytest]\nefsim_configs = /configs/*.toml\n")
    done = pytester.runpytest_inprocess("configs")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "efsim_configs takes globs relative to" in done.stderr.str() + done.stdout.str()


def test_a_failure_says_claim_reference_numbers_and_how_to_repeat_it(pytester, small):
    done = pytester.runpytest_inprocess(small, "--efsim-reduced", "-ra")
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines(
        [
            "claim:      the verdict on smooth of gd is 'violated'",
            "reference:  *",
            "NOT MET:    holds: * rounds judged, smallest slack *, largest measured / bound *",
            "reproduce:  efsim run configs/small.toml --reduced --out results/small-reduced; efsim verify "
            "results/small-reduced",
            "reference:  none given in the config",
            "undecided:  2 of 2 runs at every choice have not reached |grad f(x)|^2 <= 1e-06 * in 30*",
            "FAILED configs/small.toml::gd/smooth - *claim: *",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    done.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_what_is_undecided_is_skipped_only_if_that_is_allowed(pytester, small):
    small.write_text(CONFIG.replace('verdict = "violated"', ""))
    done = pytester.runpytest_subprocess(
        small, "--efsim-reduced", "--efsim-allow-undecided", "-ra", "-n", "2", "--dist", "loadfile"
    )
    done.assert_outcomes(passed=2, skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED *undecided: 2 of 2 runs at every choice have not reached*"])


def test_mistakes_in_a_config_are_told_without_a_traceback(pytester, small):
    small.write_text(CONFIG.replace("workers = 4", "wrokers = 4").replace("[-1.2, -0.8]", "[1]"))
    done = pytester.runpytest_inprocess(small)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        [
            "configs/small.toml cannot be run:",
            "problem.wrokers: unknown field; *did you mean 'workers'?",
            "expect[[]1].between: must be [[]low, high[]] with low < high, not [[]1[]]",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")


def raising(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(config: object, folder: object) -> None:
        raise error

    monkeypatch.setattr("experiments.execute.run_sweep", refuse)


def test_a_mistake_that_shows_when_the_sweep_is_computed(pytester, small, monkeypatch):
    from experiments.execute import Failure, SweepFailed
    from problems import InvalidInput

    failed = SweepFailed(Path("there"), [Failure("batch 1", "no space left", "")], 2)
    for error in (InvalidInput("no space left"), failed):
        raising(monkeypatch, error)
        done = pytester.runpytest_inprocess(small)
        done.assert_outcomes(errors=3)
        done.stdout.fnmatch_lines(["*no space left"])
        done.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_what_interrupts_a_sweep_interrupts_the_tests(pytester, small, monkeypatch):
    from experiments.interrupts import Interrupted

    raising(monkeypatch, Interrupted(2))
    done = pytester.runpytest_inprocess(small, no_reraise_ctrlc=True)
    assert done.ret == pytest.ExitCode.INTERRUPTED


def test_data_that_are_not_there_are_a_reason_to_skip(pytester, small, monkeypatch):
    monkeypatch.setenv("EFSIM_DATA", str(pytester.path))
    monkeypatch.setattr("problems.datasets._cache_folder", lambda: pytester.path)
    data = '{ kind = "logistic-regression", dataset = ["breast-cancer-wisconsin", "a1a"], workers = 4 }'
    small.write_text(CONFIG.replace('{ kind = "quadratic", workers = 4, dim = 3 }', data))
    done = pytester.runpytest_inprocess(small, "-ra")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*not on this machine, nor in the folder EFSIM_DATA: a1a"])


def test_the_plugin_is_light_where_no_config_is_collected(pytester):
    code = "import sys, experiments.pytest_plugin; print({'jax', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
