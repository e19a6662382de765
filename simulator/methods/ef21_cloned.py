"""EF21 on clones: workers with a large L_i are cloned, so that the clones' constants are nearly equal."""

from jax import Array

from problems import Problem, frozen_pytree, static
from simulator import papers
from simulator.compressor import Compressor
from simulator.distortion import contraction_theorem, descent_theorem, distortion_theorem, weighted
from simulator.estimates import EstimatingMethod, Movement, follow
from simulator.keys import RoundKeys
from simulator.method import Initial
from simulator.traffic import Size
from simulator.weights import clone_weights, worker_scales

__all__ = ["ClonedEF21"]

REFERENCE = "Error Feedback Reloaded (arXiv 2402.10774), cloning; derived"
CLONES = weighted("clones", "L_QM(clones)", clone_weights)
TWICE = CLONES._replace(
    prefix="sqrt2-arithmetic-mean", constant="sqrt2 L_AM", smoothness=lambda c: 2**0.5 * c.arithmetic_mean
)


@frozen_pytree
class ClonedEF21(EstimatingMethod):
    """EF21 on N = sum_i N_i clones, N_i = max{1, ceil(L_i / L_AM)}; each of worker i's has the loss N/(n N_i) f_i.

    Richtarik, Gasanov, Burlachenko (arXiv 2402.10774), on the way to EF21-W. n <= N <= 2n. The clones of a worker share
    its random key, so they stay equal and are simulated once: the method is EF21-W with the weights w_i = N_i / N.
    Traffic is that of one clone.

    Guarantees: EF21's with L_QM(clones)^2 = (N/n^2) sum_i L_i^2 / N_i in place of L_QM^2 (`clones`), which lies between
    L_AM^2 and 2 L_AM^2 (`sqrt2-arithmetic-mean`, the paper's).
    """

    compressor: Compressor
    initial: Initial = static(default="gradient")
    kind = "ef21-cloned"
    paper = papers.RELOADED
    theorems = (
        descent_theorem(REFERENCE, CLONES),
        descent_theorem("Error Feedback Reloaded (arXiv 2402.10774), cloning", TWICE),
        contraction_theorem(REFERENCE, CLONES),
        distortion_theorem(REFERENCE, CLONES),
    )

    def renew(self, problem: Problem, known: Movement, keys: RoundKeys) -> tuple[Array, Size]:
        scales = worker_scales(clone_weights, problem)
        return follow(self.compressor, keys.compression, known.estimates, known.new, scales)
