"""The command line as a user types it: run, verify, plot, list, constants, and every mistake they may make."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command_line import SMALL, computed, efsim, refused, written

from experiments.listings import LISTINGS
from experiments.records import runs_table

CONFIG = f"""{SMALL}
[[method]]
kind = "ef21"
compressor = {{ kind = "top-k", k = 1 }}
stepsize = {{ rule = ["quadratic-mean", "arithmetic-mean"], multiple = [1, 1000] }}
"""


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return written(tmp_path_factory, CONFIG)


@pytest.fixture(scope="module")
def results(config, tmp_path_factory) -> Path:
    return computed(tmp_path_factory, config)


def test_run_describes_the_sweep_and_says_what_comes_next(config, tmp_path):
    done = efsim("run", config, "--out", tmp_path / "out")
    assert "small: 4 runs of 60 rounds = 1 problem x 4 choices" in done.stdout
    assert f"next: efsim verify {tmp_path / 'out'}" in done.stdout


def test_the_results_folder_is_all_that_a_reader_needs(results):
    runs, traces = pd.read_parquet(results / "runs.parquet"), pd.read_parquet(results / "traces")
    assert set(traces.run) == set(runs.run) and len(runs) == 4
    assert traces.groupby("run")["round"].apply(list).tolist() == [[0, 20, 40, 60]] * 4
    wanted = {"run", "seed", "round", "bits_per_worker", "loss", "grad_norm_sq", "lyapunov_quadratic_mean"}
    wanted |= {"downlink_bits_per_worker", "min_grad_norm_sq"}
    assert wanted <= set(traces.columns)
    assert {"L", "L_AM", "L_QM", "mu", "alpha", "stepsize", "status", "method.compressor.k"} <= set(runs.columns)
    provenance = json.loads((results / "provenance.json").read_text())
    (environment,) = provenance["environments"]
    assert environment["versions"]["jax"] and provenance["seeds"] == [0] and provenance["wall_seconds"] > 0
    assert [path.name for path in results.rglob(".*")] == [".lock"]  # no temporary file is left


def test_the_config_as_run_repeats_the_sweep(config, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    efsim("run", config, "--out", first, "--set", "method.0.compressor.k=2", "--set", "seeds=[4, 5]")
    assert efsim("run", first / "config.toml", "--out", second).exit_code == 0
    pd.testing.assert_frame_equal(pd.read_parquet(first / "traces"), pd.read_parquet(second / "traces"))


def test_verify_prints_the_verdicts_and_exits_with_0_when_all_hold(results):
    done = efsim("verify", results)
    assert done.exit_code == 0
    lines = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()}
    for theorem, applicable in (("quadratic-mean", 1), ("arithmetic-mean", 2)):
        line = lines["ef21", theorem]
        assert f" {applicable}/4 " in line and "holds" in line and re.search(r" 2/[23]$", line)
    assert re.search(r"verdicts from [0-9,]+ judged rounds: \d+ holds$", done.stdout.strip())


def test_runs_at_other_stepsizes_are_beyond_a_theorem_of_one_stepsize(config, tmp_path):
    gd = "method=[{kind='gd', stepsize={rule='tight', multiple=[1, 0.5]}}]"
    efsim("run", config, "--out", tmp_path / "tight", "--set", gd)
    done = efsim("verify", tmp_path / "tight")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("gd      tight"))
    assert " 1/2 " in line and line.endswith(" 1/1")
    assert done.exit_code == 0


def test_bits_are_those_of_every_run_in_both_directions(config, tmp_path):
    """Half of the workers take part, on average: how many bits are sent depends on the seed."""
    part, compressor = "{kind='independent', chance=0.5}", "{kind='top-k', k=1}"
    method = f"method=[{{kind='ef21-pp', compressor={compressor}, participation={part}, stepsize=0.1}}]"
    efsim("run", config, "--out", tmp_path / "out", "--set", method, "--set", "payload=64", "--set", "seeds=[0, 1]")
    traces = pd.read_parquet(tmp_path / "out" / "traces")
    last = traces[traces["round"] == 60].set_index("seed")
    messages = (last.bits_per_worker - 4 * 64) / (64 + 2) * 9  # after the first gradient, an entry and its index each
    assert messages.round(6).apply(float.is_integer).all() and 0 < messages[0] != messages[1] < 60 * 9
    assert (last.downlink_bits_per_worker > 0).all()
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["payload"] == 64
    assert not pd.read_parquet(tmp_path / "out" / "runs.parquet").deterministic.any()


def test_results_have_columns_for_the_theorems_that_apply_and_no_others(tmp_path, config):
    """Of two methods with different theorems and parameters; those of stochastic or sparse problems stay away."""
    methods = [
        "{kind='gd', stepsize=0.1}",
        "{kind='diana', compressor={kind='rand-k', k=2, scaled=true}, stepsize=0.1}",
    ]
    efsim("run", config, "--out", tmp_path / "out", "--set", f"method=[{', '.join(methods)}]")
    traces, runs = (pd.read_parquet(tmp_path / "out" / name) for name in ("traces", "runs.parquet"))
    bounds = traces[[name for name in traces if name.startswith("lyapunov_")]]
    assert len(bounds.columns) > 3 and bounds.notna().any().all()
    assert not any("single" in name for name in traces)
    assert runs["resolved.lam"].notna().sum() == 1 and runs["method.lam"].isna().all()
    assert efsim("verify", tmp_path / "out").exit_code in (0, 3)
    assert efsim("plot", tmp_path / "out", "--figure", "loss-gap-by-rounds").exit_code == 0


def test_a_parameter_that_is_a_number_here_and_a_word_there_is_a_column_of_words(tmp_path):
    table = runs_table([{"a": 1, "b": True, "c": None}, {"a": "x", "b": None, "c": None}, {"b": False}])
    table.to_parquet(tmp_path / "runs.parquet")
    read = pd.read_parquet(tmp_path / "runs.parquet")
    assert read.a.tolist()[:2] == ["1", "x"] and read.b.tolist() == [True, None, False] and read.c.isna().all()


def test_verify_exits_with_1_when_a_theorem_is_violated(results, tmp_path):
    """The runs at 1000 times the stepsize break the inequality: declare that the theorem speaks of them."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("config.toml", "provenance.json"):
        (damaged / name).write_bytes((results / name).read_bytes())
    runs = pd.read_parquet(results / "runs.parquet").assign(applies_quadratic_mean=True)
    runs.to_parquet(damaged / "runs.parquet")
    done = efsim("verify", damaged)
    assert done.exit_code == 1
    assert "VIOLATED: ef21 quadratic-mean" in done.stdout and "rounds break the inequality" in done.stdout
    assert re.search(r"V\+ - V = \S+ where \S+ is allowed", " ".join(done.stdout.split()))


def test_verify_exits_with_3_when_nothing_can_be_said(config, tmp_path):
    folder = tmp_path / "beyond"
    methods = "method=[{kind='gd', stepsize=1000.0}, {kind='adam', stepsize=0.01}]"
    efsim("run", config, "--out", folder, "--set", methods)
    done = efsim("verify", folder)
    assert done.exit_code == 3 and "no theorem applies to any run" in done.stdout
    assert "adam: no theorem applies, because Adam need not converge" in done.stdout and "gd: no" not in done.stdout
    assert efsim("verify", folder, "--allow-undecided").exit_code == 0


def test_random_compressors_are_judged_by_their_seeds(config, tmp_path):
    random = ("--set", "method.0.compressor={kind='rand-k', k=2}", "--set", "method.0.stepsize.multiple=1")
    few, many = tmp_path / "few", tmp_path / "many"
    efsim("run", config, "--out", few, *random)
    done = efsim("verify", few)
    told = " ".join(done.stdout.split())  # however it is wrapped
    assert done.exit_code == 3 and "1 seeds show an excess of 100%" in told
    efsim("run", config, "--out", many, *random, "--set", f"seeds={list(range(24))}")
    done = efsim("verify", many)
    assert done.exit_code == 0 and "24 (1)" in done.stdout and "undecided" not in done.stdout
    assert efsim("verify", many, "--excess", "0.1").exit_code == 3
    assert efsim("verify", many, "--excess", "0.1", "--allow-undecided").exit_code == 0
    assert efsim("verify", many, "--false-alarm", "0").exit_code == 2


def test_plot_prints_the_paths_of_its_figures(results):
    done = efsim("plot", results, "--figure", "slack", "--figure", "tightness")
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0 and {path.suffix for path in paths} == {".png", ".svg"}
    assert all(path.is_file() for path in paths)


def test_a_second_run_of_the_same_config_computes_nothing_and_changes_nothing(config, results):
    before = snapshot(results)
    done = efsim("run", config, "--out", results)
    assert done.exit_code == 0 and "complete already" in done.stdout
    assert snapshot(results) == before


@pytest.mark.parametrize("what", LISTINGS)
def test_list_knows_everything_that_is_registered(what):
    done = efsim("list", what)
    expected = {
        "methods": (
            "remark: no theorem applies, because Adam need not",
            "gd",
            "dcgd",
            "ef14",
            "ef21-w",
            "paper: EF21: A new, simpler",
            "(2021, arXiv 2106.05203)",
        ),
        "compressors": ("identity", "top-k", "fields: k: whole number", "deterministic, positively homogeneous"),
        "oracles": ("exact", "gaussian-noise", "fields: variance: number", "minibatch"),
        "inner-optimizers": ("sgd", "adamw", "fields: beta1: number"),
        "participations": ("independent", "fixed-number", "fields: workers: whole number"),
        "times": ("fixed", "exponential", "pareto", "fields: spread: number"),
        "regularizers": ("l1-norm", "fields: strength: number"),
        "codes": ("cyclic-repetition", "fields: tolerance: whole number"),
        "stragglers": ("fixed-stragglers", "fields: workers: whole number"),
        "problems": ("quadratic", "logistic-regression", "least-squares"),
        "theorems": ("quadratic-mean", "<= 1 / (L + L_AM xi)", "= 2 / (L + mu)", "contractive", "2402.10774"),
        "datasets": ("breast-cancer-wisconsin", "a9a", "32561"),
    }[what]
    unwrapped = " ".join(done.stdout.split())
    assert done.exit_code == 0 and all(name in unwrapped for name in expected)
    assert max(map(len, done.stdout.splitlines())) <= 110


def test_constants_prints_every_rule_or_why_it_does_not_apply(config):
    stdout = efsim("constants", config).stdout
    assert "\nn = 9  d = 4  L = 1  L_AM = 1  L_QM = 2.5  L_var = 5.25  L_+ = " in stdout
    assert "mu = 0.1  alpha = 0.25" in stdout and "c = " not in stdout  # every worker depends on every coordinate
    xi = 0.75**0.5 / (1 - 0.75**0.5)
    assert f"{1 / (1 + 2.5 * xi):.8g}" in stdout and f"{1 / (1 + xi):.8g}" in stdout
    without_alpha = efsim("constants", config, "--set", "method.0.compressor={kind='rand-k', k=1, scaled=true}").stdout
    assert "does not apply: it needs a contractive compressor" in without_alpha


def test_constants_of_a_sparse_problem_say_how_sparse_and_what_theory_chose(config):
    problem = "problem={kind='rare-features-logistic', workers=6, dim=12, features_per_worker=2, samples=3}"
    method = "method=[{kind='diana', compressor={kind='rand-k', k=3, scaled=true}, stepsize=0.1}]"
    stdout = efsim("constants", config, "--set", problem, "--set", method).stdout
    assert re.search(r" c = [1-5]\S* r = 2\S* lam = 0.25 rule ", " ".join(stdout.split()))
    assert max(map(len, stdout.splitlines())) <= 110


def test_constants_say_why_a_method_has_no_rule(config):
    stdout = efsim("constants", config, "--set", "method=[{kind='adam', stepsize=0.1}]").stdout
    assert "\nno theorem applies, because Adam need not converge" in stdout and "rule" not in stdout


# Mistakes: exit status 2, a message on standard error, no traceback, nothing overwritten


def test_a_config_that_is_not_there(tmp_path):
    assert "cannot read the config" in refused("run", tmp_path / "none.toml")


def test_results_of_another_config_are_left_alone(config, results):
    before = snapshot(results)
    assert "differs in: rounds" in refused("run", config, "--out", results, "--set", "rounds=61")
    assert snapshot(results) == before


def test_a_folder_with_other_files_is_left_alone(config, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "holds files that are not results" in refused("run", config, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_where_the_folder_should_be(config, tmp_path):
    file = tmp_path / "out"
    file.write_text("x")
    assert "is a file" in refused("run", config, "--out", file)


@pytest.mark.parametrize("command", ["verify", "plot"])
def test_a_folder_without_results(command, tmp_path, results):
    assert "is not a results folder" in refused(command, tmp_path)
    (tmp_path / "config.toml").write_bytes((results / "config.toml").read_bytes())
    assert "is not complete" in refused(command, tmp_path)
    (tmp_path / "runs.parquet").write_bytes(b"not parquet")
    assert "is damaged" in refused(command, tmp_path)


def test_damaged_results_are_told(results, tmp_path):
    for name in ("config.toml", "provenance.json", "runs.parquet"):
        (tmp_path / name).write_bytes((results / name).read_bytes())
    assert "traces is damaged" in refused("plot", tmp_path)
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "batch-0000.parquet").write_bytes(b"PAR1")
    assert "traces is damaged" in refused("plot", tmp_path)
    pd.read_parquet(results / "runs.parquet").drop(columns="method.kind").to_parquet(tmp_path / "runs.parquet")
    assert "it has no column method.kind" in refused("verify", tmp_path)


def test_an_error_of_our_own_is_not_taken_for_a_violation(results, monkeypatch):
    monkeypatch.setattr("experiments.verdicts.judge", lambda *_: 1 / 0)
    done = efsim("verify", results)
    assert done.exit_code == 70 and "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["problem.workers=570"], "between 1 and the number of samples, 569; given 570"),
        (["problem.dataset=breast-cancer-wisconsi"], "did you mean 'breast-cancer-wisconsin'?"),
        (["problem.dataset=DATA"], "data.txt:2:"),
        (["problem.strength=-1.0"], "needs a finite strength > 0, not -1"),
        (["method.0.compressor.k=[31, 44]"], "k = 44 is larger than the dimension d = 30"),
    ],
)
def test_problems_that_cannot_be_built(overrides, expected, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("1 1:2\n-1 1:nan\n")
    config = Path(__file__).parent.parent / "configs" / "quadratic-vs-arithmetic-mean.toml"
    settings = [part for override in overrides for part in ("--set", override.replace("DATA", str(data)))]
    assert expected in refused("run", config, "--out", tmp_path / "out", *settings)
    assert not (tmp_path / "out").exists()


def test_usage_errors_have_status_2():
    assert efsim("rum").exit_code == 2 and efsim("run").exit_code == 2


def test_the_command_runs_in_a_process_of_its_own():
    command = [sys.executable, "-m", "experiments.cli"]
    done = subprocess.run([*command, "run", "absent.toml"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (
        2,
        "efsim: cannot read the config absent.toml: No such file or directory\n",
    )
