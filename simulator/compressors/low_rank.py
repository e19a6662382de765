"""Low rank: the best approximation of a matrix."""

import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.matrix_view import MatrixCompressor
from simulator.norms import scaled

__all__ = ["LowRank"]


@frozen_pytree
class LowRank(MatrixCompressor):
    """The best approximation of rank r of x, seen as a matrix of `rows` x (d / rows), row by row; by its SVD.

    alpha = r / min{rows, d / rows} (derived), attained where all singular values are equal. Two factors are sent.
    """

    rank: int = static()
    rows: int = static()
    kind = "low-rank"
    deterministic = True

    def compress(self, key: Array, x: Array) -> Array:
        # scaled: LAPACK has its own range, outside of which it would round twice
        unit, highest = scaled(x)
        left, values, right = jnp.linalg.svd(unit.reshape(*x.shape[:-1], self.rows, -1), full_matrices=False)
        best = (left[..., : self.rank] * values[..., None, : self.rank]) @ right[..., : self.rank, :]
        return highest * best.reshape(x.shape)
