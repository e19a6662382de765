"""The tight rates of error feedback for strongly convex f_i (arXiv 2506.05271 and 2605.31594).

With s = sqrt(1 - alpha), all f_i mu-strongly convex and L-smooth, at the one stepsize

    gamma* = 2/(L + mu) (1 - s)/(1 + s)

a Lyapunov function contracts by

    rho = s + (1 - s)/2 ((L - mu)/(L + mu))^2 (1 - s + sqrt((1 + s)^2 + 16 L mu s / (L - mu)^2))

in every round, and no smaller factor is true of all such problems. EF21, any n: s |grad f|^2 + (1/n) sum_i |g_i - grad
f_i|^2. EF14, n = 1 or a minimiser x* that all f_i share: |<e_i>|^2 / s + (1/n) sum_i |x - x* - e_i|^2.

Where the f_i differ, mu = min_i mu_i and L = max_i L_i are valid.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from simulator.constants import Constants, Scalar
from simulator.theorem import (
    COMPRESSING,
    CONTRACTIVE,
    EXACT_GRADIENTS,
    INTERPOLATION,
    STRONGLY_CONVEX_WORKERS,
    Contraction,
)

__all__ = ["ef14_tight", "ef21_tight", "tight_rate", "tight_stepsize"]

REFERENCE = "tight analysis of error feedback (arXiv 2506.05271, 2605.31594)"


def _curvatures(c: Constants) -> tuple[Scalar, Scalar]:
    """mu = min_i mu_i and L = max_i L_i."""
    return c.worker_strong_convexity, c.worker_smoothness.max()


def tight_stepsize(c: Constants) -> Scalar:
    """gamma*."""
    mu, smoothness = _curvatures(c)
    s = (1 - c.alpha) ** 0.5
    return 2 / (smoothness + mu) * (1 - s) / (1 + s)


def tight_rate(c: Constants) -> Scalar:
    """rho, written without the division by (L - mu)^2, which may be 0."""
    mu, smoothness = _curvatures(c)
    s = (1 - c.alpha) ** 0.5
    gap, total = smoothness - mu, smoothness + mu
    root = ((1 + s) ** 2 * gap**2 + 16 * smoothness * mu * s) ** 0.5
    return s + (1 - s) / 2 * gap / total**2 * ((1 - s) * gap + root)


def _decay(c: Constants, stepsize: Scalar) -> Scalar:
    return 1 - tight_rate(c)


def _ef21_potential(c: Constants, stepsize: Scalar, state: Any) -> Array:
    gradient = jnp.mean(state.gradients, axis=0)
    distortion = jnp.mean(jnp.sum((state.estimates - state.gradients) ** 2, axis=1))
    return (1 - c.alpha) ** 0.5 * jnp.sum(gradient**2) + distortion


def _ef14_potential(c: Constants, stepsize: Scalar, state: Any) -> Array:
    shifted = state.x[None, :] - state.errors - c.minimizer[None, :]
    mean_error = jnp.mean(state.errors, axis=0)
    return jnp.sum(mean_error**2) / (1 - c.alpha) ** 0.5 + jnp.mean(jnp.sum(shifted**2, axis=1))


def _tight(potential: Any, units: Any, assumptions: Any) -> Contraction:
    return Contraction(
        name="tight",
        reference=REFERENCE,
        formula="2 / (L_max + mu_min) (1 - s) / (1 + s), s = sqrt(1 - alpha)",
        max_stepsize=tight_stepsize,
        min_stepsize=tight_stepsize,
        assumptions=(CONTRACTIVE, COMPRESSING, STRONGLY_CONVEX_WORKERS, *assumptions),
        rate=_decay,
        potential=potential,
        noise_weight=lambda c, stepsize: 1 + 1 / (1 - c.alpha) ** 0.5,
        units=units,
    )


ef21_tight = _tight(_ef21_potential, "squared-gradient", ())
ef14_tight = _tight(_ef14_potential, "squared-distance", (INTERPOLATION, EXACT_GRADIENTS))
