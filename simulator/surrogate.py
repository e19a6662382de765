"""Where unequal weights and local steps lead: the quadratic that is minimised in place of f."""

import numpy as np
from numpy.typing import ArrayLike

from problems import Quadratic
from problems.arrays import as_floats
from problems.errors import InvalidInput
from simulator.parameters import check_number, check_whole

__all__ = ["surrogate"]


def surrogate(problem: Quadratic, weights: ArrayLike, stepsize: float = 0.0, local_steps: int = 1) -> Quadratic:
    """sum_i q_i f_i^H, with the expected weights q_i and what H local steps descend in place of f_i.

    From x, worker i moves by gamma H grad f_i^H(x) in H steps of size gamma. For f_i(x) = x'A_i x/2 - b_i'x this is
    a quadratic again, of M_i A_i and M_i b_i with M_i = (1/H) sum_{h<H} (I - gamma A_i)^h; at H = 1 it is f_i.

    FedAvg is gradient descent on the sum, with the stepsize eta gamma H, and its limit is the minimiser. Where workers
    arrive in turns, let s_i be the mean of the models from which worker i began, N_i how often it has arrived in T
    rounds, and q_i = w_i N_i / T. Then, on exact gradients, adding up what has arrived (derived),

        sum_i q_i grad f_i^H(s_i) = (x^0 - x^T + eta sum_i w_i e_i^T) / (eta gamma H T).

    The right-hand side vanishes in the long run, and the s_i differ by O(gamma): the minimiser is the limit of x's mean
    as gamma -> 0, with H = 1 and whatever the compressor.

    Raises:
        InvalidInput: weights that are not [n] numbers >= 0, or a sum that is not bounded below.
    """
    check_number("the stepsize", stepsize, "[0, inf)")
    check_whole("the number of local steps", local_steps)
    q, n = as_floats("weights", weights), problem.num_workers
    if q.shape != (n,) or not np.all(q >= 0):
        raise InvalidInput(f"weights must be {n} numbers >= 0, not {q}")
    a, b, c = (np.asarray(leaf) for leaf in (problem.matrices, problem.vectors, problem.constants))
    dense = a if a.ndim == 3 else a[:, :, None] * np.eye(problem.dim)
    powers = [np.broadcast_to(np.eye(problem.dim), dense.shape)]
    for _ in range(local_steps - 1):
        powers.append(powers[-1] - stepsize * dense @ powers[-1])
    descended = n * q[:, None, None] * np.mean(powers, axis=0)
    matrices = descended @ dense
    vectors = np.einsum("nij,nj->ni", descended, b)
    return Quadratic.from_arrays((matrices + np.swapaxes(matrices, 1, 2)) / 2, vectors, n * q * c)
