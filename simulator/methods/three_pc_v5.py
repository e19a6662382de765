"""3PCv5: MARINA's update with a contractive compressor."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants
from simulator.distortion import ARITHMETIC_MEAN, MEAN_SQUARED, QUADRATIC_MEAN, Rates, family
from simulator.estimates import EstimatingMethod, Movement
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.parameters import check_number
from simulator.traffic import Size, chosen, dense

__all__ = ["ThreePCv5"]


def _rates(c: Constants) -> Rates:
    contraction = 1 - (1 - c.method.probability) ** 0.5
    return Rates(contraction, (1 - c.method.probability) * (1 - c.alpha) / contraction)


@frozen_pytree
class ThreePCv5(EstimatingMethod):
    """3PCv5: g_i+ = grad f_i(x+) with probability p, else g_i + C(grad f_i(x+) - grad f_i(x)).

    Richtarik, Sokolov, Gasanov, Fatkhullin, Li, Gorbunov (arXiv 2202.00998). One coin for all workers.

    Guarantees: those of `simulator/distortion.py` with A = 1 - sqrt(1 - p), B = (1 - p) (1 - alpha) / A.
    """

    compressor: Compressor
    probability: float
    initial: Initial = static(default="gradient")
    kind = "3pc-v5"
    paper = papers.THREE_PC
    random = True
    theorems = family(
        "3PC (arXiv 2202.00998), v5; weighted analysis derived",
        (QUADRATIC_MEAN, MEAN_SQUARED, ARITHMETIC_MEAN),
        _rates,
        "sqrt(B / A)",
        "A",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("probability", self.probability, "(0, 1]")

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        messages = self.compressor.compress_rows(keys.compression, known.new - known.old)
        full = jax.random.uniform(keys.coin, dtype=float) < self.probability
        dim = messages.shape[1]
        size = chosen(full, dense(dim), self.compressor.size(messages, dim))
        return jnp.where(full, known.new, known.estimates + messages), size
