"""Sweeps that are killed, interrupted, extended, fail in part, or share a folder: nothing is lost or mixed up."""

import json
import multiprocessing
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import efsim, refused

from experiments import checkpoint_files, execute
from experiments.batch_files import METADATA
from experiments.config import Config, parse_config
from experiments.differences import compare
from experiments.execute import SweepFailed, run_sweep
from experiments.interrupts import Interrupted
from experiments.raw_config import apply_overrides, read_raw
from experiments.results import load_results
from experiments.runs import blocks_of
from experiments.store import Store
from problems import InvalidInput

CONFIG = """
name = "small"
rounds = 400
record_every = 1
[[problem]]
kind = "quadratic"
workers = 6
dim = 4
smoothness_ratio = 1.5
pl_constant = 0.1
seed = [0, 1]
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = { rule = "quadratic-mean", multiple = [0.5, 1] }
[[method]]
kind = "ef21"
compressor = { kind = "rand-k", k = 1 }
stepsize = 0.02
"""
SEEDS = "seeds=[0, 1]"
BATCHES = 4


def config(*overrides: str) -> Config:
    return parse_config(apply_overrides(tomllib.loads(CONFIG), (SEEDS, *overrides)))


@pytest.fixture(scope="module")
def config_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(CONFIG.replace("rounds", "seeds = [0, 1]\nrounds"))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The results of a sweep that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "small"
    run_sweep(config(), folder)
    return folder


def assert_same(folder: Path, whole: Path) -> None:
    """To the last bit, but for times."""
    comparison = compare(load_results(folder), load_results(whole), 0.0)
    assert comparison.exit_status == 0 and len(comparison.identical) == len(comparison.runs)
    names = [sorted(path.name for path in (each / "traces").iterdir()) for each in (folder, whole)]
    assert names[0] == names[1] and not (folder / "checkpoints").exists()


# --- kills ----------------------------------------------------------------------------------------------


# methods with few theorems, whose programs are soon traced: every process begins with that
LIGHT = "method=[{kind='gd', stepsize=[0.1, 0.2]}, {kind='ef14', compressor={kind='rand-k', k=1}, stepsize=0.02}]"
LONGER = (LIGHT, "rounds=8000", "record_every=20")


def compute_slowly(folder: Path) -> None:
    """In a process of its own, which leaves a checkpoint after every chunk of rounds."""
    checkpoint_files.LEAST_PAUSE, checkpoint_files.SHARE = 0.0, np.inf
    run_sweep(config(*LONGER), folder)


def wait_until(happens: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


class Victim:
    """A process that computes the sweep. It is forked from one that has imported everything and computed nothing."""

    def __init__(self, folder: Path) -> None:
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["experiments.execute", "experiments.differences"])
        self.process = context.Process(target=compute_slowly, args=(folder,))
        self.process.start()

    def wait_until_it_owns(self, folder: Path) -> None:
        """Before that it imports and plans; nothing happens to the folder."""
        wait_until(lambda: (folder / ".owner").exists() or not self.process.is_alive())

    def kill_after(self, seconds: float) -> bool:
        """Whether it was still alive by then."""
        self.process.join(seconds)
        alive = self.process.is_alive()
        self.process.kill()
        self.process.join()
        assert alive or self.process.exitcode == 0
        return alive


def assert_readable(folder: Path) -> set[str]:
    """Every file that is not hidden can be read. -> the runs that are done."""
    runs: set[str] = set()
    for path in (folder / "traces").glob("*.parquet"):
        runs |= set(pq.read_table(path).column("run").to_pylist())
    for path in (folder / "checkpoints").glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name] is not None for name in arrays.files)
    if (folder / "config.toml").exists():
        assert tomllib.loads((folder / "config.toml").read_text())["name"] == "small"
    assert runs == {run for batch in Store(folder).done() for run in batch.ids}
    return runs


def undisturbed(folder: Path) -> float:
    """Seconds that a process takes to compute the sweep, once it has begun."""
    victim = Victim(folder)
    victim.wait_until_it_owns(folder)
    begun = time.monotonic()
    assert not victim.kill_after(120)
    return time.monotonic() - begun


def survive(kills: int, tmp_path: Path) -> dict[str, int]:
    """Kill at random moments until that has happened so often; every sweep must come to the same end."""
    whole = tmp_path / "whole"
    undisturbed(tmp_path / "first")  # so that all is compiled, and kept
    rng, took = np.random.default_rng(0), undisturbed(whole)
    told = {"kills": 0, "sweeps": 0, "with a checkpoint": 0, "with a file half written": 0}
    while told["kills"] < kills:
        folder, done = tmp_path / str(told["sweeps"]), set()
        while not Store(folder).complete:
            (folder / ".owner").unlink(missing_ok=True)
            victim = Victim(folder)
            victim.wait_until_it_owns(folder)
            if victim.kill_after(rng.uniform(0, took) if told["kills"] < kills else 60):
                told["kills"] += 1
                told["with a checkpoint"] += any((folder / "checkpoints").glob("*.npz"))
                told["with a file half written"] += any(folder.rglob(".*.tmp"))
            now = assert_readable(folder)
            assert done <= now
            done = now
        assert_same(folder, whole)
        told["sweeps"] += 1
    return told


def test_kills_at_random_moments_lose_nothing(tmp_path):
    told = survive(10, tmp_path)
    print(told)
    assert told["with a checkpoint"] > 1


@pytest.mark.soak
def test_many_kills_at_random_moments_lose_nothing(tmp_path):
    told = survive(200, tmp_path)
    print(told)
    assert told["with a checkpoint"] > 10


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_a_file_is_written_leaves_none(moment, tmp_path, whole, monkeypatch):
    """At the very moments: before the data are safe, and before the file gets its name."""
    folder = tmp_path / "out"

    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    target = (os, "fsync") if moment == "fsync" else (Path, "replace")
    original = getattr(*target)
    for left in range(BATCHES):  # after the config, and after batches
        calls = iter([original] * left)
        with monkeypatch.context() as patch:
            patch.setattr(*target, lambda *arguments: next(calls, kill)(*arguments))  # noqa: B023  (used at once)
            patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing up
            with pytest.raises(Killed):
                run_sweep(config(), folder)
        assert_readable(folder)
        assert list(folder.rglob(".*.tmp"))
    run_sweep(config(), folder)
    assert_same(folder, whole)
    assert not list(folder.rglob(".*.tmp"))


# --- interrupts -----------------------------------------------------------------------------------------


def started(config_file: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    """`efsim run` in a process of its own, on a sweep that takes some seconds at least."""
    command = [sys.executable, "-m", "experiments.cli", "run", config_file, "--out", folder, *options]
    text = [str(part) for part in command]
    return subprocess.Popen(text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


LONG = (
    "--set",
    "rounds=2000000",
    "--set",
    "record_every=100000",
    "--set",
    "problem=" + "{kind='quadratic', workers=6, dim=4}",
    "--set",
    LIGHT,
)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_chunk_and_says_how_to_go_on(number, status, config_file, tmp_path):
    folder = tmp_path / "out"
    process = started(config_file, folder, *LONG)
    wait_until(lambda: (folder / "config.toml").exists())
    time.sleep(2)  # to compile, and compute a while
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status, told
    assert "stopping after this chunk" in told and "the same command goes on from there" in told
    assert list((folder / "checkpoints").glob("*.npz")) and not Store(folder).complete
    assert "Traceback" not in told
    refusal = refused("verify", folder)
    assert f"efsim run {folder / 'config.toml'} --out {folder}" in refusal


def test_a_second_signal_ends_at_once(config_file, tmp_path):
    """Without finishing the chunk: what was done before is there all the same."""
    process = started(config_file, tmp_path / "out", *LONG)
    wait_until(lambda: (tmp_path / "out" / "config.toml").exists())
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in told
    assert "stopping after this chunk" in told and "the same command goes on" not in told


def test_an_interrupted_sweep_goes_on_to_the_same_end(tmp_path, whole, monkeypatch):
    """Interrupted after each chunk of each batch; the signal is a real one, to this process."""
    folder, interruptions = tmp_path / "out", 0
    handler, original = signal.getsignal(signal.SIGINT), checkpoint_files.CheckpointFiles.offer

    def offer(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        original(*arguments)

    monkeypatch.setattr(checkpoint_files.CheckpointFiles, "offer", offer)
    while not Store(folder).complete:
        try:
            run_sweep(config(), folder)
        except Interrupted as error:
            interruptions += 1
            assert error.status == 130
    assert interruptions >= 2 * BATCHES
    assert signal.getsignal(signal.SIGINT) is handler
    assert_same(folder, whole)


# --- owners ---------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from experiments.store import Store
with Store(Path(sys.argv[1])).owned(wait=False):
    print("mine", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path):
    """A process that has the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_has_one_owner(owner, config_file, tmp_path):
    told = refused("run", config_file, "--out", tmp_path / "out")
    assert f"in use by process {owner.pid} on {platform.node()}" in told and "--wait" in told
    method = "method=[{kind='gd', stepsize={rule='smooth'}}]"
    assert "in use" in refused("critical", config_file, "--out", tmp_path / "out", "--set", method)


def test_whoever_waits_has_it_next(owner, config_file, tmp_path, whole):
    process = started(config_file, tmp_path / "out", "--wait")
    assert process.stderr is not None and "waiting" in process.stderr.readline()
    time.sleep(0.5)
    assert process.poll() is None and not (tmp_path / "out" / "traces").exists()
    owner.kill()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert_same(tmp_path / "out", whole)


def test_a_dead_owner_is_none(owner, tmp_path, whole):
    owner.kill()
    owner.wait()
    assert (tmp_path / "out" / ".owner").exists()  # it had no time to tidy up
    run_sweep(config(), tmp_path / "out")
    assert_same(tmp_path / "out", whole)


def test_two_at_once_on_one_folder(config_file, tmp_path, whole):
    """Both wait for each other: the second finds everything done."""
    processes = [started(config_file, tmp_path / "out", "--wait") for _ in range(2)]
    assert [process.wait(120) for process in processes if process.communicate()] == [0, 0]
    assert_same(tmp_path / "out", whole)


# --- extension ------------------------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs were computed, batch by batch."""
    sizes: list[int] = []
    original = execute.compute_batch

    def spy(config: Config, batch: Any, *rest: Any) -> None:
        sizes.append(len(batch.block.ids))
        original(config, batch, *rest)

    monkeypatch.setattr(execute, "compute_batch", spy)
    return sizes


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "traces").iterdir()}


@pytest.mark.parametrize(
    ("overrides", "new"),
    [
        pytest.param(["method.0.stepsize.multiple=[0.25, 0.5, 1]"], [1, 1], id="a stepsize"),
        pytest.param(["seeds=[0, 1, 7]"], [1, 1], id="a seed"),
        pytest.param(["seeds=[0, 7, 1]", "method.1.stepsize=[0.01, 0.02]"], [3, 1, 3, 1], id="a seed and a stepsize"),
        pytest.param(["problem.0.seed=[0, 1, 2]"], [2, 2], id="a problem"),
        pytest.param(["expect=[]", "description=other words", "name=other"], [], id="words"),
    ],
)
def test_only_what_is_new_is_computed(overrides, new, tmp_path, whole, computed):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    before = files(folder)
    results = run_sweep(config(*overrides), folder)
    assert sorted(computed) == sorted(new)
    assert {name: content for name, content in files(folder).items() if name in before} == before
    assert results.config.raw == config(*overrides).raw == load_results(folder).config.raw
    fresh = run_sweep(config(*overrides), tmp_path / "fresh")
    assert list(results.runs.run) == list(fresh.runs.run)
    assert compare(results, fresh, 1e-9).exit_status == 0
    computed.clear()
    run_sweep(config(*overrides), folder)
    assert computed == []


def test_another_method_brings_columns_of_its_own(tmp_path, whole, computed):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    added = "method.1.kind=ef14"
    with pytest.raises(InvalidInput, match=r"differs in: method.*this one does not describe"):
        run_sweep(config(added), folder)
    methods = [*config().raw["method"], {"kind": "gd", "stepsize": 0.1}]
    larger = parse_config(config().raw | {"method": methods})
    run_sweep(larger, folder)
    assert computed == [1, 1]
    columns = {tuple(pq.read_schema(path).names) for path in (folder / "traces").iterdir()}
    assert len(columns) == 1 and "lyapunov_tight" in columns.pop()
    assert compare(load_results(folder), run_sweep(larger, tmp_path / "fresh"), 0.0).exit_status == 0


@pytest.mark.parametrize("field", ["rounds=401", "record_every=2", "target=0.1", "payload=64", "start.kind=normal"])
def test_runs_that_the_config_no_longer_has_are_left_alone(field, tmp_path, whole):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(InvalidInput, match=field.split("=")[0].split(".")[0]):
        run_sweep(config(field), whole)
    with pytest.raises(InvalidInput, match="seeds"):
        run_sweep(config("seeds=[0]"), whole)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_an_extension_that_is_interrupted_goes_on(tmp_path, whole, monkeypatch, computed):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_batch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_sweep(config("seeds=[0, 1, 7]"), folder)
    assert not Store(folder).complete  # it is no longer the old sweep, and not yet the new one
    computed.clear()
    run_sweep(config("seeds=[0, 1, 7]"), folder)
    assert computed == [1, 1]


def test_an_extension_that_cannot_begin_leaves_the_folder_complete(tmp_path, whole):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}

    def unreachable(*_: Any) -> Any:
        raise InvalidInput("no cluster")

    with pytest.raises(InvalidInput, match="no cluster"):
        run_sweep(config("seeds=[0, 1, 7]"), folder, executor=unreachable)
    assert before.items() <= {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}.items()


def test_a_folder_in_which_nothing_is_done_is_free(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_batch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_sweep(config("rounds=399"), folder)
    assert run_sweep(config(), folder).config.rounds == 400
    (tmp_path / "critical").mkdir()
    shutil.copy(folder / "config.toml", tmp_path / "critical")
    (tmp_path / "critical" / "critical.parquet").touch()
    with pytest.raises(InvalidInput, match="differs in: rounds"):
        run_sweep(config("rounds=399"), tmp_path / "critical")


def test_another_order_is_another_table_of_the_same_runs(tmp_path, whole, computed):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    before = list(load_results(whole).runs.run)
    after = list(run_sweep(config("method.0.stepsize.multiple=[1, 0.5]"), folder).runs.run)
    assert computed == [] and before != after and sorted(before) == sorted(after)


def test_runs_in_two_files_are_told(tmp_path, whole):
    """As a worker may leave them that has been forgotten."""
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    shutil.copy(sorted((folder / "traces").iterdir())[0], folder / "traces" / "other.parquet")
    with pytest.raises(InvalidInput, match="in two files"):
        run_sweep(config("name=other"), folder)


def test_data_are_known_by_their_contents(tmp_path, computed):
    data = tmp_path / "data.svm"
    data.write_text("".join(f"{label} 1:{i + 1} 2:{(i * 7) % 5 + 1}\n" for i, label in enumerate([1, -1] * 8)))
    problem = f"problem={{kind='logistic-regression', dataset='{data}', workers=2, regularizer='l2', strength=0.1}}"
    folder = tmp_path / "out"
    first = run_sweep(config(problem), folder)
    assert first.provenance["data"] == {str(data): sha256(data.read_bytes()).hexdigest()}
    moved = data.rename(tmp_path / "moved.svm")
    computed.clear()
    run_sweep(config(problem.replace("data.svm", "moved.svm")), folder)
    assert computed == []
    moved.write_text(moved.read_text().replace("1:1 ", "1:1.5 "))
    with pytest.raises(InvalidInput, match="data or plugins"):
        run_sweep(config(problem.replace("data.svm", "moved.svm")), folder)


def test_a_named_set_is_not_the_file_with_its_text(monkeypatch):
    """A file has as many features as its largest index."""
    problem = "problem={kind='logistic-regression', dataset='a1a', workers=2, regularizer='l2', strength=0.1}"
    named = [block.ids for block in blocks_of(config(problem))]
    monkeypatch.setattr("experiments.runs.declared_features", lambda _: None)
    assert [block.ids for block in blocks_of(config(problem))] != named


def test_packages_with_plugins_are_part_of_a_run(monkeypatch):
    before = [block.ids for block in blocks_of(config())]
    monkeypatch.setattr("experiments.runs.plugin_packages", lambda: ["others 2.0"])
    assert [block.ids for block in blocks_of(config())] != before


def test_a_plugin_that_has_changed_is_not_taken_for_what_was_imported(fragile):
    path, _ = fragile
    parsed = parse_config(read_raw(path))
    assert blocks_of(parsed)
    plugin = Path(parsed.plugins[0])
    plugin.write_text(plugin.read_text() + "# changed")
    with pytest.raises(InvalidInput, match="has changed since this process imported it"):
        blocks_of(parsed)


def test_other_numerics_are_other_runs(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("experiments.runs.NUMERICAL_VERSION", 0)
    with pytest.raises(InvalidInput, match="numerical version"):
        run_sweep(config(), whole)


# --- failures -------------------------------------------------------------------------------------------

PLUGIN = """
from pathlib import Path
from problems import frozen_pytree
from simulator import GD

@frozen_pytree
class Fragile(GD):
    kind = "fragile"

    def init(self, problem, x0, key):
        if Path({flag!r}).exists():
            raise RuntimeError("broken on purpose")
        return GD.init(self, problem, x0, key)
"""


@pytest.fixture
def fragile(tmp_path) -> tuple[Path, Path]:
    """A config whose first method fails as long as a file is there, and the file."""
    flag, plugin, path = tmp_path / "flag", tmp_path / "fragile.py", tmp_path / "fragile.toml"
    flag.touch()
    plugin.write_text(PLUGIN.format(flag=str(flag)))
    methods = '[[method]]\nkind = "fragile"\nstepsize = 0.1\n[[method]]\nkind = "gd"\nstepsize = 0.1\n'
    head = CONFIG.split("[[method]]")[0].replace("rounds", 'plugins = ["fragile.py"]\nrounds')
    path.write_text(head + methods)
    return path, flag


def test_other_batches_are_computed_all_the_same(fragile, tmp_path):
    path, flag = fragile
    done = efsim("run", path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "2 of 4 batches failed; the others are in" in done.stderr
    assert done.stderr.count("fragile on quadratic, 1 runs): RuntimeError: broken on purpose") == 2
    assert "Traceback" in done.stderr and "fragile.py" in done.stderr  # whoever wrote the plugin needs it
    assert len(files(tmp_path / "out")) == 2
    flag.unlink()
    done = efsim("run", path, "--out", tmp_path / "out")
    assert done.exit_code == 0 and "2 of 4 runs are there already" in done.stdout


def test_the_first_failure_may_be_the_last(fragile, tmp_path):
    done = efsim("run", fragile[0], "--out", tmp_path / "out", "--fail-fast")
    assert done.exit_code == 1 and "1 of 4 batches failed" in done.stderr
    assert files(tmp_path / "out") == {}


def test_a_mistake_is_told_without_a_traceback(tmp_path):
    """A start at which the loss is not finite is found when the batch is computed."""
    with pytest.raises(SweepFailed) as failed:
        run_sweep(config("start.kind=normal", "start.scale=1e200"), tmp_path / "out")
    assert failed.value.failures and all(not failure.details for failure in failed.value.failures)


# --- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b"", lambda b: b"PAR1" * 10])
def test_a_damaged_batch_is_computed_again(damage, tmp_path, whole, computed, caplog):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    path = sorted((folder / "traces").iterdir())[0]
    path.write_bytes(damage(path.read_bytes()))
    run_sweep(config(), folder)
    assert len(computed) == 1 and f"{path} is damaged" in caplog.text
    assert_same(folder, whole)


def test_damage_inside_a_file_is_seen_by_whoever_reads_it(tmp_path, whole):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    path = sorted((folder / "traces").iterdir())[0]
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)
    assert "damaged" in refused("diff", folder, whole)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.toml", "a = " + "[" * 5000),
        ("config.toml", "name ="),
        ("provenance.json", "[]"),
        ("provenance.json", "{"),
    ],
)
def test_damaged_words_are_told(name, text, tmp_path, whole):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    (folder / name).write_text(text)
    for command in ("verify", "plot", "info"):
        assert name in refused(command, folder)


def test_a_name_that_is_too_long(config_file):
    name = "x" * 300
    assert "too long" in refused("info", name)
    assert "too long" in refused("run", config_file, "--out", name)


def with_metadata(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]] | None) -> None:
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    fields = json.loads(metadata.pop(METADATA))
    if change is not None:
        metadata[METADATA] = json.dumps(change(fields)).encode()
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("change", "expected"), [(lambda f: f | {"format": 99}, "newer efsim (format 99;"), (None, "older efsim")]
)
def test_results_of_another_version_are_left_alone(change, expected, tmp_path, whole, config_file):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    with_metadata(sorted((folder / "traces").iterdir())[0], change)
    before = files(folder)
    assert expected in refused("run", config_file, "--out", folder, "--set", "seeds=[0, 1, 2]")
    assert files(folder) == before


def test_a_complete_folder_of_a_newer_version_is_refused_by_all_that_read_it(tmp_path, whole):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    origin = folder / "provenance.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"format": 99}))
    for command in ("verify", "plot", "info"):
        assert "update efsim" in refused(command, folder)


def test_a_complete_folder_need_not_be_writable(config_file, whole, monkeypatch):
    """Of a colleague, or on a read-only disk."""
    monkeypatch.setattr(Store, "owned", None)
    done = efsim("run", config_file, "--out", whole)
    assert done.exit_code == 0 and "complete already" in done.stdout


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system in which nothing can be made")
def test_a_folder_that_cannot_be_made(config_file):
    told = refused("run", config_file, "--out", "/proc/efsim/out")
    assert "cannot create /proc/efsim/out" in told


def on_full_disk(limit: int, *arguments: object) -> str:
    """What a user is told where a file may have so many bytes."""
    import resource  # which Windows does not have

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # Python ignores the signal that comes with it
    try:
        return refused(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 100, 20_000])
def test_a_full_disk(limit, config_file, tmp_path, whole):
    """At the lock and the config, or at the first batch."""
    folder = tmp_path / "out"
    told = on_full_disk(limit, "run", config_file, "--out", folder)
    assert "cannot write" in told and "File too large" in told
    assert not list(folder.rglob(".*.tmp"))
    run_sweep(config(), folder)
    assert_same(folder, whole)


def test_a_disk_that_fills_up_leaves_what_was_there(config_file, tmp_path, whole):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    before = files(folder)
    more = "seeds=[0, 1, 2, 3]"  # by the programs that `whole` has compiled: nothing else is to be written
    assert "cannot write" in on_full_disk(20_000, "run", config_file, "--out", folder, "--set", more)
    assert files(folder) == before
    run_sweep(config(), folder)
    assert_same(folder, whole)


# --- what is told ---------------------------------------------------------------------------------------


def test_info_tells_where_results_come_from(whole, tmp_path):
    done = efsim("info", whole)
    assert "8 of 8 runs, complete" in done.stdout
    for expected in ("batches: 4, which took", "compiling", "MiB", "jax ", f"efsim run {whole}/config.toml"):
        assert expected in done.stdout
    found = json.loads(efsim("info", whole, "--json").stdout)
    assert found["complete"] and found["batches"] == BATCHES and found["peak_memory_bytes"] > 1e7
    assert 0 <= found["compile_seconds"] <= found["wall_seconds"]
    stored = json.loads(pq.read_schema(whole / "runs.parquet").metadata[METADATA])
    assert stored["environments"] == found["environments"] and stored["config"] == found["config"]


def test_info_of_a_sweep_that_is_not_complete(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_sweep(config(), folder)
    assert "8 of 8 runs, not complete" in efsim("info", folder).stdout


def test_folders_of_before_are_read(tmp_path, whole, config_file):
    """Complete ones: their provenance says less, and their batches have no metadata."""
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    for path in (folder / "traces").iterdir():
        with_metadata(path, None)
    origin = folder / "provenance.json"
    origin.write_text(json.dumps({"versions": {"jax": "0.10"}, "wall_seconds": 3.0, "batches": 4}))
    assert efsim("verify", folder).exit_code == efsim("verify", whole).exit_code
    assert "8 of 8 runs, complete" in efsim("info", folder).stdout
    assert efsim("diff", folder, whole, "--tolerance", 0).exit_code == 0
    assert "older efsim" in refused("run", config_file, "--out", folder)


def test_the_commands_of_info_repeat_the_sweep(whole):
    *_, again, compared = json.loads(efsim("info", whole, "--json").stdout)["repeat"]
    assert efsim(*shlex.split(again)[1:]).exit_code == 0
    done = efsim(*shlex.split(compared)[1:])
    assert done.exit_code == 0 and "8 identical" in done.stdout


def test_diff_names_a_run_that_differs(whole, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    path = sorted((folder / "traces").iterdir())[0]
    table = pq.read_table(path)
    losses = table.column("loss").to_numpy().copy()
    losses[7] *= 1 + 1e-3
    column = table.schema.get_field_index("loss")
    pq.write_table(
        table.set_column(column, "loss", pa.array(losses)).replace_schema_metadata(table.schema.metadata), path
    )
    done = efsim("diff", whole, folder)
    assert done.exit_code == 1 and table.column("run")[7].as_py() in done.stdout and "loss" in done.stdout
    assert efsim("diff", whole, folder, "--tolerance", 0.1).exit_code == 0
    assert "not a results folder" in refused("diff", whole, tmp_path)
