"""What all tests share: a strict JAX and bounded memory. Problems to test with are in `instances.py`."""

from collections.abc import Iterator

import jax
import pytest
from quick import quick_engine  # noqa: F401  (a fixture)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs() -> Iterator[None]:
    """Compiled programs are kept as long as JAX lives, and no module needs those of another."""
    yield
    jax.clear_caches()
