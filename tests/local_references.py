"""The methods with local steps once more, as plain loops in NumPy: worker by worker, step by step."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from simulator import AdamW

__all__ = ["LOCAL_REFERENCES", "four_bits"]


def four_bits(v: np.ndarray) -> np.ndarray:
    """Every entry goes to the nearest of 15 levels, of two the larger one."""
    highest = np.max(np.abs(v))
    levels = [0.0, *(highest * 2.0**-e for e in range(6, -1, -1))]
    return np.array([np.sign(a) * min(reversed(levels), key=lambda level: abs(level - abs(a))) for a in v])


class Worker:
    """A worker's model with what its optimiser remembers."""

    def __init__(self, run: Any, i: int) -> None:
        self.run, self.i, self.x = run, i, run.x0
        self.m, self.v, self.steps = 0 * self.x, 0 * self.x, 0

    def go(self, t: int, local_step: int) -> None:
        run, inner = self.run, self.run.method.inner
        g = run.observed(t, self.i, self.x, local_step)
        if isinstance(inner, AdamW):
            self.steps += 1
            self.m = inner.beta1 * self.m + (1 - inner.beta1) * g
            self.v = inner.beta2 * self.v + (1 - inner.beta2) * g * g
            m, v = self.m / (1 - inner.beta1**self.steps), self.v / (1 - inner.beta2**self.steps)
            g = m / (np.sqrt(v) + inner.epsilon) + inner.decay * self.x
        self.x = self.x - run.gamma * g


def team(run: Any) -> list[Worker]:
    return [Worker(run, i) for i in range(run.n)]


def sending(run: Any) -> Callable[[int, int, np.ndarray, Any], np.ndarray]:
    """What worker i sends in round t for its difference on some coordinates."""
    errors = [0 * run.x0 for _ in range(run.n)]

    def send(t: int, i: int, difference: np.ndarray, where: Any = slice(None)) -> np.ndarray:
        owed = difference[where] + errors[i][where]
        message = run.draws.compress(t, i, owed)
        errors[i][where] = run.method.feedback * (owed - message)
        return message

    return send


def rounds_of_local_steps(run: Any) -> Iterator[np.ndarray]:
    """The mean differences, round after round, each from the model that is sent in."""
    workers, send, x = team(run), sending(run), run.x0
    for t in range(1, run.rounds + 1):
        for worker in workers:
            worker.x = x.copy()
            for local_step in range(run.method.local_steps):
                worker.go(t, local_step)
        x = yield sum(send(t, i, x - worker.x) for i, worker in enumerate(workers)) / run.n


def outer_loop(run: Any, move: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    """x+ = move(x, D), round after round."""
    x, differences = run.x0, rounds_of_local_steps(run)
    difference = next(differences)
    for t in range(1, run.rounds + 1):
        x = move(x, difference)
        yield x
        if t < run.rounds:
            difference = differences.send(x)


def local_sgd(run: Any):
    return outer_loop(run, lambda x, difference: x - difference)


def diloco(run: Any):
    eta, m, u = run.method.outer_stepsize, run.method.outer_momentum, np.zeros_like(run.x0)

    def move(x, difference):
        u[:] = m * u + difference
        return x - eta * (difference + m * u)

    return outer_loop(run, move)


def co2(run: Any):
    method, u, waiting = run.method, np.zeros_like(run.x0), []

    def move(x, difference):
        waiting.append((x, difference))
        if len(waiting) <= method.delay:
            return x
        origin, late = waiting.pop(0)
        gap = 1 + np.linalg.norm(x - origin) / np.linalg.norm(late) if method.penalty is None else method.penalty
        u[:] = method.outer_momentum * u + late / gap
        if method.clip is not None:
            u[:] = [min(max(a, -method.clip), method.clip) for a in u]
        return x - method.outer_stepsize * u

    return outer_loop(run, move)


def streaming_diloco(run: Any):
    method, x, workers, send = run.method, run.x0, team(run), sending(run)
    eta, m, u, interval = method.outer_stepsize, method.outer_momentum, 0 * run.x0, method.interval
    for t in range(1, run.rounds + 1):
        own, messages = [j for j in range(len(x)) if j % method.fragments == (t - 1) % method.fragments], []
        for local_step in range(interval + 1):
            if local_step == interval - method.overlap:
                messages = [send(t, i, x - worker.x, own) for i, worker in enumerate(workers)]
            if local_step < interval:
                for worker in workers:
                    worker.go(t, local_step)
        difference = sum(messages) / run.n
        u[own] = m * u[own] + difference
        x = x.copy()
        x[own] = x[own] - eta * (difference + m * u[own])
        for worker in workers:
            worker.x[own] = method.mixing * worker.x[own] + (1 - method.mixing) * x[own]
        yield x


LOCAL_REFERENCES: dict[str, Callable[[Any], Iterator[np.ndarray]]] = {
    "local-sgd": local_sgd,
    "diloco": diloco,
    "streaming-diloco": streaming_diloco,
    "co2": co2,
}
