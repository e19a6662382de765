"""PowerSGD: projection of a matrix onto a random part of its range."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.matrix_view import MatrixCompressor
from simulator.norms import scaled

__all__ = ["PowerSGD"]


@frozen_pytree
class PowerSGD(MatrixCompressor):
    """C(M) = P P'M with P = orthonormalised M Q, Q Gaussian with r columns; M is x as `rows` x (d / rows), row by row.

    Vogels, Karimireddy, Jaggi (arXiv 1905.13727), without their warm start, which makes Q the P'M of the round before:
    a compressor has no state, and Q is drawn afresh. P and P'M are sent.
    alpha = r / min{rows, d / rows} in expectation (derived), attained where all singular values s_j are equal. With one
    column the share |P'M|^2 / |M|^2 is a mean of the s_j^2 with random weights proportional to s_j^2 q_j^2; these grow
    with s_j on average, so that by Chebyshev's sum inequality the mean is at least sum_j s_j^2 / rank(M). Every further
    column does the same to what is left, whose rank is one less: at most (R - r)/R remains of rank R.
    """

    rank: int = static()
    rows: int = static()
    kind = "power-sgd"
    deterministic = False

    def compress(self, key: Array, x: Array) -> Array:
        unit, highest = scaled(x)
        matrix = unit.reshape(*x.shape[:-1], self.rows, -1)
        probe = jax.random.normal(key, (*x.shape[:-1], matrix.shape[-1], self.rank), x.dtype)
        # where M Q has a smaller rank, Householder's further columns are any orthonormal ones: they do no harm
        basis, _ = jnp.linalg.qr(matrix @ probe)
        return highest * (basis @ (basis.mT @ matrix)).reshape(x.shape)
