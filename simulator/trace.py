"""What a simulation returns."""

from dataclasses import dataclass

import numpy as np

from simulator.verdict import Verdict

__all__ = ["Trace"]


@dataclass(frozen=True)
class Trace:
    """The measured course of one or many runs.

    The shape [...] is that of the stepsizes followed by that of the seeds: [] for one of each, [S, K] for arrays.
    Recorded values of a run from the round on in which it diverged are NaN.

    Attributes:
        round: the recorded rounds, 0 first and the last one always, [R].
        bits_per_worker: sent by a worker to the server up to these rounds, on average over the workers, [..., R].
        downlink_bits_per_worker: sent by the server to a worker, [..., R].
        loss: f(x), [..., R].
        loss_gap: f(x) - f_inf; where the minimiser is known f(x) - f*, without cancellation, [..., R].
        grad_norm_sq: |grad f(x)|^2, or of the method's own measure of stationarity where it has another, [..., R].
        mean_grad_norm_sq: its mean over all rounds before the recorded one (NaN at 0), [..., R].
        min_grad_norm_sq: its smallest value over them (NaN at 0), [..., R].
        final_point: x after the last round, [..., d].
        diverged_round: the first round at which |grad f| exceeds mean_i |grad f_i(x^0)| / eps or is not finite, so that
            the start is below rounding error from there; -1 where there is none, [...].
        target_round: the first round with |grad f(x)|^2 <= target |grad f(x^0)|^2, or -1, [...].
        verdicts: one for each theorem whose assumptions on problem and compressor hold, by its name.
        obstacles: for each of the others, by name, what it needs and does not get.
    """

    round: np.ndarray
    bits_per_worker: np.ndarray
    downlink_bits_per_worker: np.ndarray
    loss: np.ndarray
    loss_gap: np.ndarray
    grad_norm_sq: np.ndarray
    mean_grad_norm_sq: np.ndarray
    min_grad_norm_sq: np.ndarray
    final_point: np.ndarray
    diverged_round: np.ndarray
    target_round: np.ndarray
    verdicts: dict[str, Verdict]
    obstacles: dict[str, str]

    @property
    def lyapunov(self) -> dict[str, np.ndarray]:
        """The Lyapunov value of every theorem that applies to problem and compressor, by its name. [..., R] each."""
        return {name: verdict.lyapunov for name, verdict in self.verdicts.items()}
