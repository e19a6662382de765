"""LAG: lazily aggregated gradients."""

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressors.identity import Identity
from simulator.constants import Constants
from simulator.distortion import ARITHMETIC_MEAN, MEAN_SQUARED, QUADRATIC_MEAN, Rates, family
from simulator.estimates import EstimatingMethod, Movement
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.parameters import check_number
from simulator.traffic import Size, dense, times

__all__ = ["LAG", "triggered"]


def triggered(known: Movement, trigger: Array | float) -> Array:
    """1 for the workers with |grad f_i(x+) - g_i|^2 > zeta |grad f_i(x+) - grad f_i(x)|^2, 0 for the others. -> [n]."""
    behind = jnp.sum((known.new - known.estimates) ** 2, axis=1)
    moved = jnp.sum((known.new - known.old) ** 2, axis=1)
    return 1.0 * (behind > trigger * moved)


def _rates(c: Constants) -> Rates:
    return Rates(1.0, c.method.trigger)


@frozen_pytree
class LAG(EstimatingMethod):
    """LAG: g_i+ = grad f_i(x+), in full, if |grad f_i(x+) - g_i|^2 > zeta |grad f_i(x+) - grad f_i(x)|^2, else g_i.

    Chen, Giannakis, Sun, Yin (arXiv 1805.09965), as a three point compressor (arXiv 2202.00998). trigger = zeta.

    Guarantees: those of `simulator/distortion.py` with A = 1, B = zeta.
    """

    trigger: float
    initial: Initial = static(default="gradient")
    kind = "lag"
    compressor = Identity()
    paper = papers.LAG
    theorems = family(
        "3PC (arXiv 2202.00998), LAG; weighted analysis derived",
        (QUADRATIC_MEAN, MEAN_SQUARED, ARITHMETIC_MEAN),
        _rates,
        "sqrt(zeta)",
        "1",
        assumptions=(),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("trigger", self.trigger, "[0, inf)")

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        sends = triggered(known, self.trigger)
        return jnp.where(sends[:, None] > 0, known.new, known.estimates), times(dense(known.new.shape[1]), sends)
