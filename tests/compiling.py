"""Compiling little, and seeing what is compiled."""

import logging
import os
from collections.abc import Callable

import jax
import pytest

__all__ = ["compilations", "quick_compiler"]

# Tests run small programs for a few rounds: compiling them is most of the time, and XLA's optimiser most of that. With
# these the suite takes half as long. `make soak` and the benchmarks run what users run.
QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)


def quick_compiler() -> None:
    """Have XLA optimise little, in this process and those that it starts; call it before JAX compiles anything."""
    os.environ["XLA_FLAGS"] = " ".join([*QUICK, os.environ.get("XLA_FLAGS", "")])


def compilations(caplog: pytest.LogCaptureFixture, call: Callable[[], object]) -> list[str]:
    """What XLA compiles, or takes from a cache of compiled programs, while `call` runs."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        call()
    return [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.getMessage()]
