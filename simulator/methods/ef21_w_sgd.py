"""EF21-W-SGD: EF21-W with stochastic gradients."""

from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.distortion import ARITHMETIC_MEAN
from simulator.method import Initial
from simulator.methods.ef21_sgd import StochasticEF21, stochastic_theorems
from simulator.oracle import GradientOracle
from simulator.weights import proportional_weights, worker_scales

__all__ = ["EF21WSGD"]


@frozen_pytree
class EF21WSGD(StochasticEF21):
    """EF21-W-SGD: g_i+ = g_i + n w_i C((ghat_i(x+) - g_i) / (n w_i)), w_i = L_i / sum_j L_j, x+ = x - gamma <g_i>.

    Richtarik, Gasanov, Burlachenko (arXiv 2402.10774). Guarantees: those of EF21-SGD with L_AM in place of L_QM, for
    the weighted distortion; v = sum_i v_i / (n^2 w_i) and A = max_i 2 A_i / (n w_i) (derived).
    """

    compressor: Compressor
    oracle: GradientOracle
    initial: Initial = static(default="gradient")
    kind = "ef21-w-sgd"
    paper = papers.RELOADED
    theorems = stochastic_theorems("Error Feedback Reloaded (arXiv 2402.10774), EF21-W-SGD; derived", ARITHMETIC_MEAN)

    def scales(self, problem: Problem) -> Array:
        return worker_scales(proportional_weights, problem)
