"""How the smoothness constants of the workers may differ."""

from typing import Any, Literal, get_args

import numpy as np
from scipy.optimize import brentq

from problems.errors import InvalidInput, unknown_name

__all__ = ["Profile", "worker_smoothness_profile"]

Profile = Literal["one-large", "geometric", "power-law"]

WIDEST = 600.0  # log of the largest L_i over the smallest: exp(-600) is still a normal number


def worker_smoothness_profile(workers: int, ratio: float, profile: Profile) -> np.ndarray:
    """L_i with arithmetic mean 1 and quadratic mean `ratio`. -> [n], the largest first.

    "one-large": one worker is larger than the others, which are equal. "geometric": a geometric sequence, whose ratio
    is below 17.4 for every n (its smallest L_i would underflow). "power-law": L_i is proportional to a power of i.
    The largest of them is at least ratio^2 / n of their sum: near sqrt(n) every profile is one large worker.

    Raises:
        InvalidInput: a ratio that n workers cannot have with this profile, or an unknown profile.
    """
    if profile not in get_args(Profile):
        raise unknown_name("profile", profile, get_args(Profile))
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
    return np.ones(workers) if ratio == 1 else _spread_profile(workers, ratio, profile)


def _spread_profile(workers: int, ratio: float, profile: Profile) -> np.ndarray:
    """L_i proportional to exp(-spread p_i), with places p_i from 0 to 1 and the spread that gives the ratio."""
    places = np.linspace(0, 1, workers)
    if profile == "power-law":
        places = np.log(np.arange(1, workers + 1)) / np.log(workers)

    def normalised(log_spread: float) -> np.ndarray:
        values = np.exp(-log_spread * places)
        return values / values.mean()

    def excess(log_spread: float) -> float:
        return float(np.sqrt(np.mean(normalised(log_spread) ** 2))) - ratio

    if excess(WIDEST) < 0:
        raise InvalidInput(f"smoothness_ratio {ratio:g} is out of reach of a {profile} profile of {workers} workers")
    log_spread: Any = brentq(excess, 0.0, WIDEST, xtol=1e-14)
    return normalised(log_spread)
