"""PowerSGD: projection of a matrix onto a random part of its range."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import frozen_pytree, static
from simulator.compressor import Compressor
from simulator.norms import scaled
from simulator.parameters import check_matrix, check_matrix_fits
from simulator.traffic import Size

__all__ = ["PowerSGD"]


@frozen_pytree
class PowerSGD(Compressor):
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
    positively_homogeneous = True

    def __post_init__(self) -> None:
        check_matrix(self.rank, self.rows)

    def compress(self, key: Array, x: Array) -> Array:
        unit, highest = scaled(x)
        matrix = unit.reshape(*x.shape[:-1], self.rows, -1)
        probe = jax.random.normal(key, (*x.shape[:-1], matrix.shape[-1], self.rank), x.dtype)
        # where M Q has a smaller rank, Householder's further columns are any orthonormal ones: they do no harm
        basis, _ = jnp.linalg.qr(matrix @ probe)
        return highest * (basis @ (basis.mT @ matrix)).reshape(x.shape)

    def contraction(self, dim: int) -> float:
        return min(1.0, self.rank / min(self.rows, dim // self.rows))

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.contraction(dim) == 1 else None

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=self.rank * (self.rows + message.shape[-1] // self.rows))

    def check(self, dim: int, workers: int) -> None:
        check_matrix_fits(self.rank, self.rows, dim)
