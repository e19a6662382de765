"""3PCv4: EF21 that compresses twice in a round."""

from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants
from simulator.distortion import ARITHMETIC_MEAN, MEAN_SQUARED, QUADRATIC_MEAN, Rates, alpha_rates, family
from simulator.estimates import EstimatingMethod, Movement, follow
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.theorem import CONTRACTIVE, Assumption
from simulator.traffic import Size, added

__all__ = ["ThreePCv4"]


CONTRACTIVE_RESIDUAL = Assumption(
    "contractive-residual", lambda c: c.second_alpha is not None, "a contractive compressor of the residual"
)


def _rates(c: Constants) -> Rates:
    return alpha_rates(1 - (1 - c.alpha) * (1 - c.second_alpha))


@frozen_pytree
class ThreePCv4(EstimatingMethod):
    """3PCv4: b_i = g_i + C2(grad f_i(x+) - g_i), g_i+ = b_i + C1(grad f_i(x+) - b_i).

    Richtarik, Sokolov, Gasanov, Fatkhullin, Li, Gorbunov (arXiv 2202.00998). `compressor` is C2, `residual_compressor`
    is C1; both messages are sent.

    Guarantees: EF21's with 1 - alpha = (1 - alpha_1) (1 - alpha_2).
    """

    compressor: Compressor
    residual_compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "3pc-v4"
    paper = papers.THREE_PC
    theorems = family(
        "3PC (arXiv 2202.00998), v4; weighted analysis derived",
        (QUADRATIC_MEAN, MEAN_SQUARED, ARITHMETIC_MEAN),
        _rates,
        "xi(alpha_12)",
        "theta(alpha_12)",
        assumptions=(CONTRACTIVE, CONTRACTIVE_RESIDUAL),
    )

    @property
    def second_compressor(self) -> Compressor:
        return self.residual_compressor

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        base, first = follow(self.compressor, keys.compression, known.estimates, known.new)
        estimates, second = follow(self.residual_compressor, keys.second_compression, base, known.new)
        return estimates, added(first, second)
