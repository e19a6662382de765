"""Compiling little, and seeing what is compiled."""

import logging
from collections.abc import Callable
from functools import partial

import jax
import pytest

from simulator import engine, program

__all__ = ["compilations", "quick_engine", "quick_jit"]

# For tests whose time is compilation, of which XLA's optimiser would take most. What the engine compiles is optimised.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

# made once: jit finds its programs by the function that it is called on
QUICK_START = quick_jit(program.start.__wrapped__, static_argnums=0)
QUICK_ADVANCE = quick_jit(program.advance.__wrapped__, static_argnums=0, donate_argnums=3)


@pytest.fixture
def quick_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's programs without XLA's optimiser."""
    monkeypatch.setattr(engine, "start", QUICK_START)
    monkeypatch.setattr(engine, "advance", QUICK_ADVANCE)


def compilations(caplog: pytest.LogCaptureFixture, call: Callable[[], object]) -> list[str]:
    """What XLA compiles, or takes from a cache of compiled programs, while `call` runs."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        call()
    return [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.getMessage()]
