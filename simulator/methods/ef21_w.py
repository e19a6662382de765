"""EF21-W: EF21 on gradients scaled by the workers' weights."""

from typing import NamedTuple

from jax import Array

from problems import Problem, frozen_pytree, static
from simulator.compressor import FLOAT_BITS, Compressor
from simulator.method import Bits, Initial, Method, check_initial, initial_bits, initial_estimates
from simulator.methods.ef21 import contraction_theorem, descent_theorem
from simulator.weights import proportional_weights

__all__ = ["EF21W", "EF21WState"]


class EF21WState(NamedTuple):
    x: Array  # [d]
    gradients: Array  # of the workers at x, [n, d]
    scaled_estimates: Array  # g_i, which estimates grad f_i / (n w_i), [n, d]
    weights: Array  # w_i, [n]

    @property
    def estimates(self) -> Array:
        """n w_i g_i, which estimates grad f_i. [n, d]."""
        return self.scaled_estimates * self.scales[:, None]

    @property
    def scales(self) -> Array:
        """n w_i. [n]."""
        return self.weights * len(self.weights)


@frozen_pytree
class EF21W(Method):
    """EF21-W: x+ = x - gamma sum_i w_i g_i, then g_i+ = g_i + C(grad f_i(x+) / (n w_i) - g_i), w_i = L_i / sum_j L_j.

    Richtarik, Gasanov, Burlachenko (arXiv 2402.10774). For a positively homogeneous compressor the iterates are those
    of EF21; for others the two methods differ.

    Guarantees: those of EF21 with L_AM in place of L_QM, for V with the distortion
    G = sum_i w_i |g_i - grad f_i / (n w_i)|^2, which is EF21's weighted G_w of the estimates n w_i g_i.
    """

    compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "ef21-w"
    theorems = (
        descent_theorem(
            "arithmetic-mean",
            "Error Feedback Reloaded (arXiv 2402.10774), EF21-W; derived",
            "1 / (L + L_AM xi)",
            proportional_weights,
        ),
        contraction_theorem(
            "arithmetic-mean-pl",
            "Error Feedback Reloaded (arXiv 2402.10774), EF21-W; derived",
            "min(1 / (L + sqrt2 L_AM xi), theta / (2 mu))",
            proportional_weights,
        ),
    )

    def __post_init__(self) -> None:
        check_initial(self.initial)

    def init(self, problem: Problem, x0: Array, key: Array) -> EF21WState:
        weights = proportional_weights(problem.worker_smoothness)
        gradients = problem.worker_gradients(x0)
        scaled = gradients / (len(weights) * weights)[:, None]
        return EF21WState(x0, gradients, initial_estimates(self.initial, self.compressor, scaled, key), weights)

    def step(self, problem: Problem, stepsize: Array, state: EF21WState, key: Array) -> EF21WState:
        x = state.x - stepsize * (state.weights @ state.scaled_estimates)
        gradients = problem.worker_gradients(x)
        differences = gradients / state.scales[:, None] - state.scaled_estimates
        messages = self.compressor.compress_rows(key, differences)
        return EF21WState(x, gradients, state.scaled_estimates + messages, state.weights)

    def bits(self, dim: int) -> Bits:
        return Bits(
            initial=initial_bits(self.initial, self.compressor, dim),
            uplink=self.compressor.bits(dim),
            downlink=FLOAT_BITS * dim,
        )
