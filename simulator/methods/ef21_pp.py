"""EF21-PP: EF21 with partial participation."""

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants, Scalar
from simulator.distortion import ARITHMETIC_MEAN, QUADRATIC_MEAN, Rates, alpha_rates, descent_theorem, family
from simulator.estimates import EstimatingMethod, Movement, follow
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.participation import Participation
from simulator.theorem import CONTRACTIVE, Assumption
from simulator.traffic import Size, times

__all__ = ["EF21PP", "participation_rates"]

SLACK = 1e-3  # s and rho of the published analysis, as its authors' code sets them


def _probability(c: Constants) -> Scalar:
    return c.method.participation.probability(c.num_workers)


def participation_rates(c: Constants) -> Rates:
    """theta and beta of p alpha: not to take part is to compress to zero, so the two together are a contraction."""
    return alpha_rates(_probability(c) * c.alpha)


def _published_rates(c: Constants) -> Rates:
    """theta_p and B of arXiv 2110.03294 for equal probabilities, with s = rho = SLACK."""
    p = _probability(c)
    shrink = (1 - c.alpha) * (1 + SLACK)
    return Rates((1 - shrink) * p - SLACK * (1 - p), (1 - c.alpha) * (1 + 1 / SLACK) * p + (1 - p) * (1 + 1 / SLACK))


PUBLISHED = Assumption(
    "published-analysis",
    lambda c: c.alpha is not None and _published_rates(c).contraction > 0,
    f"p and alpha large enough for the published analysis (theta_p > 0 at s = rho = {SLACK:g})",
)


@frozen_pytree
class EF21PP(EstimatingMethod):
    """EF21-PP: EF21 in which only the workers that take part in a round renew their g_i and send.

    Fatkhullin, Sokolov, Gorbunov, Li, Richtarik (arXiv 2110.03294).

    Guarantees: EF21's with the contraction parameter p alpha, p the probability with which a worker takes part, for any
    joint sampling of workers (derived; equal to the best choice of s and rho in the published analysis).
    quadratic-mean-published: the published constants at s = rho = 1e-3.
    """

    compressor: Compressor
    participation: Participation
    initial: Initial = static(default="gradient")
    kind = "ef21-pp"
    paper = papers.BELLS
    theorems = (
        *family(
            "EF21-PP (arXiv 2110.03294); derived",
            (QUADRATIC_MEAN, ARITHMETIC_MEAN),
            participation_rates,
            "xi(p alpha)",
            "theta(p alpha)",
        ),
        descent_theorem(
            "EF21-PP (arXiv 2110.03294), Theorem 7",
            QUADRATIC_MEAN._replace(prefix="quadratic-mean-published"),
            _published_rates,
            "sqrt(B / theta_p)",
            assumptions=(CONTRACTIVE, PUBLISHED),
        ),
    )

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        present = self.participation.draw(keys.participation, len(known.new))
        renewed, size = follow(self.compressor, keys.compression, known.estimates, known.new)
        return jnp.where(present[:, None] > 0, renewed, known.estimates), times(size, present)
