"""How JAX is set up for this package; where a user has set something, that stays."""

import hashlib
import os
import time
from pathlib import Path

import jax
import pooch

__all__ = ["set_up_jax"]

CACHE = "EFSIM_COMPILATION_CACHE"
KEPT = 30 * 24 * 3600  # seconds that a compiled program is kept


def set_up_jax() -> None:
    """Switch JAX to float64, to one device a core, and to keeping compiled programs.

    float64 is what descent inequalities need: in float32 a sixth of the rounds of a correct method would seem to
    violate its theorem. One device a core, because XLA runs a batched matrix product on one thread a device. Compiled
    programs are kept in the user's cache folder, or in the folder that the environment variable EFSIM_COMPILATION_CACHE
    names; "off" keeps none.
    """
    jax.config.update("jax_enable_x64", True)
    _make_cores_devices()
    _keep_compiled_programs()


def _make_cores_devices() -> None:
    chosen = jax.config.values["jax_num_cpu_devices"] != -1
    if not (chosen or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")):
        try:
            jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
        except (AttributeError, RuntimeError):  # not on this system; or JAX is in use already, with the devices it has
            return


def _keep_compiled_programs() -> None:
    folder = os.environ.get(CACHE) or pooch.os_cache("efsim") / "compiled"
    if folder == "off" or jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = Path(folder) / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old_programs(folder)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _forget_old_programs(folder: Path) -> None:
    oldest = time.time() - KEPT
    for file in folder.iterdir():
        if file.stat().st_mtime < oldest:
            file.unlink(missing_ok=True)


def _processor() -> str:
    """A name for what programs are compiled for: machines that share a home folder may differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{os.uname().machine}-{hashlib.sha256(flags.encode()).hexdigest()[:8]}"
