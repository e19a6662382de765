"""Sweeps on Dask: the results of the local executor, whatever becomes of a worker, and no more than loopback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.config
import distributed
import jax
import psutil
import pytest
from command_line import efsim, refused
from distributed import Client, LocalCluster

from experiments.differences import compare
from experiments.results import load_results
from simulator import engine

several_devices = pytest.mark.skipif(jax.device_count() < 2, reason="this process has one device")

CONFIG = """
name = "small"
plugins = [PLUGINS]
rounds = 12
record_every = 4
seeds = [0, 1]
[problem]
kind = "quadratic"
workers = 3
dim = 4
"""
TABLE = """
[[method]]
kind = "KIND"
stepsize = [0.1, 0.2]
"""
RANDOM = """
[[method]]
kind = "diana"
compressor = { kind = "rand-k", k = 2, scaled = true }
stepsize = [0.1, 0.2]
"""

# What follows happens in Dask workers only.
IN_WORKER = """
import os
import signal
import time
from pathlib import Path
import distributed
from experiments import checkpoint_files
from experiments.checkpoint_files import CheckpointFiles
from problems import frozen_pytree
from simulator import GD

HERE = Path(__file__).parent

def in_worker():
    try:
        return bool(distributed.get_worker())
    except ValueError:
        return False

class Happens:
    theorems = ()

    def init(self, problem, x0, key):
        if in_worker():
            self.happens()
        return super().init(problem, x0, key)
"""
METHODS = """
@frozen_pytree
class Deadly(Happens, GD):
    '''Kills its worker.'''
    kind = "NAME-deadly"

    def happens(self):
        os.kill(os.getpid(), signal.SIGKILL)

@frozen_pytree
class Broken(Happens, GD):
    '''Cannot be computed.'''
    kind = "NAME-broken"

    def happens(self):
        raise ArithmeticError("out of order")
"""
# Checkpoints after every chunk; what `noted` does after one, it does once.
CHECKPOINTS = """
offer, load = CheckpointFiles.offer, CheckpointFiles.load

def offered(self, name, arrays):
    checkpoint_files.LEAST_PAUSE, checkpoint_files.SHARE = 0.0, 1e9
    self._next = 0.0
    offer(self, name, arrays)
    if not (HERE / "once").exists():
        (HERE / "once").touch()
        noted()
    time.sleep(PAUSE)

def loaded(self, name):
    arrays = load(self, name)
    with (HERE / "loaded").open("a") as file:
        file.write("begun\\n" if arrays is None else "resumed\\n")
    return arrays

if in_worker():
    CheckpointFiles.offer, CheckpointFiles.load = offered, loaded
"""


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Of the processes that are started here; and Dask sets variables of this process for its workers."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    assert not [each.cmdline() for each in psutil.Process().children(recursive=True) if is_worker(each)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def written(folder: Path, *parts: str, plugin: str = "") -> Path:
    """A config of these parts in a folder of its own, with its plugin."""
    folder.mkdir()
    (folder / "plugin.py").write_text(plugin)
    path = folder / "small.toml"
    path.write_text("".join([CONFIG.replace("PLUGINS", '"plugin.py"' if plugin else ""), *parts]))
    return path


def table(kind: str) -> str:
    return TABLE.replace("KIND", kind)


def run(config: Path, folder: Path, *options: object) -> Any:
    done = efsim("run", config, "--out", folder, *options)
    assert done.exit_code == 0, done.output
    return done


def assert_identical(first: Path, second: Path) -> None:
    ours, theirs = load_results(first), load_results(second)
    comparison = compare(ours, theirs, 0)
    assert len(comparison.identical) == len(ours.runs) == len(theirs.runs) > 0
    assert not comparison.columns_only_first + comparison.columns_only_second


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses and ports at which they can be reached."""
    sockets = [socket for process in processes for socket in process.net_connections() if socket.status == "LISTEN"]
    return {(socket.laddr.ip, socket.laddr.port) for socket in sockets}


# --- a cluster of our own -------------------------------------------------------------------------------------------


@several_devices
def test_a_cluster_of_our_own_gives_the_same_bits_and_only_this_machine_can_reach_it(tmp_path, monkeypatch):
    """The second problem is large enough for two devices, and for BLAS to divide what it is made of."""
    split, reached, before = set(), set(), listening([psutil.Process()])

    def noted_mesh(*arguments: Any, mesh: Any = engine.workers_mesh) -> Any:
        split.add((found := mesh(*arguments)).size)
        return found

    class Noted(LocalCluster):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            workers = [each for each in psutil.Process().children() if is_worker(each)]
            assert len(workers) == len(os.sched_getaffinity(0))
            reached.update(listening([psutil.Process(), *workers]) - before)

    monkeypatch.setattr(engine, "workers_mesh", noted_mesh)
    monkeypatch.setattr(distributed, "LocalCluster", Noted)
    many = ", ".join(f"{step / 100}" for step in range(1, 33))
    large = '[[problem]]\nkind = "quadratic"\nworkers = 16\ndim = 150\n'
    config = written(tmp_path / "own", RANDOM, table("gd").replace("0.1, 0.2", many))
    config.write_text(config.read_text().replace("[problem]", f"{large}[[problem]]"))
    run(config, tmp_path / "local")
    assert split == {1, 2}
    split.clear()
    done = run(config, tmp_path / "dask", "--dask")
    assert not split  # nothing was computed here
    assert "dashboard of the cluster: http://127.0.0.1:" in done.stdout
    assert_identical(tmp_path / "local", tmp_path / "dask")
    (environment,) = load_results(tmp_path / "dask").provenance["environments"]
    assert len(environment["devices"]) == jax.device_count() and environment["batches"] == 4
    assert len(reached) > 3 and {address for address, _ in reached} == {"127.0.0.1"}
    assert not list((tmp_path / "dask").rglob(".stop"))


def test_a_worker_that_dies_costs_no_batch_but_one_that_kills_it_every_time(tmp_path):
    """Killed once in the middle, `gd` goes on from its checkpoint; the rest of the sweep can be computed later."""
    deaths = "\ndef noted():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    plugin = IN_WORKER + METHODS.replace("NAME", "once") + "PAUSE = 0.0\n" + deaths + CHECKPOINTS
    config = written(tmp_path / "once", table("gd"), table("once-deadly"), RANDOM, plugin=plugin)
    config.write_text(config.read_text().replace("rounds = 12\nrecord_every = 4", "rounds = 300"))
    run(config, tmp_path / "local")
    assert not (tmp_path / "once" / "loaded").exists()
    done = efsim("run", config, "--out", tmp_path / "dask", "--dask")
    assert done.exit_code == 1
    assert "efsim: 1 of 3 batches failed; the others are in" in done.stderr
    (reason,) = (line for line in done.stderr.splitlines() if "(once-deadly on quadratic, 2 runs)" in line)
    assert reason.endswith("its worker died every time; out of memory, perhaps")
    assert "resumed" in (tmp_path / "once" / "loaded").read_text()
    assert len(list((tmp_path / "dask" / "traces").iterdir())) == 2

    done = run(config, tmp_path / "dask")
    assert "6 of 8 runs are there already" in done.stdout
    assert_identical(tmp_path / "local", tmp_path / "dask")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command to make certificates with")
def test_with_certificates_only_who_has_one_can_connect(tmp_path, monkeypatch):
    refusals = []

    class Locked(LocalCluster):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            assert self.scheduler_address.startswith("tls://127.0.0.1:")
            plain = self.scheduler_address.replace("tls://", "tcp://")
            try:
                Client(plain, timeout=1).close()
            except OSError as error:
                refusals.append(error)

    monkeypatch.setattr(distributed, "LocalCluster", Locked)
    config = written(tmp_path / "tls", table("gd"))
    run(config, tmp_path / "local")
    run(config, tmp_path / "dask", "--dask", "--dask-tls", *certificates(tmp_path))
    assert_identical(tmp_path / "local", tmp_path / "dask")
    assert len(refusals) == 1


def certificates(folder: Path) -> list[Path]:
    """An authority's certificate, one that it has signed, and the key of that."""
    ca, ca_key, certificate, key, request = (folder / f"{name}.pem" for name in ("ca", "ca-key", "cert", "key", "csr"))
    for command in (
        f"req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -days 2 -keyout {ca_key} -out {ca}",
        f"req -newkey rsa:2048 -nodes -subj /CN=efsim -keyout {key} -out {request}",
        f"x509 -req -in {request} -CA {ca} -CAkey {ca_key} -CAcreateserial -days 2 -out {certificate}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    return [ca, certificate, key]


@pytest.mark.soak
def test_a_method_whose_constants_kill_a_worker_takes_no_other_along(tmp_path):
    """Workers prepare all that is left of a problem at once; the batches that die of that are tried alone."""
    killer = "kind = 'built-deadly'\n\n    def resolved(self, problem):\n"
    killer += "        return self.happens() if in_worker() else self"
    methods = METHODS.replace("NAME", "built").replace('kind = "built-deadly"', killer)
    config = written(tmp_path / "built", table("gd"), table("built-deadly"), RANDOM, plugin=IN_WORKER + methods)
    done = efsim("run", config, "--out", tmp_path / "dask", "--dask")
    assert done.exit_code == 1 and "1 of 3 batches failed" in done.stderr, done.output
    run(config, tmp_path / "dask")
    run(config, tmp_path / "local")
    assert_identical(tmp_path / "local", tmp_path / "dask")


def test_interrupted_a_sweep_leaves_checkpoints_and_no_processes(tmp_path):
    """The signal reaches all processes, as Ctrl-C in a terminal does."""
    plugin = IN_WORKER + "PAUSE = 0.1\n\ndef noted():\n    os.killpg(os.getpgid(0), signal.SIGINT)\n" + CHECKPOINTS
    config = written(tmp_path / "slow", table("gd"), plugin=plugin)
    config.write_text(config.read_text().replace("rounds = 12\nrecord_every = 4", "rounds = 10_000"))
    done = started(config, tmp_path / "dask")
    assert done.returncode == 130, done.stderr
    assert "stopping after this chunk of rounds" in done.stderr
    assert f"kept in {tmp_path / 'dask'}, and the same command goes on from there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "dask" / "traces").iterdir()) and list((tmp_path / "dask" / "checkpoints").iterdir())
    assert not (tmp_path / "dask" / ".stop").exists()

    bare = tmp_path / "bare"
    run(config, tmp_path / "dask")
    run(config, bare)
    assert_identical(bare, tmp_path / "dask")


def started(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A sweep of an own cluster, in a process group of its own, which is empty when it ends."""
    command = [sys.executable, "-m", "experiments.cli", "run", str(config), "--out", str(folder), "--dask"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, told = process.communicate(timeout=60)
        finally:
            left = members(process.pid)
            for each in left:
                each.kill()
    assert not left
    return subprocess.CompletedProcess(command, process.returncode, out, told)


def members(group: int) -> list[psutil.Process]:
    """The workers of a process group."""
    return [each for each in psutil.process_iter() if is_worker(each) and os.getpgid(each.pid) == group]


# --- a cluster that is there ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as found:
        yield found


def test_a_cluster_that_is_there(cluster, tmp_path):
    config = written(tmp_path / "there", table("gd"), RANDOM)
    run(config, tmp_path / "local")
    run(config, tmp_path / "dask", "--dask", cluster.scheduler_address)
    assert_identical(tmp_path / "local", tmp_path / "dask")
    with Client(cluster.scheduler_address) as client:
        workers: Any = client.nthreads()
        assert len(workers) == 1  # it is not ours to stop


def test_a_batch_that_fails_is_named_and_the_others_are_computed(cluster, tmp_path):
    plugin = IN_WORKER + METHODS.replace("NAME", "failing")
    config = written(tmp_path / "failing", table("failing-broken"), table("gd"), plugin=plugin)
    dask_option = ("--dask", cluster.scheduler_address)
    done = efsim("run", config, "--out", tmp_path / "fast", *dask_option, "--fail-fast")
    assert done.exit_code == 1 and not list((tmp_path / "fast" / "traces").iterdir())
    done = efsim("run", config, "--out", tmp_path / "dask", *dask_option)
    assert done.exit_code == 1
    assert "efsim: 1 of 2 batches failed" in done.stderr
    assert "(failing-broken on quadratic, 2 runs): ArithmeticError: out of order" in done.stderr
    assert "Traceback" in done.stderr and "in happens" in done.stderr
    assert len(list((tmp_path / "dask" / "traces").iterdir())) == 1


def test_a_worker_that_cannot_read_the_config_fails_its_batches(cluster, tmp_path):
    plugin = IN_WORKER + "if in_worker():\n    raise ImportError('no such library here')\n"
    config = written(tmp_path / "lacking", table("gd"), RANDOM, plugin=plugin)
    done = efsim("run", config, "--out", tmp_path / "dask", "--dask", cluster.scheduler_address)
    assert done.exit_code == 1 and "2 of 2 batches failed" in done.stderr, done.output
    assert "ImportError: no such library here" in done.stderr


def test_a_scheduler_that_goes_away(tmp_path):
    """A worker's batch stops its scheduler, so to speak: it has begun when the cluster is closed."""
    plugin = IN_WORKER + "PAUSE = 0.1\n\ndef noted():\n    os.kill(os.getppid(), signal.SIGKILL)\n" + CHECKPOINTS
    config = written(tmp_path / "gone", table("gd"), plugin=plugin)
    config.write_text(config.read_text().replace("rounds = 12\nrecord_every = 4", "rounds = 10_000"))
    with scheduler_elsewhere() as address:
        told = refused("run", config, "--out", tmp_path / "dask", "--dask", address)
    assert f"efsim: the Dask scheduler is gone; what is done is kept in {tmp_path / 'dask'}" in told


@contextmanager
def scheduler_elsewhere() -> Iterator[str]:
    """The address of a cluster in a process of its own."""
    code = "from distributed import LocalCluster\nif __name__ == '__main__':\n    " + "; ".join(
        [
            "cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address='127.0.0.1:0')",
            "print(cluster.scheduler_address, flush=True)",
            "input()",
        ]
    )
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.kill()


# --- what a user can get wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dask", "tcp://127.0.0.1:9"], "cannot reach the Dask scheduler tcp://127.0.0.1:9: Timed out"),
        (["--dask", "somewhere"], "cannot reach the Dask scheduler somewhere: missing port number"),
        (["--dask", "mail://127.0.0.1:9"], "unknown address scheme 'mail'"),
        (["--dask", "tls://127.0.0.1:9"], "cannot reach the Dask scheduler tls://127.0.0.1:9: TLS expects"),
        (["--dask", "tcp://127.0.0.1:9", "--dask-host", "::"], "--dask-host is for a cluster of this machine"),
        (["--dask-host", "127.0.0.1"], "--dask-host and --dask-tls are for --dask"),
        (["--dask-tls", "a", "b", "c"], "--dask-host and --dask-tls are for --dask"),
        (["--dask", "--dask-tls", "no.pem", "b", "c"], "--dask-tls cannot use no.pem, b and c: [Errno 2]"),
    ],
)
def test_what_cannot_be_reached_or_used_is_told(options, expected, tmp_path):
    config = written(tmp_path / "wrong", table("gd"))
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        assert expected in refused("run", config, "--out", tmp_path / "out", *options)


def test_files_that_are_no_certificates(tmp_path):
    config = written(tmp_path / "wrong", table("gd"))
    told = refused("run", config, "--out", tmp_path / "out", "--dask", "--dask-tls", config, config, config)
    assert f"--dask-tls cannot use {config}, " in told


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    config = written(tmp_path / "without", table("gd"))
    told = refused("run", config, "--out", tmp_path / "out", "--dask")
    assert "--dask needs Dask, which is an extra: pip install 'efsim[dask]'" in told


def test_a_cluster_listens_elsewhere_only_where_it_is_told_to(tmp_path, monkeypatch):
    told: dict[str, Any] = {}

    def refusing(**options: Any) -> None:
        told.update(options)
        raise OSError("seen enough")

    monkeypatch.setattr(distributed, "LocalCluster", refusing)
    config = written(tmp_path / "host", table("gd"))
    assert "seen enough" in refused("run", config, "--out", tmp_path / "out", "--dask", "--dask-host", "0.0.0.0")
    assert (told["host"], told["dashboard_address"]) == (
        "0.0.0.0",
        "127.0.0.1:0",
    )  # the dashboard asks nobody who it is
    refused("run", config, "--out", tmp_path / "out", "--dask")
    assert (told["host"], told["dashboard_address"]) == ("127.0.0.1", "127.0.0.1:0")
