"""Low rank: the best approximation of a matrix."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.compressor import Compressor
from simulator.norms import scaled
from simulator.parameters import check_matrix, check_matrix_fits
from simulator.traffic import Size

__all__ = ["LowRank"]


@frozen_pytree
class LowRank(Compressor):
    """The best approximation of rank r of x, seen as a matrix of `rows` x (d / rows), row by row; by its SVD.

    alpha = r / min{rows, d / rows} (derived), attained where all singular values are equal. Two factors are sent.
    """

    rank: int = static()
    rows: int = static()
    kind = "low-rank"
    deterministic = True
    positively_homogeneous = True

    def __post_init__(self) -> None:
        check_matrix(self.rank, self.rows)

    def compress(self, key: Array, x: Array) -> Array:
        # scaled: LAPACK has its own range, outside of which it would round twice
        unit, highest = scaled(x)
        left, values, right = jnp.linalg.svd(unit.reshape(*x.shape[:-1], self.rows, -1), full_matrices=False)
        best = (left[..., : self.rank] * values[..., None, : self.rank]) @ right[..., : self.rank, :]
        return highest * best.reshape(x.shape)

    def contraction(self, dim: int) -> float:
        return min(1.0, self.rank / min(self.rows, dim // self.rows))

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.contraction(dim) == 1 else None

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=self.rank * (self.rows + message.shape[-1] // self.rows))

    def check(self, dim: int, workers: int) -> None:
        check_matrix_fits(self.rank, self.rows, dim)
