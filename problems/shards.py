"""The samples of every worker, stacked: workers with fewer samples are padded by rows of weight zero."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from problems.arrays import as_floats
from problems.errors import InvalidInput

__all__ = ["Shards", "Stack", "deal"]

Stack = np.ndarray | Array | Sequence[ArrayLike]


class Shards(NamedTuple):
    """Rows a_ij with targets t_ij and weights 1/m_i; padding has weight, features and target zero."""

    features: Array  # [n, m, d]
    columns: Array  # the features once more, transposed, [n, d, m]: XLA's products along m are faster on these
    targets: Array  # [n, m]
    weights: Array  # [n, m]

    @classmethod
    def from_arrays(cls, features: Stack, targets: Stack) -> "Shards":
        """Stacked arrays [n, m, d] and [n, m], or lists of n arrays [m_i, d] and [m_i].

        Raises:
            InvalidInput: shapes that do not fit, a worker without samples, or an entry that is not finite; the
                message names the worker.
        """
        if not (np.iterable(features) and np.iterable(targets)):
            raise InvalidInput("features and targets must be arrays [n, m, d] and [n, m], or lists with one a worker")
        rows = [as_floats(f"the features of worker {worker}", block) for worker, block in enumerate(features)]
        values = [as_floats(f"the targets of worker {worker}", block) for worker, block in enumerate(targets)]
        _check_blocks(rows, values)
        longest, dim = max(map(len, rows)), rows[0].shape[1]
        stacked = np.zeros((len(rows), longest, dim))
        padded_targets, weights = np.zeros((2, len(rows), longest))
        for worker, (block, value) in enumerate(zip(rows, values, strict=True)):
            stacked[worker, : len(block)] = block
            padded_targets[worker, : len(block)] = value
            weights[worker, : len(block)] = 1 / len(block)
        columns = np.ascontiguousarray(np.swapaxes(stacked, 1, 2))
        return cls(*map(jnp.asarray, (stacked, columns, padded_targets, weights)))

    def scaled(self, factors: Array) -> "Shards":
        """With every row times a number of its own. [n, m]."""
        return self._replace(features=self.features * factors[:, :, None], columns=self.columns * factors[:, None, :])

    def weighted_rows(self) -> np.ndarray:
        """sqrt(w_ij) a_ij on the host: B_i with B_i'B_i = A_i'A_i / m_i. [n, m, d]."""
        return np.asarray(self.features) * np.sqrt(np.asarray(self.weights))[:, :, None]

    def predictions(self, x: Array) -> Array:
        """a_ij'x, or a_ij'x_i. [d] or [n, d] -> [n, m]."""
        return self.features @ x if x.ndim == 1 else jnp.einsum("nmd,nd->nm", self.features, x)

    def pull_back(self, slopes: Array) -> Array:
        """sum_j slopes_ij a_ij of every worker; padding adds nothing. [n, m] -> [n, d]."""
        return jnp.einsum("ndm,nm->nd", self.columns, slopes)

    def average_pull(self, slopes: Array) -> Array:
        """sum_j w_ij slopes_ij a_ij of every worker. [n, m] -> [n, d]."""
        # weighed after the product, so that the slopes are one operand of it as they are; no first sample is padding
        return self.pull_back(slopes) * self.weights[:, :1]

    def average(self, values: Array) -> Array:
        """sum_j w_ij values_ij of every worker. [n, m] -> [n]."""
        return jnp.einsum("nm,nm->n", self.weights, values)

    def mean(self, values: Array) -> Array:
        """The mean of the workers' averages. [n, m] -> []."""
        # a sum, not a product: XLA fuses a sum with what computes the values, which then are not stored
        return jnp.sum(self.weights * values) / self.weights.shape[0]


def deal(features: np.ndarray, targets: np.ndarray, owners: list[np.ndarray]) -> tuple[Stack, Stack]:
    """The samples [N, d], [N] of every worker, whose indices `owners` holds. -> n times [m_i, d] and n times [m_i]."""
    return [features[rows] for rows in owners], [targets[rows] for rows in owners]


def _check_blocks(rows: list[np.ndarray], values: list[np.ndarray]) -> None:
    if not rows or len(rows) != len(values):
        raise InvalidInput(f"features of {len(rows)} workers do not fit the targets of {len(values)}")
    for worker, (block, value) in enumerate(zip(rows, values, strict=True)):
        if block.ndim != 2 or value.shape != block.shape[:1] or block.shape[1:] != rows[0].shape[1:]:
            raise InvalidInput(
                f"worker {worker} has features {block.shape} and targets {value.shape}; accepted are [m_i, d] and [m_i]"
                f" with the same d = {rows[0].shape[-1] if rows[0].ndim else '?'} everywhere"
            )
        if not block.size:
            raise InvalidInput(f"worker {worker} has no samples or no features: {block.shape}")
        if not (np.all(np.isfinite(block)) and np.all(np.isfinite(value))):
            raise InvalidInput(f"the data of worker {worker} hold entries that are not finite (NaN or infinity)")
