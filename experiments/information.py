"""What `efsim info` tells of a results folder: how far it is, where it comes from, what repeats it."""

from pathlib import Path
from shlex import join
from typing import Any

from experiments.clock import Clock
from experiments.provenance import taken
from experiments.results import load_config, load_provenance
from experiments.store import CONFIG, Store

__all__ = ["information", "render_information"]


def information(folder: Path) -> dict[str, Any]:
    """The provenance of what a results folder holds, complete or not, and the commands that repeat its sweep.

    Raises:
        InvalidInput: it is no results folder, or its files cannot be read.
    """
    config, store = load_config(folder), Store(folder)
    if store.complete:
        done, found = config.num_runs, load_provenance(folder)
    else:
        batches = store.done()
        done = sum(len(batch.ids) for batch in batches)
        found = taken([batch.taken for batch in batches]) if batches else {}
    state = {"name": config.name, "complete": store.complete, "runs_done": done, "runs": config.num_runs}
    state |= {} if config.clock is None else {"clock": config.clock.model_dump()}
    return state | found | {"repeat": _repeat(folder, found.get("environments", []))}


def _repeat(folder: Path, environments: list[dict[str, Any]]) -> list[str]:
    """Commands: the package as it was, if one commit says that, and the sweep into a new folder."""
    commits = {environment["git"]["commit"] for environment in environments if environment["git"]}
    checkout = [join(["git", "checkout", commit]) for commit in commits] if len(commits) == 1 else []
    again = folder.with_name(f"{folder.name}-again")
    run = join(["efsim", "run", str(folder / CONFIG), "--out", str(again)])
    return [*checkout, run, join(["efsim", "diff", str(folder), str(again)])]


def render_information(found: dict[str, Any]) -> str:
    """As text, a line each."""
    state = "complete" if found["complete"] else "not complete"
    lines = [f"{found['name']}: {found['runs_done']} of {found['runs']} runs, {state}"]
    if "clock" in found:
        lines.append(f"simulated time, by the cost model of the config: {Clock.model_validate(found['clock'])}")
    if found.get("environments"):
        lines += [
            f"begun {found['started']}; batches: {found['batches']}, which took {found['wall_seconds']:.1f} s, "
            f"{found['compile_seconds']:.1f} s of it compiling; {found['peak_memory_bytes'] / 2**20:.0f} MiB at most",
            *(_environment(environment) for environment in found["environments"]),
        ]
    lines += [
        f"{kind} {name}: sha256 {value}" for kind in ("data", "plugins") for name, value in found.get(kind, {}).items()
    ]
    if "config" in found:
        lines.append(f"config {found['config']}, {found['precision']}, run as: {join(found['command'])}")
    return "\n".join([*lines, "to repeat it:", *(f"  {command}" for command in found["repeat"])])


def _environment(environment: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    git = environment["git"]
    commit = "" if git is None else f"; commit {git['commit']}" + (" with changes" if git["dirty"] else "")
    devices = ", ".join(environment["devices"])
    return f"{environment['batches']} of them on {environment['platform']}, {devices}: {versions}{commit}"
