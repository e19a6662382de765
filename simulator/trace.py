"""What a simulation returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from problems.errors import unknown_name
from simulator.verdict import Verdict

if TYPE_CHECKING:  # both take long to import, and a simulation needs neither
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["MEASURED", "Trace"]

# The arrays [..., R] of what is measured, whatever the theorems are.
MEASURED = (
    "bits_per_worker",
    "downlink_bits_per_worker",
    "elapsed",
    "loss",
    "loss_gap",
    "grad_norm_sq",
    "mean_grad_norm_sq",
    "min_grad_norm_sq",
)


SYMBOLS = {
    "grad_norm_sq": r"$\|\nabla f(x^t)\|^2$",
    "mean_grad_norm_sq": r"mean of $\|\nabla f(x^s)\|^2$ over $s < t$",
    "min_grad_norm_sq": r"smallest $\|\nabla f(x^s)\|^2$ over $s < t$",
    "lyapunov": r"Lyapunov function $V^t$",
}


@dataclass(frozen=True)
class Trace:
    """The measured course of one or many runs.

    The shape [...] is that of the stepsizes followed by that of the seeds: [] for one of each, [S, K] for arrays.
    Recorded values of a run from the round on in which it diverged are NaN.

    Attributes:
        stepsize, seed: of the runs, [...] each.
        round: the recorded rounds, 0 first and the last one always, [R].
        bits_per_worker: sent by a worker to the server up to these rounds, on average over the workers, [..., R].
        downlink_bits_per_worker: sent by the server to a worker, [..., R].
        elapsed: the simulated time, where the method has a clock of its own and in the clock's unit, else 0, [..., R].
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

    stepsize: np.ndarray
    seed: np.ndarray
    round: np.ndarray
    bits_per_worker: np.ndarray
    downlink_bits_per_worker: np.ndarray
    elapsed: np.ndarray
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

    def __repr__(self) -> str:
        runs, ended = "x".join(map(str, self.stepsize.shape)) or "1", int(np.sum(self.diverged_round >= 0))
        told = f"{runs} runs of {self.round[-1]} rounds, {len(self.round)} recorded, {ended} diverged"
        return f"Trace({told}; judged by {', '.join(self.verdicts) or 'no theorem'})"

    def to_pandas(self) -> pd.DataFrame:
        """The recorded rounds as a table: a row a run and round, the runs one after another.

        Columns: stepsize, seed, round, what is measured, and of every theorem that applies lyapunov_NAME, bound_NAME.
        """
        import pandas as pd

        runs, records = self.stepsize.size, len(self.round)
        columns = {name: np.repeat(getattr(self, name).ravel(), records) for name in ("stepsize", "seed")}
        columns["round"] = np.tile(self.round, runs)
        columns |= {name: getattr(self, name).ravel() for name in MEASURED}
        for name, verdict in self.verdicts.items():
            suffix = name.replace("-", "_")
            columns |= {f"lyapunov_{suffix}": verdict.lyapunov.ravel(), f"bound_{suffix}": verdict.bound.ravel()}
        return pd.DataFrame(columns)

    def plot(self, theorem: str | None = None, axes: Axes | None = None) -> Axes:
        """|grad f(x^t)|^2 of every run against t; given a theorem's name, what it bounds, with its bound dashed.

        Args:
            axes: to draw on; those of a new pyplot figure by default.

        Raises:
            InvalidInput: no theorem of that name applies.
        """
        from matplotlib import pyplot

        if theorem is not None and theorem not in self.verdicts:
            raise unknown_name("theorem that applies", theorem, self.verdicts)
        axes = pyplot.subplots(figsize=(6.0, 3.4), layout="constrained")[1] if axes is None else axes
        bounded = "grad_norm_sq" if theorem is None else self.verdicts[theorem].bounded
        measured = self.verdicts[theorem].lyapunov if theorem and bounded == "lyapunov" else getattr(self, bounded)
        for run, stepsize in np.ndenumerate(self.stepsize):
            seed = f", seed {self.seed[run]}" if np.ptp(self.seed) else ""
            (line,) = axes.semilogy(self.round, measured[run], label=f"$\\gamma$ = {stepsize:.4g}{seed}")
            if theorem is not None:
                axes.semilogy(self.round, self.verdicts[theorem].bound[run], "--", color=line.get_color())
        title = "" if theorem is None else f"dashed: bound of {theorem}"
        axes.set(xlabel="round $t$", ylabel=SYMBOLS[bounded], title=title)
        axes.legend(frameon=False)
        return axes
