"""CLAG: lazily aggregated compressed gradients."""

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants, beta, theta
from simulator.distortion import ARITHMETIC_MEAN, MEAN_SQUARED, QUADRATIC_MEAN, Rates, family
from simulator.estimates import EstimatingMethod, Movement, follow
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.methods.lag import triggered
from simulator.parameters import check_number
from simulator.traffic import Size, times

__all__ = ["CLAG"]


def _rates(c: Constants) -> Rates:
    return Rates(theta(c.alpha), jnp.maximum(beta(c.alpha), c.method.trigger))


@frozen_pytree
class CLAG(EstimatingMethod):
    """CLAG: g_i+ = g_i + C(v_i - g_i), v_i = grad f_i(x+), if |v_i - g_i|^2 > zeta |v_i - grad f_i(x)|^2, else g_i.

    Richtarik, Sokolov, Gasanov, Fatkhullin, Li, Gorbunov (arXiv 2202.00998). trigger = zeta; zeta = 0 is EF21.

    Guarantees: those of `simulator/distortion.py` with A = theta, B = max{beta, zeta}.
    """

    compressor: Compressor
    trigger: float
    initial: Initial = static(default="gradient")
    kind = "clag"
    paper = papers.THREE_PC
    theorems = family(
        "3PC (arXiv 2202.00998), CLAG; weighted analysis derived",
        (QUADRATIC_MEAN, MEAN_SQUARED, ARITHMETIC_MEAN),
        _rates,
        "sqrt(max(beta, zeta) / theta)",
        "theta",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("trigger", self.trigger, "[0, inf)")

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        sends = triggered(known, self.trigger)
        renewed, size = follow(self.compressor, keys.compression, known.estimates, known.new)
        return jnp.where(sends[:, None] > 0, renewed, known.estimates), times(size, sends)
