"""3PCv2: an unbiased step along the gradient's difference, then a contractive correction."""

from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants
from simulator.distortion import ARITHMETIC_MEAN, MEAN_SQUARED, QUADRATIC_MEAN, Rates, family
from simulator.estimates import EstimatingMethod, Movement
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.theorem import CONTRACTIVE, Assumption
from simulator.traffic import Size, added

__all__ = ["ThreePCv2"]


UNBIASED_DIFFERENCES = Assumption(
    "unbiased-differences", lambda c: c.second_omega is not None, "an unbiased compressor of the differences"
)


def _rates(c: Constants) -> Rates:
    return Rates(c.alpha, (1 - c.alpha) * c.second_omega)


@frozen_pytree
class ThreePCv2(EstimatingMethod):
    """3PCv2: b_i = g_i + Q(grad f_i(x+) - grad f_i(x)), g_i+ = b_i + C(grad f_i(x+) - b_i), Q unbiased.

    Richtarik, Sokolov, Gasanov, Fatkhullin, Li, Gorbunov (arXiv 2202.00998). Both messages are sent.

    Guarantees: those of `simulator/distortion.py` with A = alpha, B = (1 - alpha) omega.
    """

    compressor: Compressor
    difference_compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "3pc-v2"
    paper = papers.THREE_PC
    theorems = family(
        "3PC (arXiv 2202.00998), v2; weighted analysis derived",
        (QUADRATIC_MEAN, MEAN_SQUARED, ARITHMETIC_MEAN),
        _rates,
        "sqrt((1 - alpha) omega / alpha)",
        "alpha",
        assumptions=(CONTRACTIVE, UNBIASED_DIFFERENCES),
    )

    @property
    def second_compressor(self) -> Compressor:
        return self.difference_compressor

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        dim = known.new.shape[1]
        steps = self.difference_compressor.compress_rows(keys.second_compression, known.new - known.old)
        base = known.estimates + steps
        messages = self.compressor.compress_rows(keys.compression, known.new - base)
        size = added(self.difference_compressor.size(steps, dim), self.compressor.size(messages, dim))
        return base + messages, size
