"""Perm-k: the coordinates are dealt to the workers."""

import jax
import jax.numpy as jnp
from jax import Array

from problems import InvalidInput, frozen_pytree, static
from simulator.compressor import Compressor
from simulator.parameters import check_whole
from simulator.traffic import Size

__all__ = ["PermK"]


@frozen_pytree
class PermK(Compressor):
    """Deals the coordinates to the n workers at random, by one permutation that all share; no indices are sent.

    Szlendak, Tyurin, Richtarik (arXiv 2110.03300); balanced blocks, themselves dealt at random, where n does not divide
    d (derived). With m = min{n, d}: C_i(x) = m x on the coordinates of worker i, 0 elsewhere.
        d >= n: every coordinate belongs to one worker. d < n: every worker has one coordinate.
    Each C_i is unbiased with omega = m - 1, with equality for every x. Together (derived, with equality):
        d >= n: E|<C_i(v_i)> - <v_i>|^2 = <|v_i|^2> - |<v_i>|^2, so that omega_av = 1 instead of (n - 1)/n, and nothing
            is lost where all v_i are equal.
        d < n: = (d - 1 + kappa)/n <|v_i|^2> - kappa |<v_i>|^2 with kappa = 1 - d P(two workers share a coordinate).
    `compress` of a single message has the law of one worker.
    """

    workers: int = static()
    kind = "perm-k"
    deterministic = False
    positively_homogeneous = True
    shared_randomness = True
    keeps_zeros = True

    def __post_init__(self) -> None:
        check_whole("workers", self.workers)

    def compress(self, key: Array, x: Array) -> Array:
        order, deal = jax.random.split(key)
        positions = jnp.argsort(jax.random.uniform(order, x.shape), axis=-1)
        return self._kept(x, positions, jax.random.randint(deal, (*x.shape[:-1], 1), 0, self.workers))

    def compress_rows(self, key: Array, x: Array) -> Array:
        if x.shape[0] != self.workers:
            raise InvalidInput(f"perm-k for {self.workers} workers was given the messages of {x.shape[0]}")
        order, deal = jax.random.split(key)
        positions, blocks = jax.random.permutation(order, x.shape[1]), jax.random.permutation(deal, self.workers)
        return self._kept(x, positions[None, :], blocks[:, None])

    def _kept(self, x: Array, positions: Array, block: Array) -> Array:
        """x, scaled, on the coordinates of a block. x and positions [..., d], block [..., 1] -> [..., d]."""
        share = min(self.workers, x.shape[-1])
        return jnp.where(positions % share == block % share, share * x, 0)

    def contraction(self, dim: int) -> float | None:
        return 1.0 if min(self.workers, dim) == 1 else None

    def variance(self, dim: int) -> float:
        return min(self.workers, dim) - 1.0

    def averaged_deviation(self, dim: int, workers: int) -> float:
        if dim >= self.workers:
            return 0.0 if self.workers == 1 else 1.0
        q, r = divmod(self.workers, dim)  # r coordinates have q + 1 workers, the others q
        together = (r * (q + 1) * q + (dim - r) * q * (q - 1)) / (self.workers * (self.workers - 1))
        return (dim - dim * together) / self.workers

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=max(message.shape[-1] / self.workers, 1))  # on average over the workers

    def check(self, dim: int, workers: int) -> None:
        if workers != self.workers:
            raise InvalidInput(f"perm-k for {self.workers} workers does not fit a problem with {workers} workers")
