"""EF21+: the better of the compressed gradient and EF21's compressed difference."""

import jax.numpy as jnp
from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.distortion import ARITHMETIC_MEAN, QUADRATIC_MEAN, ef21_rates, family
from simulator.estimates import EstimatingMethod, Movement
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.traffic import Size, added

__all__ = ["EF21Plus"]


@frozen_pytree
class EF21Plus(EstimatingMethod):
    """EF21+: g_i+ = C(grad f_i(x+)) or g_i + C(grad f_i(x+) - g_i), whichever is nearer to grad f_i(x+).

    Richtarik, Sokolov, Fatkhullin (arXiv 2106.05203). One bit says which was sent. Guarantees: those of EF21.
    The error is at most EF21's, draw by draw, so they hold for random compressors too (derived; the paper has
    deterministic ones).
    """

    compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "ef21-plus"
    paper = papers.EF21
    theorems = family(
        "EF21 (arXiv 2106.05203), EF21+; weighted analysis derived",
        (QUADRATIC_MEAN, ARITHMETIC_MEAN),
        ef21_rates,
        "xi",
        "theta",
    )

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        plain = self.compressor.compress_rows(keys.second_compression, known.new)
        messages = self.compressor.compress_rows(keys.compression, known.new - known.estimates)
        errors = [jnp.sum((each - known.new) ** 2, axis=1) for each in (plain, known.estimates + messages)]
        better = (errors[0] < errors[1])[:, None]
        sent = jnp.where(better, plain, messages)
        size = added(self.compressor.size(sent, sent.shape[1]), Size(bits=1))
        return jnp.where(better, 0, known.estimates) + sent, size
