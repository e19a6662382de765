"""What the benchmark says: a table a workload, a summary in Markdown, growth, and everything as JSON."""

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np

from experiments.tables import markdown, render
from tests.benchmarks.growth import Growth
from tests.benchmarks.limits import Machine, least_seconds
from tests.benchmarks.measure import Measurement, Times

__all__ = ["as_json", "environment", "growth_table", "machine_lines", "summary", "workload_report"]

RIVALS = ("a", "b1", "b", "c", "d")
GIGA = 1e9
LEGEND = """Milliseconds are of one round of all S runs. Time / limit is that of the unchecked engine, in brackets that
of the engine. Below a letter stands the time of a round there over that of the unchecked engine, in brackets over that
of the engine."""


def environment() -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
        "backend": jax.default_backend(),
        "devices": [f"{device} ({device.device_kind})" for device in jax.devices()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def machine_lines(machine: Machine) -> str:
    """The machine and the limits that were measured on it."""
    about = environment()
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores; {versions}; {', '.join(about['devices'])}\n"
        f"Largest rates seen in this run, float64: {machine.flops / GIGA:.0f} GFLOP/s (matrix products), "
        f"{machine.bandwidth / GIGA:.1f} GB/s (copy, bytes read and written)"
    )


def workload_report(measured: Measurement) -> str:
    """Milliseconds and ratios of every contestant on one workload, and the rounds and stepsizes that a sample timed."""
    sizes = f"n = {measured.workers}, d = {measured.dim}, k = {measured.k}, S = {measured.runs}"
    repetitions = len(measured.times["engine"].samples)
    header = ("", "ms a round", "times the engine", "spread", "times unchecked", "spread", "rounds", "stepsizes")
    rows = [_row(measured, key, times) for key, times in measured.times.items()]
    calls = [_call_line(times) for times in measured.times.values() if times.first_call is not None]
    return "\n".join(
        [f"{measured.name}: {sizes}; repetitions: {repetitions}", "", render(header, rows), "", *calls, ""]
    )


def _row(measured: Measurement, key: str, times: Times) -> tuple[str, ...]:
    ratios = [cell for to in ("engine", "unchecked") for cell in _ratio_cells(_ratios(measured, key, to))]
    scaled = f", scaled to {measured.runs}" if times.lanes < measured.runs else ""
    return (times.label, _milliseconds(_round_seconds(times)), *ratios, str(times.rounds), f"{times.lanes}{scaled}")


def _ratio_cells(ratios: list[float]) -> tuple[str, str]:
    return f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"


def _ratios(measured: Measurement, key: str, to: str) -> list[float]:
    """Time over time, within every repetition."""
    pairs = zip(measured.times[key].samples, measured.times[to].samples, strict=True)
    return [own.round / other.round for own, other in pairs]


def _round_seconds(times: Times) -> float:
    return median(sample.round for sample in times.samples)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"


def _call_line(times: Times) -> str:
    fixed = median(sample.call for sample in times.samples)
    return (
        f"{times.label}: a call takes {_milliseconds(fixed)} ms beyond its rounds, "
        f"the first took {times.first_call:.2f} s more"
    )


def summary(measured: list[Measurement], machine: Machine) -> str:
    """One row a workload, as a Markdown table below what it says."""
    header = ("workload", "engine, ms", "unchecked, ms", "checks cost", "limit, ms", "time / limit", *_named(RIVALS))
    rows = [_summary_row(one, least_seconds(one.work, machine)) for one in measured]
    return f"{LEGEND}\n\n{markdown(header, rows)}"


def _named(rivals: Sequence[str]) -> list[str]:
    return [f"({rival})" for rival in rivals]


def _summary_row(measured: Measurement, limit: float) -> list[str]:
    engine, unchecked = (_round_seconds(measured.times[key]) for key in ("engine", "unchecked"))
    checks = median(_ratios(measured, "engine", "unchecked")) - 1
    return [
        *(measured.name, _milliseconds(engine), _milliseconds(unchecked), f"{100 * checks:.0f}%"),
        *(_milliseconds(limit), f"{unchecked / limit:.1f} ({engine / limit:.1f})"),
        *(_summary_ratios(measured, rival) for rival in RIVALS),
    ]


def _summary_ratios(measured: Measurement, rival: str) -> str:
    if rival not in measured.times:
        return "-"
    unchecked, engine = (median(_ratios(measured, rival, to)) for to in ("unchecked", "engine"))
    return f"{unchecked:.1f} ({engine:.1f})"


def growth_table(growth: list[Growth]) -> str:
    """Exponents with 95% intervals, and what they were fitted to."""
    header = ("varied", "over", "time ~", "memory ~", "ms", "MB")
    return render(header, [_growth_row(one) for one in growth])


def _growth_row(growth: Growth) -> tuple[str, ...]:
    fits = [f"{fit.exponent:.2f} +- {fit.margin:.2f}" for fit in (growth.time, growth.memory)]
    times = " ".join(_milliseconds(cost.seconds) for cost in growth.costs)
    memory = " ".join(f"{cost.bytes / 1e6:.3g}" for cost in growth.costs)
    return (growth.axis, " ".join(map(str, growth.values)), *fits, times, memory)


def as_json(measured: list[Measurement], machine: Machine, growth: list[Growth]) -> dict[str, Any]:
    """Everything, in seconds, bytes and flops a second; None where there is no number."""
    return _plain(
        {
            "environment": environment(),
            "machine": machine,
            "workloads": [one._asdict() | {"limit_seconds": least_seconds(one.work, machine)} for one in measured],
            "growth": growth,
        }
    )


def _plain(value: Any) -> Any:
    """Named tuples as dictionaries, and NaN, which JSON does not have, as None."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
