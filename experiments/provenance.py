"""Where results come from."""

import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from experiments.plan import Plan

__all__ = ["provenance"]

PACKAGES = ("efsim", "jax", "jaxlib", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn")


def provenance(plan: Plan, started: float) -> dict[str, Any]:
    """Versions, git commit, platform, device, seeds and times, for provenance.json. `started` is in epoch seconds."""
    return {
        "command": ["efsim", *sys.argv[1:]],
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(time.time() - started, 3),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "git": _git(),
        "platform": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
        "precision": plan.config.precision,
        "payload": plan.config.payload,
        "plugins": {path: _sha256(Path(path)) for path in plan.config.plugins},
        "seeds": plan.config.seeds,
        "runs": plan.config.num_runs,
        "batches": len(plan.batches),
    }


def _sha256(path: Path) -> str | None:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:  # it has gone since it was imported; the results are worth keeping
        return None


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
