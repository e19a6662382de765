"""The laws of `partition`: what every split promises, and the errors of its arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.errors import InvalidInput
from problems.partition import REMAINDERS, SPLITS, partition

quick = settings(max_examples=50, deadline=None)
EQUAL_SPLITS = [split for split in SPLITS if split != "dirichlet"]


@st.composite
def labels_and_workers(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    labels = draw(st.lists(st.sampled_from([-1.0, 0.5, 1.0]), min_size=1, max_size=60))
    return np.array(labels), draw(st.integers(1, len(labels)))


def dealt(shards: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(shards))


@pytest.mark.parametrize("split", SPLITS)
@quick
@given(data=labels_and_workers(), seed=st.integers(0, 99), remainder=st.sampled_from(REMAINDERS))
def test_shards_are_disjoint_nonempty_and_in_range(split, data, seed, remainder):
    labels, workers = data
    shards = partition(labels, workers, split, remainder, seed, concentration=0.1)
    assert len(shards) == workers and all(len(shard) for shard in shards)
    assert np.issubdtype(shards[0].dtype, np.integer)
    assert np.array_equal(dealt(shards), np.unique(np.concatenate(shards)))
    assert set(dealt(shards)) <= set(range(len(labels)))


@pytest.mark.parametrize("split", EQUAL_SPLITS)
@quick
@given(data=labels_and_workers())
def test_drop_gives_every_worker_the_same_number(split, data):
    labels, workers = data
    shards = partition(labels, workers, split, "drop")
    assert [len(shard) for shard in shards] == [len(labels) // workers] * workers


@pytest.mark.parametrize("split", EQUAL_SPLITS)
@quick
@given(data=labels_and_workers())
def test_spread_uses_every_sample_and_gives_the_first_workers_one_more(split, data):
    labels, workers = data
    shards = partition(labels, workers, split, "spread")
    each, more = divmod(len(labels), workers)
    assert [len(shard) for shard in shards] == [each + 1] * more + [each] * (workers - more)
    assert np.array_equal(dealt(shards), np.arange(len(labels)))


@pytest.mark.parametrize("split", EQUAL_SPLITS)
def test_drop_leaves_out_the_end_of_the_order(split):
    labels = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    order = np.concatenate(partition(labels, 1, split, seed=3))
    assert np.array_equal(np.concatenate(partition(labels, 3, split, "drop", seed=3)), order[:6])


def test_contiguous_keeps_the_order_of_the_file():
    assert np.array_equal(np.concatenate(partition(np.zeros(9), 2, "contiguous", "spread")), np.arange(9))


def test_by_label_sorts_stably():
    shards = partition(np.array([1.0, -1.0, 1.0, -1.0]), 2, "by-label")
    assert [shard.tolist() for shard in shards] == [[1, 3], [0, 2]]


@quick
@given(data=labels_and_workers(), seed=st.integers(0, 99), concentration=st.sampled_from([1e-300, 0.01, 1, 1e6]))
def test_dirichlet_uses_every_sample_whatever_the_remainder(data, seed, concentration):
    labels, workers = data
    drop, spread = (partition(labels, workers, "dirichlet", remainder, seed, concentration) for remainder in REMAINDERS)
    assert np.array_equal(dealt(drop), np.arange(len(labels)))
    assert all(map(np.array_equal, drop, spread))


def label_shares(concentration: float) -> np.ndarray:
    """The share [20] of label 1 that each of 20 workers holds, of 2000 samples of two labels."""
    labels = np.arange(2000) % 2
    shards = partition(labels, 20, "dirichlet", seed=0, concentration=concentration)
    return np.array([labels[shard].sum() / 1000 for shard in shards])


def test_dirichlet_shares_approach_equality_as_concentration_grows():
    assert np.allclose(label_shares(1e8), 1 / 20, atol=2e-3)
    assert label_shares(0.1).std() > label_shares(10).std() > label_shares(1000).std()


def test_dirichlet_deals_real_labels_to_every_worker_alike():
    """Labels of a single sample must not all fall to the same worker."""
    sizes = [len(shard) for shard in partition(np.linspace(0, 1, 600), 4, "dirichlet", concentration=1e3)]
    assert min(sizes) > 120


@pytest.mark.parametrize("split", ["shuffled", "dirichlet"])
def test_the_seed_decides(split):
    labels = np.arange(100) % 2
    first, again, other = (partition(labels, 5, split, seed=seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers must be between 1 and the number of samples, 5; given 0"),
        ({"workers": 6}, "workers must be between 1 and the number of samples, 5; given 6"),
        ({"split": "contigous"}, "unknown split 'contigous'.*did you mean 'contiguous'"),
        ({"remainder": "keep"}, "unknown remainder 'keep'; known: drop, spread"),
        ({"seed": -1}, "seed must be >= 0; given -1"),
        ({"concentration": 0.0}, "concentration must be positive and finite; given 0.0"),
        ({"concentration": float("inf")}, "concentration must be positive and finite; given inf"),
        ({"concentration": float("nan")}, "concentration must be positive and finite; given nan"),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        partition(np.zeros(5), **({"workers": 2} | arguments))
