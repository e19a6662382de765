"""EF-BV: error feedback for compressors with bias and variance, which unifies EF21 and DIANA."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.constants import Constants, Scalar
from simulator.distortion import cautious
from simulator.estimates import start_following
from simulator.keys import round_keys
from simulator.method import Initial, Method, check_initial
from simulator.parameters import check_number
from simulator.theorem import PL, Assumption, Contraction, Descent
from simulator.traffic import Traffic, dense, nothing, traffic

__all__ = ["EFBV", "ControlVariateState", "ControlVariates", "mixture_theorems"]


class ControlVariateState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]
    variates: Array  # h_i, which follow the gradients, [n, d]
    traffic: Traffic


def shrinkage(share: Scalar, bias: Scalar, deviation: Scalar) -> Scalar:
    """E|v - share C(v)|^2 <= (this) |v|^2 for a compressor with bias eta and deviation omega."""
    return (1 - share + share * bias) ** 2 + share**2 * deviation


def _rates(c: Constants) -> tuple[Scalar, Scalar]:
    """r of every worker and r_av of their mean."""
    r = shrinkage(c.method.lam, c.bias, c.deviation)
    return r, shrinkage(c.method.nu, c.bias, c.averaged_deviation)


KNOWN_MOMENTS = Assumption(
    "bias-and-deviation",
    lambda c: c.deviation is not None and _rates(c)[0] < 1,
    "a compressor with known bias and deviation, and a lam with which r < 1",
)


def _halfway(r: Scalar) -> Scalar:
    """sqrt((1 + r) / 2), between sqrt(r) and 1."""
    return ((1 + r) / 2) ** 0.5


def _nonconvex_stepsize(c: Constants) -> Scalar:
    r, average = _rates(c)
    return cautious(c.smoothness, c.quadratic_mean**2 * average / (1 - r**0.5) ** 2)


def _pl_stepsize(c: Constants) -> Scalar:
    r, average = _rates(c)
    return cautious(c.smoothness, c.quadratic_mean**2 * average / (_halfway(r) - r**0.5) ** 2)


def _nonconvex_factor(c: Constants) -> Scalar:
    r, average = _rates(c)
    return average / (2 * (1 - r**0.5))


def _pl_factor(c: Constants) -> Scalar:
    r, average = _rates(c)
    return average / (2 * (_halfway(r) - r**0.5) * _halfway(r))


def _potential(factor: Any):
    """factor gamma (1/n) sum_i |h_i - grad f_i|^2."""

    def potential(c: Constants, stepsize: Scalar, state: ControlVariateState) -> Array:
        return stepsize * factor(c) * jnp.mean(jnp.sum((state.variates - state.gradients) ** 2, axis=1))

    return potential


def _pl_rate(c: Constants, stepsize: Scalar) -> Scalar:
    return jnp.minimum(stepsize * c.pl_constant, (1 - _rates(c)[0]) / 2)


mixture_theorems = (
    Descent(
        name="quadratic-mean",
        reference="EF-BV (arXiv 2205.04180); nonconvex theorem derived",
        formula="1 / (L + L_QM sqrt(r_av) / (1 - sqrt(r)))",
        max_stepsize=_nonconvex_stepsize,
        assumptions=(KNOWN_MOMENTS,),
        potential=_potential(_nonconvex_factor),
        noise_weight=lambda c, stepsize: 1 + _nonconvex_factor(c),
    ),
    Contraction(
        name="quadratic-mean-pl",
        reference="EF-BV (arXiv 2205.04180), PL theorem; factor derived",
        formula="1 / (L + L_QM sqrt(r_av / r) / s), s = sqrt((1 + r) / (2 r)) - 1",
        max_stepsize=_pl_stepsize,
        assumptions=(KNOWN_MOMENTS, PL),
        rate=_pl_rate,
        potential=_potential(_pl_factor),
        noise_weight=lambda c, stepsize: 1 + _pl_factor(c),
    ),
)


class ControlVariates(Method):
    """d_i = C(grad f_i(x) - h_i), x+ = x - gamma (<h_i> + nu <d_i>), h_i+ = h_i + lam d_i."""

    lam: Any
    nu: Any
    initial: Initial

    def init(self, problem: Problem, x0: Array, key: Array) -> ControlVariateState:
        gradients = problem.worker_gradients(x0)
        variates, size = start_following(self.initial, self.compressor, round_keys(key).compression, gradients)
        return ControlVariateState(x0, gradients, variates, traffic(size, nothing))

    def step(self, problem: Problem, stepsize: Array, state: ControlVariateState, key: Array) -> ControlVariateState:
        messages = self.compressor.compress_rows(round_keys(key).compression, state.gradients - state.variates)
        x = state.x - stepsize * jnp.mean(state.variates + self.nu * messages, axis=0)
        sent = traffic(self.compressor.size(messages, len(x)), dense(len(x)))
        return ControlVariateState(x, problem.worker_gradients(x), state.variates + self.lam * messages, sent)


@frozen_pytree
class EFBV(ControlVariates):
    """EF-BV: d_i = C(grad f_i(x) - h_i), x+ = x - gamma (<h_i> + nu <d_i>), h_i+ = h_i + lam d_i.

    Condat, Yi, Richtarik (arXiv 2205.04180). For |E C(v) - v| <= eta |v|, E|C(v) - E C(v)|^2 <= omega |v|^2, and
    omega_av of the mean over the workers, by default lam = min{1, (1 - eta)/((1 - eta)^2 + omega)}, nu likewise with
    omega_av.

    Guarantees, with r = (1 - lam + lam eta)^2 + lam^2 omega, r_av likewise, H = <|h_i - grad f_i|^2>:
        quadratic-mean, gamma <= 1/(L + L_QM sqrt(r_av)/(1 - sqrt r)): V = f - f_inf + gamma r_av / (2 (1 - sqrt r)) H:
            E V+ <= V - (gamma/2) |grad f|^2 (derived).
        quadratic-mean-pl, s = sqrt((1 + r)/(2r)) - 1, gamma <= 1/(L + L_QM sqrt(r_av/r)/s), V = f - f* + gamma/(2t) H,
            t = s (1 + s) r / r_av: E V+ <= max{1 - gamma mu, (1 + r)/2} V.
    """

    compressor: Compressor
    lam: float | None = None
    nu: float | None = None
    initial: Initial = static(default="gradient")
    kind = "ef-bv"
    paper = papers.EF_BV
    theorems = mixture_theorems

    def __post_init__(self) -> None:
        check_initial(self.initial)
        check_multipliers(self)

    def resolved(self, problem: Problem) -> "EFBV":
        if self.lam is not None and self.nu is not None:
            return self
        pair = self.compressor.bias_and_deviation(problem.dim)
        averaged = self.compressor.averaged_deviation(problem.dim, problem.num_workers)
        if pair is None or averaged is None:
            raise InvalidInput("EF-BV takes lam and nu from a compressor's bias and deviation; for this one, give both")
        best = [(1 - pair[0]) / ((1 - pair[0]) ** 2 + deviation) for deviation in (pair[1], averaged)]
        lam, nu = (
            min(1.0, each) if given is None else given for each, given in zip(best, (self.lam, self.nu), strict=True)
        )
        return replace(self, lam=lam, nu=nu)


def check_multipliers(method: Any) -> None:
    """Raise InvalidInput where lam or nu is neither None nor a finite number > 0."""
    for name in ("lam", "nu"):
        value = getattr(method, name, None)
        if value is not None:
            check_number(name, value, "(0, inf)")
