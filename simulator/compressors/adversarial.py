"""Adversarial: an error of the largest size that an alpha allows, in a direction of choice."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from problems import InvalidInput, frozen_pytree, static
from problems.arrays import as_floats
from problems.errors import unknown_name
from simulator.compressor import Compressor
from simulator.norms import norm
from simulator.parameters import check_number
from simulator.traffic import Size, dense

__all__ = ["Adversarial", "Direction"]

Direction = Literal["random", "inward", "outward"]


@frozen_pytree
class Adversarial(Compressor):
    """C(x) = x + sqrt(1 - alpha) |x| u with a unit vector u: no compression, but a tool for tests and worst cases.

    The error is (1 - alpha) |x|^2 for every x: no compressor with this alpha has a larger one. u is
        random: uniform on the sphere, so that C is unbiased with omega = 1 - alpha;
        inward: -x/|x|, C(x) = (1 - sqrt(1 - alpha)) x; outward: x/|x|, C(x) = (1 + sqrt(1 - alpha)) x;
        `chosen`, normalised, where it is given, whatever the direction.
    """

    alpha: float
    direction: Direction = static(default="random")
    chosen: Array | None = None  # [d]
    kind = "adversarial"
    positively_homogeneous = True

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, "(0, 1]")
        if self.direction not in ("random", "inward", "outward"):
            raise unknown_name("direction", str(self.direction), ("random", "inward", "outward"))
        if self.chosen is not None:
            chosen = as_floats("chosen", self.chosen)
            if chosen.ndim != 1 or not np.all(np.isfinite(chosen)) or not np.any(chosen):
                raise InvalidInput(f"chosen must be a vector [d] of finite numbers, not all 0, not {self.chosen!r}")
            object.__setattr__(self, "chosen", jnp.asarray(chosen))

    @property
    def deterministic(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.chosen is not None or self.direction != "random"

    @property
    def keeps_zeros(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.chosen is None and self.direction != "random"

    def compress(self, key: Array, x: Array) -> Array:
        length = jnp.asarray((1 - self.alpha) ** 0.5, x.dtype)
        if self.keeps_zeros:
            return (1 + length if self.direction == "outward" else 1 - length) * x
        if self.chosen is None:
            towards = jax.random.normal(key, x.shape, x.dtype)
        else:
            towards = jnp.broadcast_to(jnp.asarray(self.chosen, x.dtype), x.shape)
        return x + length * norm(x) * (towards / norm(towards))

    def contraction(self, dim: int) -> float:
        return self.alpha

    def variance(self, dim: int) -> float | None:
        if not self.deterministic:
            return 1 - self.alpha
        return 0.0 if self.alpha == 1 else None

    def bias_and_deviation(self, dim: int) -> tuple[float, float]:
        error = 1 - self.alpha
        return (error**0.5, 0.0) if self.deterministic else (0.0, error)

    def size(self, message: Array, entries: int) -> Size:
        return dense(entries)

    def check(self, dim: int, workers: int) -> None:
        if self.chosen is not None and self.chosen.shape != (dim,):
            raise InvalidInput(f"chosen must have d = {dim} entries, not {self.chosen.shape[0]}")
