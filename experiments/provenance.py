"""Where results come from: what was read, which software and machine computed them, and what it took."""

import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from experiments.config import Config
from experiments.runs import checksums, digest

__all__ = ["measured", "provenance", "taken"]

PACKAGES = ("efsim", "jax", "jaxlib", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn")
COMPILING = "/jax/core/compile/backend_compile_duration"  # JAX's name for the seconds that XLA takes for a program


def provenance(config: Config, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What provenance.json says of a sweep, made from what `measured` says of its parts, of which there is one.

    Raises:
        InvalidInput: data or a plugin that cannot be read any more.
    """
    return {
        "command": ["efsim", *sys.argv[1:]],
        "config": digest(config.raw),
        **checksums(config),
        "precision": config.precision,
        "payload": config.payload,
        "seeds": config.seeds,
        "runs": config.num_runs,
        **taken(parts),
    }


def taken(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What the parts of a sweep took together, and where they were computed."""
    environments = {digest(part["environment"]): part["environment"] for part in parts}
    counts = {key: sum(digest(part["environment"]) == key for part in parts) for key in environments}
    return {
        "batches": len(parts),
        "started": min(part["started"] for part in parts),
        "wall_seconds": round(sum(part["wall_seconds"] for part in parts), 3),
        "compile_seconds": round(sum(part["compile_seconds"] for part in parts), 3),
        "peak_memory_bytes": max(part["peak_memory_bytes"] for part in parts),
        "environments": [{"batches": counts[key]} | described for key, described in environments.items()],
    }


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """The software and the machine of this process."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "git": _git(),
        "platform": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
    }


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Where the block was computed and what it took; the figures are there when it ends."""
    begun, clock, compiling = datetime.now(UTC), time.perf_counter(), 0.0

    def compiled(event: str, duration_secs: float, **_: Any) -> None:
        nonlocal compiling
        compiling += duration_secs * (event == COMPILING)

    jax.monitoring.register_event_duration_secs_listener(compiled)
    found: dict[str, Any] = {"environment": environment(), "started": begun.isoformat(timespec="seconds")}
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(compiled)
        found["wall_seconds"] = round(time.perf_counter() - clock, 3)
        found["compile_seconds"] = round(compiling, 3)
        found["peak_memory_bytes"] = _peak_memory()


def _peak_memory() -> int:
    """Of this process since it began, in bytes; 0 on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts KiB


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and cleanliness of the checkout that the code runs from; None where it was installed without one."""
    folder = Path(__file__).parent

    def ask(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # an installed package may lie inside somebody else's repository
        if not ask("ls-files", Path(__file__).name):
            return None
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
