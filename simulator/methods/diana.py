"""DIANA: unbiased compression of the differences to control variates."""

from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants, Scalar
from simulator.method import Initial, check_initial
from simulator.methods.ef_bv import ControlVariates, ControlVariateState, check_multipliers, mixture_theorems
from simulator.theorem import CONVEX_WORKERS, STRONGLY_CONVEX, UNBIASED, Assumption, Contraction

__all__ = ["DIANA"]

THEORY_LAM = Assumption(
    "theory-lam",
    lambda c: c.omega is not None and abs(c.method.lam * (1 + c.omega) - 1) <= 1e-12,
    "lam = 1/(1 + omega)",
)


def _distance(c: Constants, stepsize: Scalar, state: ControlVariateState) -> Array:
    behind = jnp.mean(jnp.sum((state.variates - c.optimal_gradients) ** 2, axis=1))
    weight = 4 * c.averaged_deviation / c.method.lam * stepsize**2
    return jnp.sum((state.x - c.minimizer) ** 2) + weight * behind


@frozen_pytree
class DIANA(ControlVariates):
    """DIANA: d_i = Q(grad f_i(x) - h_i), x+ = x - gamma <h_i + d_i>, h_i+ = h_i + lam d_i.

    Mishchenko, Gorbunov, Takac, Richtarik (arXiv 1901.09269). It is EF-BV with nu = 1; by default lam =
    1/(1 + omega).

    Guarantees: EF-BV's, and for convex f_i and strongly convex f
        convex, gamma <= 1/(L + 6 omega_av L_max): V = |x - x*|^2 + 4 (omega_av/lam) gamma^2 <|h_i - grad f_i(x*)|^2>:
            E V+ <= max{1 - gamma mu, 1 - lam/2} V (derived; omega_av = omega/n for independent workers).
    """

    compressor: Compressor
    lam: float | None = None
    initial: Initial = static(default="gradient")
    kind = "diana"
    paper = papers.DIANA
    nu = 1.0
    theorems = (
        *mixture_theorems,
        Contraction(
            name="convex",
            reference="DIANA (arXiv 1901.09269); derived",
            formula="1 / (L + 6 omega_av L_max)",
            max_stepsize=lambda c: 1 / (c.smoothness + 6 * c.averaged_deviation * c.worker_smoothness.max()),
            assumptions=(UNBIASED, CONVEX_WORKERS, STRONGLY_CONVEX, THEORY_LAM),
            rate=lambda c, stepsize: jnp.minimum(stepsize * c.strong_convexity, c.method.lam / 2),
            potential=_distance,
            noise_weight=lambda c, stepsize: 1 + 4 * c.averaged_deviation / c.method.lam,
            units="squared-distance",
        ),
    )

    def __post_init__(self) -> None:
        check_initial(self.initial)
        check_multipliers(self)

    def resolved(self, problem: Problem) -> "DIANA":
        if self.lam is not None:
            return self
        omega = self.compressor.variance(problem.dim)
        if omega is None:
            raise InvalidInput("DIANA takes lam = 1/(1 + omega) from an unbiased compressor; for this one, give lam")
        return replace(self, lam=1 / (1 + omega))
