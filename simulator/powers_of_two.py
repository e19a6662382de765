"""Rounding to powers of two, on the bits of a float."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

__all__ = ["rounded_to_powers"]


def rounded_to_powers(x: Array, upwards: Callable[[Array], Array]) -> Array:
    """sign(x) 2^e or sign(x) 2^(e+1) for |x| = 2^e (1 + f), by whether `upwards(f)`. [...] -> [...].

    Exact: a float is its sign, e and f. 0 stays; a denormal becomes 0 or the smallest normal number; what is not finite
    stays, for a diverging run must not be made finite again.
    """
    digits = jnp.finfo(x.dtype).nmant
    integer = jnp.iinfo(f"int{x.dtype.itemsize * 8}")
    pattern = lax.bitcast_convert_type(x, integer.dtype)
    mantissa = pattern & ((1 << digits) - 1)
    raised = upwards(mantissa.astype(x.dtype) / 2**digits) & (mantissa > 0)
    power = pattern - mantissa + raised.astype(integer.dtype) * (1 << digits)
    return jnp.where(jnp.isfinite(x), lax.bitcast_convert_type(power, x.dtype), x)
