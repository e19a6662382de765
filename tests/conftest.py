"""What all tests share: a strict JAX and bounded memory. Problems to test with are in `instances.py`."""

import os
from collections.abc import Iterator

import jax
import pytest
from quick import quick_engine  # noqa: F401  (a fixture)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Compiled programs go to pytest's own cache, which all processes of a run share."""
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
