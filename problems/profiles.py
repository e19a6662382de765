"""How the smoothness constants of the workers may differ."""

from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq

from problems.errors import InvalidInput, unknown_name

__all__ = ["Profile", "worker_smoothness_profile"]

Profile = Literal["one-large", "geometric"]


def worker_smoothness_profile(workers: int, ratio: float, profile: Profile) -> np.ndarray:
    """L_i with arithmetic mean 1 and quadratic mean `ratio`. -> [n], the largest first.

    "one-large": one worker is larger than the others, which are equal. "geometric": a geometric sequence.

    Raises:
        InvalidInput: a ratio that n workers cannot have with this profile, or an unknown profile.
    """
    if workers < 1:
        raise InvalidInput(f"workers must be at least 1, not {workers}")
    if not 1 <= ratio <= np.sqrt(workers):
        raise InvalidInput(
            f"smoothness_ratio (L_QM / L_AM) of {workers} workers lies between 1 and sqrt({workers}) = "
            f"{np.sqrt(workers):.4g}, not at {ratio:g}"
        )
    if profile == "one-large":
        spread = np.sqrt(ratio**2 - 1)  # the standard deviation of the L_i
        large, small = 1 + spread * np.sqrt(workers - 1), 1 - spread / np.sqrt(max(workers - 1, 1))
        return np.concatenate([[large], np.full(workers - 1, max(small, 0.0))])
    if profile == "geometric":
        return _geometric_profile(workers, ratio)
    raise unknown_name("profile", profile, ("one-large", "geometric"))


def _geometric_profile(workers: int, ratio: float) -> np.ndarray:
    def normalised(log_spread: float) -> np.ndarray:
        values = np.exp(-log_spread * np.linspace(0, 1, workers))
        return values / values.mean()

    def excess(log_spread: float) -> float:
        return float(np.sqrt(np.mean(normalised(log_spread) ** 2))) - ratio

    widest = 600.0  # exp(-600) is still a normal number
    if ratio == 1:
        return np.ones(workers)
    if workers < 2 or excess(widest) < 0:
        raise InvalidInput(f"smoothness_ratio {ratio:g} is out of reach of a geometric profile of {workers} workers")
    log_spread: Any = brentq(excess, 0.0, widest, xtol=1e-14)
    return normalised(log_spread)
