"""How fast a sequence falls: the law T^p or q^T that fits it best."""

from typing import Literal, NamedTuple

import numpy as np

__all__ = ["Fit", "fit_rate", "fit_window"]

FEWEST_POINTS = 5  # fewer give any line they like


class Fit(NamedTuple):
    """A fitted law, [...] each.

    Attributes:
        rate: p of T^p, or q of q^T; NaN where there are too few points.
        first, last: the recorded rounds between which it was fitted; -1 where there are too few points.
    """

    rate: np.ndarray
    first: np.ndarray
    last: np.ndarray


def fit_window(usable: np.ndarray) -> np.ndarray:
    """The later half of the usable points, where a law shows that is not there from the start. [..., R] -> [..., R]."""
    counted = np.cumsum(usable, axis=-1)
    return usable & (2 * counted > counted[..., -1:])


def fit_rate(law: Literal["power", "geometric"], rounds: np.ndarray, values: np.ndarray, window: np.ndarray) -> Fit:
    """Least squares of log(values) on log(rounds) ("power") or on rounds ("geometric").

    Args:
        rounds: [R].
        values: [..., R], positive inside the window.
        window: which points to use, [..., R].
    """
    with np.errstate(all="ignore"):  # outside the window, values may be anything
        x = np.where(window, np.log(rounds) if law == "power" else rounds, 0.0)
        y = np.where(window, np.log(values), 0.0)
        count = window.sum(axis=-1, keepdims=True)
        deviation = np.where(window, x - x.sum(axis=-1, keepdims=True) / count, 0.0)
        slope = (deviation * y).sum(axis=-1) / (deviation**2).sum(axis=-1)
        rate = slope if law == "power" else np.exp(slope)
    enough = count[..., 0] >= FEWEST_POINTS
    first, last = np.argmax(window, axis=-1), window.shape[-1] - 1 - np.argmax(window[..., ::-1], axis=-1)
    return Fit(np.where(enough, rate, np.nan), np.where(enough, rounds[first], -1), np.where(enough, rounds[last], -1))
