"""Compression with error compensation in both directions: what is withheld is added to what is sent next."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from simulator.compressor import Compressor
from simulator.keys import RoundKeys
from simulator.traffic import Traffic, traffic

__all__ = ["Channel", "Errors", "no_errors"]


class Errors(NamedTuple):
    """What compression has withheld so far."""

    workers: Array  # e_i, [n, d]
    server: Array  # e, [d]


class Channel(NamedTuple):
    """The compressors of the messages to the server and of its answer."""

    uplink: Compressor
    downlink: Compressor

    def mean(self, vectors: Array, errors: Errors, keys: RoundKeys) -> tuple[Array, Errors, Traffic]:
        """The mean of the workers' vectors as all of them get to know it: C2(e + <C1(e_i + vector_i)>).

        Vectors [n, d] -> [d], with the new errors and what was sent.
        """
        owed = errors.workers + vectors
        messages = self.uplink.compress_rows(keys.compression, owed)
        answered = errors.server + jnp.mean(messages, axis=0)
        answer = self.downlink.compress(keys.second_compression, answered)
        dim = len(answer)
        sent = traffic(self.uplink.size(messages, dim), self.downlink.size(answer, dim))
        return answer, Errors(owed - messages, answered - answer), sent


def no_errors(gradients: Array) -> Errors:
    """Those of round 0. The workers' gradients [n, d]."""
    return Errors(jnp.zeros_like(gradients), jnp.zeros_like(gradients[0]))
