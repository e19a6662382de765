"""Exponents: power laws fitted to measurements."""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

__all__ = ["Exponent", "fit_exponent"]


class Exponent(NamedTuple):
    """values = factor x^exponent, by least squares of the logarithms."""

    exponent: float  # NaN below two distinct x
    margin: float  # half of the 95% t-interval; NaN below three points
    factor: float
    points: int


def fit_exponent(x: np.ndarray, values: np.ndarray) -> Exponent:
    """The exponent and its interval. [P], [P] with NaN where there is no value.

    Least squares take deviations from a power law for noise. Measurements without noise have deviations too, so that
    the interval says how well a power law describes them.
    """
    known = np.isfinite(values)
    u, v = np.log(x[known]), np.log(values[known])
    if len(u) < 2 or np.ptp(u) < 1e-9:
        return Exponent(np.nan, np.nan, np.nan, len(u))
    line: Any = stats.linregress(u, v)
    margin = stats.t.ppf(0.975, len(u) - 2) * line.stderr if len(u) > 2 else np.nan
    return Exponent(float(line.slope), float(margin), float(np.exp(line.intercept)), len(u))
