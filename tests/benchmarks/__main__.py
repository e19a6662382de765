"""The engine against the loops that papers' scripts use, on the same problem, interleaved in one process.

Times on a shared machine drift by tens of percent, so what counts are the ratios within one run. All contestants do
the same work: EF21 with Top-1 on nonconvex logistic regression in float64, for 64 stepsizes. The engine's time
includes checking its theorems at every round; "unchecked" leaves that out.
"""

import time
from collections.abc import Callable
from statistics import median

import jax
import numpy as np

from experiments.tables import render
from problems import LogisticRegression, frozen_pytree
from simulator import EF21, TopK, simulate

STRENGTH = 1e-3
STEPSIZES = np.geomspace(1e-3, 1e-1, 64)
REPETITIONS = 5
ENGINE_ROUNDS, LOOP_ROUNDS = 20, 2  # the loops are slow, and their time per round does not depend on the number


@frozen_pytree
class Unchecked(EF21):
    """EF21 with no theorem to check."""

    kind = "ef21-unchecked"
    theorems = ()


def main() -> None:
    for name, n, m, d in (("mushrooms-like", 20, 406, 112), ("a9a-like", 100, 325, 123)):
        features, labels = _data(n, m, d)
        problem = LogisticRegression.from_arrays(features, labels, "nonconvex", STRENGTH)
        signed = features * labels[:, :, None]
        contestants: dict[str, Callable[[], float]] = {
            "engine": lambda p=problem: _engine(p, EF21(TopK(1))),
            "engine, unchecked": lambda p=problem: _engine(p, Unchecked(TopK(1))),
            "NumPy, all stepsizes at once": lambda a=signed: _per_round(_numpy_all, a),
            "NumPy, one stepsize after another": lambda a=signed: _per_round(_numpy_one_by_one, a),
            "NumPy, loop over workers": lambda a=signed: _per_round(_numpy_loop, a),
        }
        print(f"\n{name}: n = {n}, m = {m}, d = {d}, 64 stepsizes, {jax.default_backend()}\n")
        print(_table(_measure(contestants)))


def _data(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n, m, d)) * (rng.random((n, m, d)) < 0.2)
    return features, rng.choice([-1.0, 1.0], (n, m))


def _measure(contestants: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds per round of every contestant in every repetition, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(REPETITIONS + 1):
        for name, contestant in contestants.items():
            seconds = contestant()
            times[name] += [seconds] if repetition else []
    return times


def _table(times: dict[str, list[float]]) -> str:
    rows = []
    for name, seconds in times.items():
        ratios = [own / engine for own, engine in zip(seconds, times["engine"], strict=True)]
        rows.append(
            (name, f"{1e3 * median(seconds):.2f}", f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}")
        )
    return render(("", "ms a round", "times the engine", "spread"), rows)


def _engine(problem: LogisticRegression, method: EF21) -> float:
    start = time.perf_counter()
    simulate(problem, method, stepsize=STEPSIZES, rounds=ENGINE_ROUNDS, record_every=ENGINE_ROUNDS)
    return (time.perf_counter() - start) / ENGINE_ROUNDS


def _per_round(contestant: Callable[[np.ndarray, int], object], signed: np.ndarray) -> float:
    start = time.perf_counter()
    contestant(signed, LOOP_ROUNDS)
    return (time.perf_counter() - start) / LOOP_ROUNDS


def _gradient(signed: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of f_i for signed [.., m, d] and x [d]."""
    slopes = -1 / (1 + np.exp(signed @ x)) / signed.shape[-2]
    return np.einsum("...md,...m->...d", signed, slopes, optimize=True) + 2 * STRENGTH * x / (1 + x**2) ** 2


def _keep_largest(differences: np.ndarray, axis: int) -> np.ndarray:
    sizes = np.abs(differences)
    return np.where(sizes == sizes.max(axis=axis, keepdims=True), differences, 0.0)  # random data have no ties


def _numpy_loop(signed: np.ndarray, rounds: int) -> None:
    for stepsize in STEPSIZES:
        x = np.zeros(signed.shape[2])
        estimates = [_gradient(worker, x) for worker in signed]
        for _ in range(rounds):
            x = x - stepsize * np.mean(estimates, axis=0)
            for i, worker in enumerate(signed):
                estimates[i] = estimates[i] + _keep_largest(_gradient(worker, x) - estimates[i], axis=0)


def _numpy_one_by_one(signed: np.ndarray, rounds: int) -> None:
    for stepsize in STEPSIZES:
        x = np.zeros(signed.shape[2])
        estimates = _gradient(signed, x)
        for _ in range(rounds):
            x = x - stepsize * estimates.mean(axis=0)
            estimates = estimates + _keep_largest(_gradient(signed, x) - estimates, axis=1)


def _numpy_all(signed: np.ndarray, rounds: int) -> None:
    n, m, d = signed.shape
    rows, columns = signed.reshape(n * m, d), np.swapaxes(signed, 1, 2).copy()
    x = np.zeros((d, len(STEPSIZES)))

    def gradients(x: np.ndarray) -> np.ndarray:
        slopes = (-1 / (1 + np.exp(rows @ x)) / m).reshape(n, m, -1)
        return columns @ slopes + 2 * STRENGTH * x / (1 + x**2) ** 2

    estimates = gradients(x)
    for _ in range(rounds):
        x = x - STEPSIZES * estimates.mean(axis=0)
        estimates = estimates + _keep_largest(gradients(x) - estimates, axis=1)


if __name__ == "__main__":
    main()
