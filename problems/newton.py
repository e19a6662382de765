"""Minimisers to rounding error, on the host."""

import jax
import numpy as np
from scipy.optimize import OptimizeResult, minimize

from problems.problem import Problem

__all__ = ["minimize_to_rounding"]

# Newton steps after the trust region: each squares the error, so a handful reaches rounding error and no more helps.
POLISHING_STEPS = 8


def minimize_to_rounding(problem: Problem, start: np.ndarray) -> np.ndarray:
    """Minimise a PL function: a trust region brings x near, Newton steps to rounding error. start [d] -> [d]."""
    loss, gradient, hessian = (jax.jit(f) for f in (problem.loss, problem.gradient, problem.hessian))
    near: OptimizeResult = minimize(
        loss, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-8}
    )
    best, size = near.x, np.linalg.norm(gradient(near.x))
    for _ in range(POLISHING_STEPS):
        # lstsq rather than solve: a PL function may be flat along some directions.
        candidate = best - np.linalg.lstsq(np.asarray(hessian(best)), np.asarray(gradient(best)))[0]
        candidate_size = np.linalg.norm(gradient(candidate))
        if not candidate_size < size:
            break
        best, size = candidate, candidate_size
    return best
