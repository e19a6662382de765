"""The abstract problem: minimise f(x) = (1/n) sum_i f_i(x), where worker i holds f_i."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

__all__ = ["Evaluation", "FiniteSum", "Problem", "Sparsity", "trapezoid"]


class Evaluation(NamedTuple):
    """What is known of a point at which the gradients have been evaluated."""

    x: Array  # [d]
    gradient: Array  # of f, [d]
    memory: Any  # what the problem remembers of it, see `Problem.remember`


class Sparsity(NamedTuple):
    """Which coordinates the f_i depend on. Worker i uses the coordinates J_i; coordinate j belongs to the workers I_j.

    A constant of a dense problem is that of J_i = everything: c = n, r = d, M = sum_i L_i.
    """

    spread: float  # c = max_j |I_j|, to how many workers a coordinate belongs
    support: float  # r = max_i |J_i|, how many coordinates a worker uses
    load: float  # M = max_j sum_{i in I_j} L_i


def trapezoid(start: Evaluation, end: Evaluation) -> Array:
    """The change of f as if the slope changed evenly along the way: ((grad f(x) + grad f(y)) / 2)'(y - x). -> []."""
    return (start.gradient + end.gradient) @ (end.x - start.x) / 2


class Problem(ABC):
    """A finite sum over n workers of functions on R^d, with constants that theorems may rely on.

    Subclasses are frozen pytrees (`frozen_pytree`). Functions of x work under `jit`, `vmap` and `grad`; the constants
    below `smoothness` are computed on the host in float64 when first asked for.

    Attributes:
        smoothness: L, the smallest Lipschitz constant of grad f, or a proven upper bound (the subclass says which). [].
        worker_smoothness: L_i of every grad f_i, likewise. [n].
        certified: whether these constants are proven; where they are only estimated, no theorem applies.
        recipes: the class methods from which configs build this problem, by the `kind` that configs use.
    """

    recipes: ClassVar[Mapping[str, str]] = {}
    certified: ClassVar[bool] = True
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
        """The gradient of every f_i at x, or each at a point of its own. x [d] or [n, d] -> [n, d].

        Only methods whose workers go on by themselves, with local steps or delays, ask for the second.
        """

    @abstractmethod
    def loss_difference(self, x: Array, step: Array) -> Array:
        """f(x + step) - f(x), accurate relative to itself even where it is far below f(x). [d], [d] -> []."""

    def remember(self, x: Array) -> Any:
        """What `loss_change` needs of a point besides x and the gradient: a by-product of the gradients. -> pytree."""
        return ()

    def loss_change(self, start: Evaluation, end: Evaluation) -> Array:
        """f at the end minus f at the start, as accurate as `loss_difference` and often cheaper. -> []."""
        return -self.loss_difference(end.x, start.x - end.x)

    def evaluation(self, x: Array, gradients: Array) -> Evaluation:
        """What is known of x [d], given the worker gradients there [n, d]."""
        return Evaluation(x, jnp.mean(gradients, axis=0), self.remember(x))

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

    @property
    @abstractmethod
    def worker_strong_convexity(self) -> float | None:
        """min_i mu_i > 0 with which every f_i is strongly convex, or None where none is known."""

    @property
    @abstractmethod
    def mean_squared_smoothness(self) -> float:
        """L_+ with (1/n) sum_i |grad f_i(x) - grad f_i(y)|^2 <= L_+^2 |x - y|^2; at most L_QM."""

    @property
    @abstractmethod
    def sparsity(self) -> Sparsity:
        """How the coordinates are spread over the workers (arXiv 2305.15264), exactly."""

    def __repr__(self) -> str:
        sizes = f"n={self.num_workers}, d={self.dim}"
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self)):
            return f"{type(self).__name__}({sizes}, traced)"
        L, own, mu = float(self.smoothness), np.asarray(self.worker_smoothness), self.pl_constant
        means = f"L={L:.4g}, L_AM={own.mean():.4g}, L_QM={np.sqrt((own**2).mean()):.4g}"
        return f"{type(self).__name__}({sizes}, {means}, mu={'unknown' if mu is None else f'{mu:.4g}'})"

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


class FiniteSum(Problem):
    """A problem whose f_i are means over the worker's samples, so that gradients may be taken on some of them.

    f_i(x) = (1/m_i) sum_j f_ij(x), with f_ij >= 0.
    """

    @property
    @abstractmethod
    def sample_counts(self) -> Array:
        """m_i, how many samples every worker has. [n]."""

    @property
    @abstractmethod
    def most_samples(self) -> int:
        """m = max_i m_i."""

    @abstractmethod
    def weighted_gradients(self, x: Array, weights: Array) -> Array:
        """sum_j w_ij grad f_ij(x) of every worker, for weights [n, m] that sum to 1; x as above. -> [n, d]."""

    @abstractmethod
    def sample_variances(self, x: Array) -> Array:
        """(1/m_i) sum_j |grad f_ij(x) - grad f_i(x)|^2 of every worker. x [d] -> [n]."""

    @property
    @abstractmethod
    def sample_smoothness(self) -> np.ndarray:
        """max_j L_ij, where f_ij is L_ij-smooth. [n]."""

    @property
    @abstractmethod
    def sample_difference_smoothness(self) -> np.ndarray:
        """l_i with (1/m_i) sum_j |D_ij - mean_j D_ij|^2 <= l_i^2 |x - y|^2, D_ij = grad f_ij(x) - grad f_ij(y). [n]."""
