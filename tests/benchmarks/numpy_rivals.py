"""EF21 in NumPy: as papers' scripts write it, vectorised over workers, and vectorised over stepsizes too."""

import numpy as np

from tests.benchmarks.contestants import OneByOne, Rival

__all__ = ["NumpyBatch", "NumpyLoop", "NumpyWorkers"]


def _keep_largest(differences: np.ndarray, k: int, axis: int) -> np.ndarray:
    """Top-k along the axis, in place; of data without ties.

    The threshold by `partition` takes 0.6 times as long as the indices by `argpartition`.
    """
    sizes = np.abs(differences)
    threshold = _kth_largest(sizes, k, axis)
    differences *= sizes >= threshold
    return differences


def _kth_largest(sizes: np.ndarray, k: int, axis: int) -> np.ndarray:
    kth = sizes.shape[axis] - k
    return np.take(np.partition(sizes, kth, axis=axis), [kth], axis=axis)


def _follow(estimates: np.ndarray, gradients: np.ndarray, k: int, axis: int) -> None:
    """g_i += Top-k(grad f_i - g_i), in place."""
    if k == 1:
        largest = np.expand_dims(np.abs(gradients - estimates).argmax(axis=axis), axis)
        np.put_along_axis(estimates, largest, np.take_along_axis(gradients, largest, axis), axis)
    else:
        estimates += _keep_largest(gradients - estimates, k, axis)


class NumpyLoop(OneByOne):
    """One worker after another, one stepsize after another."""

    key = "a"
    label = "(a) NumPy, loop over workers"

    def start_one(self) -> list[np.ndarray]:
        model = self.workload.model
        return [model.worker_gradient(i, np.zeros(model.dim)) for i in range(model.workers)]

    def advance_one(self, stepsize: float, state: list[np.ndarray], rounds: int) -> np.ndarray:
        model, k = self.workload.model, self.workload.k
        x = np.zeros(model.dim)
        for _ in range(rounds):
            x = x - stepsize * np.mean(state, axis=0)
            for i, estimate in enumerate(state):
                _follow(estimate, model.worker_gradient(i, x), k, axis=0)
        return x


class NumpyWorkers(OneByOne):
    """All workers at once, one stepsize after another."""

    key = "b1"
    label = "(b1) NumPy, one stepsize after another"

    def start_one(self) -> np.ndarray:
        model = self.workload.model
        return model.gradients(np.zeros(model.dim))

    def advance_one(self, stepsize: float, state: np.ndarray, rounds: int) -> np.ndarray:
        model, k = self.workload.model, self.workload.k
        x = np.zeros(model.dim)
        for _ in range(rounds):
            x = x - stepsize * state.mean(axis=0)
            _follow(state, model.gradients(x), k, axis=1)
        return x


class NumpyBatch(Rival):
    """All workers and all stepsizes in one product."""

    key = "b"
    label = "(b) NumPy, all stepsizes at once"

    def start(self, rounds: int) -> np.ndarray:
        model = self.workload.model
        return model.batch_gradients(np.zeros((model.dim, self.workload.runs)))

    def advance(self, state: np.ndarray, rounds: int) -> np.ndarray:
        model, k, gammas = self.workload.model, self.workload.k, self.workload.stepsizes
        x = np.zeros((model.dim, self.workload.runs))
        for _ in range(rounds):
            x = x - gammas * state.mean(axis=0)
            _follow(state, model.batch_gradients(x), k, axis=1)
        return x.T
