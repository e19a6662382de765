"""`efsim run --dry-run`: the plan and what it will take, of which only what does not depend on a clock is tested.

How far the estimates of time are off was measured by hand: the configs that are shipped, with fewer rounds, estimated,
and then run in a process without a cache of compiled programs.
"""

import json
import re
from pathlib import Path

import pytest
from command_line import SMALL, efsim, refused

from experiments.config import parse_config
from experiments.dry_run import render_forecast
from experiments.estimate import PROCESS, Cost, Machine, costs, measured_machine, total
from experiments.plan import make_plan
from experiments.raw_config import apply_overrides, read_raw

MACHINE = Machine(speed=1e10, slowness=1.0)
METHODS = """
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = [1, 2] }
stepsize = { rule = ["quadratic-mean", "arithmetic-mean"] }
[[method]]
kind = "gd"
stepsize = 0.1
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL + METHODS)
    return path


def estimated(config: Path, *overrides: str, machine: Machine = MACHINE) -> list[Cost]:
    return costs(make_plan(parse_config(apply_overrides(read_raw(config), overrides))), machine)


def test_the_plan_is_told_and_nothing_is_written(config, tmp_path):
    done = efsim("run", config, "--out", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0 and not (tmp_path / "out").exists()
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("ef21 ", "gd "))]
    assert [row[:2] for row in rows] == [["ef21", "quadratic"], ["ef21", "quadratic"], ["gd", "quadratic"]]
    assert all("60" in row for row in rows)
    for told in ("3 batches to compute into", r"time: about \S+ (s|min)", r"memory: about \d+ MiB", "disk: about"):
        assert re.search(told, done.stdout)


def test_what_is_there_already_is_left_out(config, tmp_path):
    folder, more = tmp_path / "out", ("--set", "method.1.stepsize=[0.1, 0.2]")
    assert efsim("run", config, "--out", folder).exit_code == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    assert "nothing to compute: all 5 runs are in" in efsim("run", config, "--out", folder, "--dry-run").stdout
    found = json.loads(efsim("run", config, "--out", folder, *more, "--dry-run", "--json").stdout)
    assert (found["runs"], found["runs_done"], len(found["batches"])) == (6, 5, 1)
    assert found["batches"][0]["method"] == {"kind": "gd"} and found["batches"][0]["runs"] == 1
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_what_run_refuses_is_refused(config, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "holds files that are not results" in refused("run", config, "--out", tmp_path, "--dry-run")
    too_large = ("--set", "method.0.compressor.k=9")
    assert "k = 9 is larger than the dimension" in refused("run", config, "--dry-run", *too_large)


def test_batches_of_one_shape_compile_once(config):
    first, second, gd = estimated(config)
    assert first.compiling > 0 and second.compiling == 0 and gd.compiling > 0  # k is data
    other = estimated(config, "problem.dim=[4, 5]")
    assert sum(part.compiling > 0 for part in other) == 4


def test_time_grows_with_the_rounds_from_what_a_round_takes_to_begin_to_its_work(config):
    few, many = (total(estimated(config, f"rounds={rounds}")) for rounds in (1000, 2000))
    assert many.computing == pytest.approx(2 * few.computing) and many.compiling == few.compiling
    slow = total(estimated(config, machine=Machine(1e10, 3.0)))
    assert slow.seconds == pytest.approx(3 * total(estimated(config)).seconds)  # small problems: no product matters
    work = [total(estimated(config, machine=Machine(speed, 1.0))).computing for speed in (1e3, 2e3)]
    assert work[0] == pytest.approx(2 * work[1])  # on so slow a machine nothing else does


def test_memory_and_disk_grow_with_what_is_kept(config):
    small, large = (total(estimated(config, f"problem.dim={dim}")) for dim in (4, 400))
    assert PROCESS < small.memory < large.memory and large.disk == small.disk
    often = total(estimated(config, "record_every=1"))
    assert often.disk > small.disk and often.computing == small.computing


def test_disk_is_estimated_within_a_factor_of_three(config, tmp_path):
    assert efsim("run", config, "--out", tmp_path).exit_code == 0
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 1 / 3 < total(estimated(config)).disk / written < 3


def test_the_machine_is_measured():
    machine = measured_machine()
    assert machine.speed > 0 and machine.slowness > 0


@pytest.mark.parametrize(
    ("seconds", "size", "told"),
    [(0.5, 10.0, ("0.5 s", "10 B")), (600.0, 2e6, ("10 min", "1.91 MiB")), (7200.0, 5e10, ("2 h", "46.6 GiB"))],
)
def test_times_and_sizes_are_told_in_units_to_read(seconds, size, told):
    batch = {"method": {"kind": "gd"}, "problem": {"kind": "quadratic"}, "runs": 1, "rounds": 2}
    figures = {"seconds": seconds, "compile_seconds": 0.0, "memory_bytes": size, "disk_bytes": size}
    whole = {"folder": "out", "runs": 1, "runs_done": 0, "accuracy": 3.0, "batches": [batch | figures]} | figures
    text = render_forecast(whole)
    assert f"time: about {told[0]}" in text and f"disk: about {told[1]}" in text
