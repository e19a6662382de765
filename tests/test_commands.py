"""Comfort: documents for machines, colours, figures by name, reports, completion, pipes; and their mistakes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from command_line import SMALL, computed, efsim, refused, written

from experiments.cli import main
from experiments.colour import coloured, visible
from experiments.commands.output import plain
from experiments.evidence import Standard
from experiments.figures import FIGURES, FORMATS
from experiments.tables import render

ROOT = Path(__file__).parent.parent
METHODS = """
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = "arithmetic-mean", multiple = [1, 1000] }
[[expect]]
kind = "verdict"
method = "ef21"
theorem = "arithmetic-mean"
[[expect]]
kind = "verdict"
method = "ef21"
theorem = "quadratic-mean"
verdict = "violated"
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return written(tmp_path_factory, SMALL.replace("2.5", "1.0") + METHODS)


@pytest.fixture(scope="module")
def results(config, tmp_path_factory) -> Path:
    return computed(tmp_path_factory, config)


# --- documents for machines -----------------------------------------------------------------------------------------


def document(*arguments: object, status: int = 0):
    done = efsim(*arguments, "--json")
    assert done.exit_code == status
    return json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_verify_as_a_document_has_verdicts_claims_and_what_its_status_means(results):
    found = document("verify", results, status=1)
    assert (found["status"], found["meaning"]) == (1, "a claim does not hold")
    assert efsim("verify", results).exit_code == 1
    by_name = {verdict["theorem"]: verdict for verdict in found["verdicts"]}
    assert by_name["arithmetic-mean"]["judgement"] == "holds" and by_name["arithmetic-mean"]["controls"] is None
    assert by_name["arithmetic-mean"]["smallest_slack"] > 0 and "fitted" in by_name["arithmetic-mean"]
    claims = {claim["name"]: claim for claim in found["claims"]}
    assert claims["ef21/quadratic-mean"]["status"] == "not met" and claims["ef21/quadratic-mean"]["reason"]
    assert claims["ef21/arithmetic-mean"] | {"status": "met", "stated_by": "config"} == claims["ef21/arithmetic-mean"]
    assert {claim["stated_by"] for claim in found["claims"]} == {"config", "theorem"}


def test_a_run_as_a_document_says_what_came_of_it_and_the_rest_goes_to_stderr(config, tmp_path):
    done = efsim("run", config, "--out", tmp_path / "out", "--json")
    found = json.loads(done.stdout)
    assert (found["status"], len(found["runs"]), found["failures"]) == ("complete", 2, [])
    assert {run["status"] for run in found["runs"]} == {"finished", "diverged"}
    assert [run["diverged_round"] for run in found["runs"] if run["status"] == "finished"] == [None]
    assert "small: 2 runs of 60 rounds" in done.stderr
    assert "complete already" in efsim("run", config, "--out", tmp_path / "out", "--json").stderr


def test_a_run_that_fails_is_a_document_too(config, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.execute.simulation", lambda *_: 1 / 0)
    found = document("run", config, "--out", tmp_path / "out", status=1)
    assert found["status"] == "failed" and "ZeroDivisionError" in found["failures"][0]["reason"]


def test_constants_and_differences_and_lists_and_origins_are_documents(config, results):
    (case,) = document("constants", config)
    assert case["constants"]["n"] == 9 and case["constants"]["omega"] is None
    rules = {rule["theorem"]: rule for rule in case["rules"]}
    assert rules["arithmetic-mean"]["stepsize"] > 0 and rules["arithmetic-mean"]["obstacle"] is None
    assert any(rule["stepsize"] is None and rule["obstacle"] for rule in case["rules"])
    same = document("diff", results, results)
    assert same["counts"] == {"identical": 2, "within": 0, "different": 0} and len(same["runs"]) == 2
    assert {entry["kind"] for entry in document("list", "methods")} >= {"gd", "ef21"}
    assert document("list", "datasets")[0].keys() == {"name", "samples", "features", "found"}
    assert document("info", results)["complete"] is True


def test_critical_stepsizes_are_a_document(config, tmp_path):
    rules = ("--set", "method.0.stepsize={rule='arithmetic-mean'}", "--set", "expect=[]")
    found = document("critical", config, "--out", tmp_path, *rules)
    assert {row["criterion"] for row in found["table"]} == {"convergence", "arithmetic-mean"}
    assert all(Path(path).is_file() for path in found["figures"])


def test_a_mistake_leaves_no_half_document(tmp_path):
    done = efsim("verify", tmp_path, "--json")
    assert (done.exit_code, done.stdout) == (2, "") and "is not a results folder" in done.stderr


def test_every_command_that_answers_says_its_keys():
    for command in ("run", "verify", "info", "diff", "constants", "critical", "plot", "report"):
        assert "--json" in efsim(command, "--help").stdout
    assert "only_first" in " ".join(efsim("diff", "--help").stdout.split())


def test_what_json_cannot_say_is_null():
    import numpy as np

    values = {"a": float("nan"), "b": np.float64("inf"), "c": np.int64(3), "d": (Path("x"), np.array([1.0])), 5: None}
    assert plain(values) == {"a": None, "b": None, "c": 3, "d": ["x", [1.0]], "5": None}


# --- colours --------------------------------------------------------------------------------------------------------

ESCAPE = "\x1b["


def on_a_terminal(*arguments: object, **environment: str | None):
    """What would be printed where click takes the output for a terminal."""
    environment = {"NO_COLOR": None, "TERM": "xterm"} | environment
    return CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments], color=True)


def test_verdicts_are_coloured_on_a_terminal_only(results):
    shown = on_a_terminal("verify", results).stdout
    assert "\x1b[32mholds\x1b[0m" in shown and "\x1b[31mNOT MET\x1b[0m:" in shown and "\x1b[32mmet\x1b[0m:" in shown
    assert click.unstyle(shown) == efsim("verify", results).stdout
    for wish in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_a_terminal("verify", results, **wish).stdout == efsim("verify", results).stdout
    assert ESCAPE in on_a_terminal("verify", results, NO_COLOR="").stdout  # no-color.org: not empty
    assert ESCAPE not in on_a_terminal("verify", results, "--json").stdout


def test_tables_are_aligned_by_what_is_seen():
    plain_rows, coloured_rows = ([["a", paint("holds"), "1"], ["b", "x", "22"]] for paint in (str, coloured))
    header = ("one", "verdict", "n")
    assert click.unstyle(render(header, coloured_rows)) == render(header, plain_rows)
    assert coloured("other") == "other" and visible(coloured("holds")) == 5


# --- figures and reports --------------------------------------------------------------------------------------------


def test_plot_draws_what_is_asked_for(results):
    done = efsim("plot", results, "--figure", "slack", "--format", "pdf", "--format", "svg", "--width", "single")
    assert done.exit_code == 0
    assert [Path(line).name for line in done.stdout.splitlines()] == ["slack.pdf", "slack.svg"]
    assert [Path(path).name for path in document("plot", results, "--figure", "slack")] == ["slack.png", "slack.svg"]


def test_formats_are_those_of_the_figures():
    (option,) = (each for each in main.commands["plot"].params if each.name == "formats")
    assert isinstance(option.type, click.Choice) and set(option.type.choices) == set(FORMATS)


def test_mistakes_about_figures(results, tmp_path):
    assert "did you mean 'slack'" in refused("plot", results, "--figure", "slak")
    assert "'gif' is not one of" in refused("plot", results, "--format", "gif")
    assert "'huge' is not one of" in refused("plot", results, "--width", "huge")
    assert "is not a results folder" in refused("plot", tmp_path, "--figure", "slack")


def test_a_report_is_a_file(results, tmp_path):
    assert efsim("report", results).stdout == f"{results / 'report.html'}\n"
    done = efsim("report", results, "--out", tmp_path / "mine.html", "--false-alarm", "0.01")
    assert done.exit_code == 0 and "arithmetic-mean" in (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert document("report", results, "--out", tmp_path / "mine.html") == {"path": str(tmp_path / "mine.html")}


def test_a_sweep_with_a_report_and_figures_can_be_extended(config, tmp_path):
    folder, more = tmp_path / "out", ("--set", "method.0.stepsize.multiple=[1, 1000, 2]")
    for command in (("run", config, "--out", folder), ("report", folder), ("plot", folder, "--figure", "slack")):
        assert efsim(*command).exit_code == 0
    assert "2 of 3 runs are there already" in efsim("run", config, "--out", folder, *more).stdout


def test_a_report_is_told_by_what_standard_to_judge(results, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("experiments.controls.control_verdicts", lambda verdicts, config, standard: [standard])
    monkeypatch.setattr("experiments.report.write_report", lambda _, verdicts, out: given.update(it=verdicts) or out)
    assert efsim("report", results, "--controls", "--false-alarm", "0.01", "--excess", "2").exit_code == 0
    assert given["it"] == [Standard(false_alarm=0.01, excess=2.0)]


def test_mistakes_about_reports(results, tmp_path):
    assert "is not a results folder" in refused("report", tmp_path)
    assert "none" in refused("report", results, "--out", tmp_path / "none" / "report.html")
    assert "not a finite number" in refused("report", results, "--excess", "inf")
    assert efsim("report", results, "--excess", "nan").exit_code == 2


# --- completion -----------------------------------------------------------------------------------------------------


def offered(*words: str) -> list[tuple[str, str]]:
    """What a shell is told, for the last of the words."""
    complete = ShellComplete(main, {}, "efsim", "_EFSIM_COMPLETE")
    return [(item.type, item.value) for item in complete.get_completions(list(words[:-1]), words[-1])]


def names(*words: str) -> list[str]:
    return [value for kind, value in offered(*words) if kind == "plain"]


def test_configs_and_results_folders_are_offered(config, results, tmp_path):
    assert names("run", str(config)[:-6]) == [str(config)]
    assert names("run", str(config.parent)) == [str(config)]
    assert names("verify", str(results)[:-2]) == [str(results)] == names("diff", str(results), str(results.parent))
    assert offered("run", str(tmp_path / "x[")) == [("file", str(tmp_path / "x["))]
    assert offered("plot", str(tmp_path / "x")) == [("dir", str(tmp_path / "x"))]


def test_keys_of_the_config_are_offered(config):
    assert names("run", str(config), "--set", "problem.smooth") == ["problem.smoothness_ratio="]
    keys = names("run", "--set", "rounds=3", str(config), "--set", "method.0.")
    assert {"method.0.compressor.k=", "method.0.stepsize.multiple="} <= set(keys)
    assert "start.scale=" in names("constants", str(config), "--set", "start")
    assert names("run", "absent.toml", "--set", "problem.") == names("run", "--set", "problem.") == []


def test_figures_kinds_and_lists_are_offered(results):
    assert names("plot", str(results), "--figure", "") == list(FIGURES)
    assert "ef21-sgdm" in names("init", "--method", "ef21-s") and "quadratic" in names("init", "--problem", "quad")
    assert names("list", "o") == ["oracles"] and names("completion", "f") == ["fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell(shell):
    done = efsim("completion", shell)
    assert done.exit_code == 0 and f"_EFSIM_COMPLETE={shell}_complete" in done.stdout
    assert efsim("completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(config, tmp_path):
    """As bash does it: the script that we print, and the words of the line that is being typed."""
    command = tmp_path / "efsim"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m experiments.cli "$@"\n')
    command.chmod(0o755)
    typed = f"""
source <(efsim completion bash)
COMP_WORDS=(efsim run {config} --set problem.w) COMP_CWORD=4
_efsim_completion efsim
echo "${{COMPREPLY[@]}}"
"""
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", typed], env=os.environ | {"PATH": path}, cwd=ROOT, capture_output=True, timeout=300
    )
    assert done.stdout.decode() == "problem.workers=\n", done.stderr.decode()


# --- pipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "experiments.cli", "list", "theorems"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # as of a program that SIGPIPE ends; 1 would say that a claim does not hold


def test_without_a_terminal_there_are_no_bars_and_no_colours(config, tmp_path):
    """Bars appear after two seconds, on standard error; what is printed there is empty however long it takes."""
    command = [sys.executable, "-m", "experiments.cli", "run", str(config), "--out", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300, check=True)
    assert done.stderr == b"" and b"\x1b" not in done.stdout and b"\r" not in done.stdout


BAR = """
import experiments.progress as progress
progress.DELAY = 0
with progress.progress_bar(total=1000, unit="round", unit_scale=True) as bar:
    bar.set_description("batch 1/2")
    bar.update(500)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_bar_says_the_rate_and_the_time_left_on_a_terminal_that_does_not_know_its_size():
    reader, terminal = os.openpty()
    subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, stderr=terminal, timeout=60, check=True)
    os.close(terminal)
    shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert re.search(r"batch 1/2:  50%\|[^\r]*500/1\.00k \[\d\d:\d\d<\d\d:\d\d, [^\r]*round/s\]", shown)
