"""What all tests share: a strict JAX and bounded memory. Problems to test with are in `instances.py`."""

import os
from collections.abc import Iterator

import jax
import pytest
from compiling import quick_compiler

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Programs are optimised little, but in long runs, and go to pytest's own cache, which all processes share."""
    if config.option.markexpr != "soak":
        quick_compiler()
    if not hasattr(config, "cache"):  # -p no:cacheprovider
        return
    folder = str(config.cache.mkdir("compiled"))
    jax.config.update("jax_compilation_cache_dir", folder)
    os.environ["EFSIM_COMPILATION_CACHE"] = folder


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs() -> Iterator[None]:
    """Compiled programs are kept as long as JAX lives, and no module needs those of another."""
    yield
    jax.clear_caches()
