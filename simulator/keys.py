"""Random keys of one round: one for each purpose, so that methods that share a purpose share its draws."""

from typing import NamedTuple

import jax
from jax import Array

__all__ = ["RoundKeys", "round_keys"]


class RoundKeys(NamedTuple):
    """Keys of a round, by what they are drawn for."""

    compression: Array  # of the messages to the server
    second_compression: Array  # of a second message of a worker, or of the server's
    sampling: Array  # of stochastic gradients
    participation: Array
    coin: Array  # tossed once for all workers
    stragglers: Array  # which workers are late


def round_keys(key: Array) -> RoundKeys:
    """Split a round's key."""
    return RoundKeys(*(jax.random.fold_in(key, purpose) for purpose in range(len(RoundKeys._fields))))
