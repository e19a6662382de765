"""How the samples of a data set are split over workers."""

from typing import Literal, get_args

import numpy as np

from problems.errors import InvalidInput, unknown_name

__all__ = ["REMAINDERS", "SPLITS", "Remainder", "Split", "partition"]

Split = Literal["contiguous", "shuffled", "by-label", "dirichlet"]
Remainder = Literal["drop", "spread"]
SPLITS: tuple[Split, ...] = get_args(Split)
REMAINDERS: tuple[Remainder, ...] = get_args(Remainder)


def partition(
    labels: np.ndarray,
    workers: int,
    split: Split = "contiguous",
    remainder: Remainder = "drop",
    seed: int = 0,
    concentration: float = 1.0,
) -> list[np.ndarray]:
    """Deal the N samples to n workers: disjoint index arrays, one a worker, none of them empty.

    - contiguous: the samples in the order of the file, cut into n equal shards.
    - shuffled: the samples in an order drawn with `seed`, cut likewise.
    - by-label: the samples sorted by label (stable), cut likewise, so that a worker holds few labels.
    - dirichlet: the samples of each label are shuffled and dealt in proportions drawn from the symmetric
      Dirichlet distribution, up to less than one sample. Shards differ in size and together hold every
      sample, so `remainder` does not apply. A worker left with nothing takes one from the largest shard.

    Args:
        labels: [N], any real values; only by-label and dirichlet look at them.
        workers: n, with 1 <= n <= N.
        split: one of `SPLITS`, as above.
        remainder: what becomes of the last N mod n samples of the order. "drop" leaves them out, so that
            every worker holds N // n; "spread" keeps them, so that the first N mod n workers hold one more.
        seed: used by shuffled and dirichlet; the same seed gives the same shards.
        concentration: used by dirichlet; small is heterogeneous, large approaches the mix of the whole set.

    Raises:
        InvalidInput: an unknown split or remainder, n outside 1..N, a negative seed, or a concentration that
            is not positive and finite.

    >>> partition(np.zeros(5), workers=2, remainder="spread")
    [array([0, 1, 2]), array([3, 4])]
    """
    labels = np.asarray(labels)
    _check(len(labels), workers, split, remainder, seed, concentration)
    rng = np.random.default_rng(seed)
    if split == "dirichlet":
        return _fill_empty(_deal_by_proportions(labels, workers, concentration, rng))
    return _cut(_order(labels, split, rng), workers, remainder)


def _check(samples: int, workers: int, split: str, remainder: str, seed: int, concentration: float) -> None:
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if remainder not in REMAINDERS:
        raise unknown_name("remainder", remainder, REMAINDERS)
    if not 1 <= workers <= samples:
        raise InvalidInput(f"workers must be between 1 and the number of samples, {samples}; given {workers}")
    if seed < 0:
        raise InvalidInput(f"seed must be >= 0; given {seed}")
    if not 0 < concentration < np.inf:
        raise InvalidInput(f"concentration must be positive and finite; given {concentration}")


def _order(labels: np.ndarray, split: str, rng: np.random.Generator) -> np.ndarray:
    """The order [N] in which the equal splits deal the samples."""
    if split == "shuffled":
        return rng.permutation(len(labels))
    if split == "by-label":
        return np.argsort(labels, kind="stable")
    return np.arange(len(labels))


def _cut(order: np.ndarray, workers: int, remainder: str) -> list[np.ndarray]:
    kept = len(order) - len(order) % workers if remainder == "drop" else len(order)
    # array_split gives the first N mod n shards one sample more, which is what "spread" promises.
    return np.array_split(order[:kept], workers)


def _deal_by_proportions(
    labels: np.ndarray, workers: int, concentration: float, rng: np.random.Generator
) -> list[np.ndarray]:
    shards: list[list[np.ndarray]] = [[] for _ in range(workers)]
    for label in np.unique(labels):
        samples = rng.permutation(np.flatnonzero(labels == label))
        proportions = rng.dirichlet(np.full(workers, concentration))
        # Rounding the cumulative sum deals every sample exactly once; its random offset makes the expected
        # number of each worker exact, so that even labels of a single sample favour no worker.
        cuts = np.floor(np.cumsum(proportions) * len(samples) + rng.random()).astype(int)[:-1]
        for shard, part in zip(shards, np.split(samples, cuts), strict=True):
            shard.append(part)
    return [np.concatenate(shard) for shard in shards]


def _fill_empty(shards: list[np.ndarray]) -> list[np.ndarray]:
    for worker, shard in enumerate(shards):
        if not len(shard):
            largest = max(range(len(shards)), key=lambda other: len(shards[other]))
            shards[worker], shards[largest] = shards[largest][-1:], shards[largest][:-1]
    return shards
