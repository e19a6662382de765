"""The norm of a Hessian by power iteration, where no formula gives it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["hessian_norm"]

ITERATIONS = 60  # of the d directions the start has a share of each; 60 products find most norms to a percent


def hessian_norm(gradient: Callable[[Array], Array], x: Array) -> Array:
    """The largest absolute eigenvalue of the Jacobian of a gradient at x, from below. x [d] -> [].

    By power iteration with Jacobian-vector products, never forming a matrix, from one fixed random start. What it
    finds is never above the norm; it is below by little unless eigenvalues are close (where it matters little).
    """

    def iterate(vector: Array, _: None) -> tuple[Array, None]:
        size = jnp.maximum(jnp.linalg.norm(vector), jnp.finfo(vector.dtype).tiny)
        return jax.jvp(gradient, (x,), (vector / size,))[1], None

    start = jnp.asarray(np.random.default_rng(0).standard_normal(len(x)), x.dtype)
    return jnp.linalg.norm(jax.lax.scan(iterate, start, None, length=ITERATIONS)[0])
