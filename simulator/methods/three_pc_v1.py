"""3PCv1: compressed differences to the last gradient."""

from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants
from simulator.distortion import ARITHMETIC_MEAN, MEAN_SQUARED, QUADRATIC_MEAN, Rates, family
from simulator.estimates import EstimatingMethod, Movement
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.traffic import Size, added, dense

__all__ = ["ThreePCv1"]


def _rates(c: Constants) -> Rates:
    return Rates(1.0, 1 - c.alpha)


@frozen_pytree
class ThreePCv1(EstimatingMethod):
    """3PCv1: g_i+ = grad f_i(x) + C(grad f_i(x+) - grad f_i(x)).

    Richtarik, Sokolov, Gasanov, Fatkhullin, Li, Gorbunov (arXiv 2202.00998). The server needs grad f_i(x) in full, so
    that it saves nothing: the method is an ideal to compare with.

    Guarantees: those of `simulator/distortion.py` with A = 1, B = 1 - alpha.
    """

    compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "3pc-v1"
    paper = papers.THREE_PC
    theorems = family(
        "3PC (arXiv 2202.00998), v1; weighted analysis derived",
        (QUADRATIC_MEAN, MEAN_SQUARED, ARITHMETIC_MEAN),
        _rates,
        "sqrt(1 - alpha)",
        "1",
    )

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        messages = self.compressor.compress_rows(keys.compression, known.new - known.old)
        dim = messages.shape[1]
        return known.old + messages, added(dense(dim), self.compressor.size(messages, dim))
