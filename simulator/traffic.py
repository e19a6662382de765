"""How much is sent: sizes of messages, counted in floats, exponents and plain bits.

What a float costs is chosen when a run is accounted for, not where a message is made: 32 bits, as the papers count
whatever the precision of the simulation, or 64.
"""

from math import ceil, log2
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

__all__ = [
    "PAYLOADS",
    "Payload",
    "Size",
    "Traffic",
    "added",
    "chosen",
    "dense",
    "index_bits",
    "nothing",
    "times",
    "traffic",
]

Payload = Literal[32, 64]
PAYLOADS: dict[int, int] = {32: 8, 64: 11}  # bits of a float: bits of its exponent


class Size(NamedTuple):
    """The size of a message, or the mean size of several. Numbers, or arrays [...] of them."""

    floats: Any = 0
    exponents: Any = 0
    bits: Any = 0

    def total(self, payload: int) -> Any:
        """In bits, with floats of `payload` bits."""
        return self.floats * payload + self.exponents * PAYLOADS[payload] + self.bits


class Traffic(NamedTuple):
    """What a worker, on average, exchanges with the server in one round."""

    uplink: Size
    downlink: Size


nothing = Size()


def dense(dim: int) -> Size:
    """d floats."""
    return Size(floats=dim)


def index_bits(dim: int) -> int:
    """Bits that name one of `dim` coordinates."""
    return ceil(log2(dim))


def added(*sizes: Size) -> Size:
    """The size of several messages together."""
    return Size(*(sum(parts) for parts in zip(*sizes, strict=True)))


def times(size: Size, sent: Any) -> Size:
    """The size where only some have sent: `sent` is 1 for those and 0 for the others, [] or [n]."""
    return Size(*(part * jnp.asarray(sent, float) for part in size))


def chosen(first: Any, one: Size, other: Size) -> Size:
    """The one size where `first` is true, else the other; [] or [n]."""
    return Size(*(jnp.where(first, *pair) for pair in zip(one, other, strict=True)))


def traffic(uplink: Size, downlink: Size) -> Traffic:
    """What a method's state holds of a round: sizes with leaves [] or [n], averaged over the workers."""
    return Traffic(*(Size(*(jnp.mean(jnp.asarray(part, float)) for part in size)) for size in (uplink, downlink)))
