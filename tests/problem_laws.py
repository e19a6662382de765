"""Laws of problems as slacks, what is allowed minus what was found, that must not be negative."""

import numpy as np
from evaluations import gradients_at, norms, slopes_at, worker_hessians

from problems import Problem


def gradient_slacks(problem: Problem, x: np.ndarray) -> np.ndarray:
    """Of gradients that are the slopes of the losses: what rounding may do minus the difference. [d] -> [n, d]."""
    found, expected = np.asarray(gradients_at(problem, x)), np.asarray(slopes_at(problem, x))
    return 1e-12 * (np.abs(expected) + np.max(np.abs(expected))) - np.abs(found - expected)


def curvature_slacks(problem: Problem, x: np.ndarray) -> np.ndarray:
    """Of L_i that no Hessian's norm exceeds. [d] -> [n]."""
    constants = np.asarray(problem.worker_smoothness)
    return constants + 1e-13 * np.abs(constants) - norms(worker_hessians(problem, x))
