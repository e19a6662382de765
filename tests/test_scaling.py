"""Scaling of features: each name's law, and degenerate columns and rows."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.errors import InvalidInput
from problems.scaling import SCALINGS, Scaling, scale_features

WITH_ZEROS = np.array([[3.0, 0.1, 0, -4], [0, 0.1, 0, 0], [6, 0.1, 0, 8]])  # constant and zero columns, a small row


def test_the_named_scalings_are_the_typed_ones():
    assert tuple(SCALINGS) == get_args(Scaling)


def test_an_unknown_scaling_is_refused():
    with pytest.raises(InvalidInput, match=r"unknown scaling 'standardise'.*did you mean 'standardize'"):
        scale_features(WITH_ZEROS, "standardise")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_scaling_leaves_its_argument_alone(scaling):
    features = WITH_ZEROS.copy()
    scaled = scale_features(features, scaling)
    scaled += 1
    assert np.array_equal(features, WITH_ZEROS)


def test_none_changes_nothing():
    assert np.array_equal(scale_features(WITH_ZEROS, "none"), WITH_ZEROS)


def test_standardize_makes_constant_columns_zero():
    scaled = scale_features(np.repeat(WITH_ZEROS, 9, axis=0), "standardize")
    assert np.allclose(scaled.mean(axis=0), 0)
    assert np.allclose(scaled.std(axis=0), [1, 0, 0, 1])
    assert not scaled[:, 1:3].any()


def test_max_abs_keeps_zero_columns():
    assert np.abs(scale_features(WITH_ZEROS, "max-abs")).max(axis=0).tolist() == [1, 1, 0, 1]


def test_unit_rows_keeps_zero_rows():
    rows = np.vstack([WITH_ZEROS, np.zeros(4)])
    assert np.allclose(np.linalg.norm(scale_features(rows, "unit-rows"), axis=1), [1, 1, 1, 0])


@pytest.mark.parametrize("scaling", SCALINGS)
@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(*[st.integers(-9, 9)] * 3), min_size=1, max_size=8))
def test_scaling_twice_is_scaling_once(scaling, rows):
    once = scale_features(np.array(rows, float) / 7, scaling)
    assert np.isfinite(once).all()
    assert np.allclose(scale_features(once, scaling), once)
