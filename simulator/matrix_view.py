"""Compressors that see a vector as a matrix and send two factors of a rank."""

from jax import Array

from problems import InvalidInput
from simulator.compressor import Compressor
from simulator.parameters import check_whole
from simulator.traffic import Size

__all__ = ["MatrixCompressor"]


class MatrixCompressor(Compressor):
    """x as a matrix of `rows` x (d / rows), row by row, of which an approximation of the given rank is sent.

    alpha = rank / min{rows, d / rows}; a subclass says why.
    """

    positively_homogeneous = True
    rank: int
    rows: int

    def __post_init__(self) -> None:
        check_whole("rank", self.rank)
        check_whole("rows", self.rows)

    def contraction(self, dim: int) -> float:
        return min(1.0, self.rank / min(self.rows, dim // self.rows))

    def variance(self, dim: int) -> float | None:
        return 0.0 if self.contraction(dim) == 1 else None

    def size(self, message: Array, entries: int) -> Size:
        return Size(floats=self.rank * (self.rows + message.shape[-1] // self.rows))

    def check(self, dim: int, workers: int) -> None:
        if dim % self.rows:
            raise InvalidInput(f"rows = {self.rows} does not divide the dimension d = {dim}")
        if self.rank > min(self.rows, dim // self.rows):
            raise InvalidInput(
                f"rank = {self.rank} is larger than that of a matrix of {self.rows} x {dim // self.rows}"
            )
