"""The abstract problem: minimise f(x) = (1/n) sum_i f_i(x), where worker i holds f_i."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

__all__ = ["Problem"]


class Problem(ABC):
    """A finite sum over n workers of functions on R^d, with constants that theorems may rely on.

    Subclasses are frozen pytrees (`frozen_pytree`). Functions of x work under `jit`, `vmap` and `grad`; the constants
    below `smoothness` are computed on the host in float64 when first asked for.

    Attributes:
        smoothness: L, the smallest Lipschitz constant of grad f, or a proven upper bound (the subclass says which). [].
        worker_smoothness: L_i of every grad f_i, likewise. [n].
        recipes: the class methods from which configs build this problem, by the `kind` that configs use.
    """

    recipes: ClassVar[Mapping[str, str]] = {}
    smoothness: Array  # []
    worker_smoothness: Array  # [n]

    @property
    @abstractmethod
    def dim(self) -> int:
        """d, the number of coordinates."""

    @property
    @abstractmethod
    def num_workers(self) -> int:
        """n, the number of workers."""

    @abstractmethod
    def worker_losses(self, x: Array) -> Array:
        """f_i(x) of every worker. x [d] -> [n]."""

    @abstractmethod
    def worker_gradients(self, x: Array) -> Array:
        """The gradient of every f_i at x. x [d] -> [n, d]."""

    @abstractmethod
    def loss_difference(self, x: Array, step: Array) -> Array:
        """f(x + step) - f(x), accurate relative to itself even where it is far below f(x). [d], [d] -> []."""

    @property
    @abstractmethod
    def lower_bound(self) -> float:
        """A certified lower bound of f; equal to the minimum where that is known."""

    @property
    @abstractmethod
    def pl_constant(self) -> float | None:
        """mu > 0 with |grad f(x)|^2 >= 2 mu (f(x) - f*) for every x, or None where none is known."""

    @property
    @abstractmethod
    def strong_convexity(self) -> float | None:
        """mu > 0 with which f is strongly convex, or None where none is known; never above the PL constant."""

    @property
    @abstractmethod
    def workers_convex(self) -> bool:
        """Whether every f_i is known to be convex."""

    def loss(self, x: Array) -> Array:
        """f(x), the mean of the workers' losses. x [d] -> []."""
        return jnp.mean(self.worker_losses(x))

    def gradient(self, x: Array) -> Array:
        """The gradient of f at x. x [d] -> [d]."""
        return jnp.mean(self.worker_gradients(x), axis=0)

    def hessian(self, x: Array) -> Array:
        """The Hessian of f at x. x [d] -> [d, d]."""
        return jax.hessian(self.loss)(x)

    @property
    @abstractmethod
    def minimizer(self) -> np.ndarray | None:
        """x*, a minimiser of f to rounding error, or None where none is known. [d]."""

    @property
    def minimum(self) -> float | None:
        """f*, the minimum of f where the minimiser is known, else None."""
        return None if self.minimizer is None else float(self.loss(jnp.asarray(self.minimizer)))
