"""EF21-W-PP: EF21-W with partial participation."""

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.distortion import ARITHMETIC_MEAN, family
from simulator.estimates import EstimatingMethod, Movement, follow
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.methods.ef21_pp import participation_rates
from simulator.participation import Participation
from simulator.traffic import Size, times
from simulator.weights import proportional_weights, worker_scales

__all__ = ["EF21WPP"]


@frozen_pytree
class EF21WPP(EstimatingMethod):
    """EF21-W-PP: EF21-W in which only the workers that take part in a round renew their estimates and send.

    Richtarik, Gasanov, Burlachenko (arXiv 2402.10774). Guarantees: EF21-W's with the contraction parameter p alpha
    (derived, see EF21-PP).
    """

    compressor: Compressor
    participation: Participation
    initial: Initial = static(default="gradient")
    kind = "ef21-w-pp"
    paper = papers.RELOADED
    theorems = family(
        "Error Feedback Reloaded (arXiv 2402.10774), EF21-W-PP; derived",
        (ARITHMETIC_MEAN,),
        participation_rates,
        "xi(p alpha)",
        "theta(p alpha)",
    )

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        scales = worker_scales(proportional_weights, problem)
        present = self.participation.draw(keys.participation, len(known.new))
        renewed, size = follow(self.compressor, keys.compression, known.estimates, known.new, scales)
        return jnp.where(present[:, None] > 0, renewed, known.estimates), times(size, present)
