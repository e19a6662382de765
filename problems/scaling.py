"""Scaling of features."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from problems.errors import unknown_name

__all__ = ["SCALINGS", "Scaling", "scale_features"]

Scaling = Literal["none", "standardize", "max-abs", "unit-rows"]


def _standardize(features: np.ndarray) -> np.ndarray:
    # A constant column is told by comparison: rounding in its mean would leave a tiny deviation to divide by.
    constant = features.min(axis=0) == features.max(axis=0)
    deviation = np.where(constant, 1.0, features.std(axis=0))
    return np.where(constant, 0.0, (features - features.mean(axis=0)) / deviation)


def _max_abs(features: np.ndarray) -> np.ndarray:
    return features / _nonzero(np.abs(features).max(axis=0))


def _unit_rows(features: np.ndarray) -> np.ndarray:
    return features / _nonzero(np.linalg.norm(features, axis=1, keepdims=True))


def _nonzero(divisors: np.ndarray) -> np.ndarray:
    return np.where(divisors == 0, 1.0, divisors)


SCALINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.array,
    "standardize": _standardize,
    "max-abs": _max_abs,
    "unit-rows": _unit_rows,
}


def scale_features(features: np.ndarray, scaling: Scaling) -> np.ndarray:
    """The features [N, d] scaled, as a new array [N, d].

    none: as they are.
    standardize: every column has mean 0 and standard deviation 1; a column of zero variance becomes zero.
    max-abs: every column is divided by its largest absolute value; a zero column stays zero.
    unit-rows: every row has Euclidean norm 1; a zero row stays zero.

    Raises:
        InvalidInput: an unknown scaling.
    """
    if scaling not in SCALINGS:
        raise unknown_name("scaling", scaling, SCALINGS)
    return SCALINGS[scaling](features)
