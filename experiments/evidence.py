"""What independent runs of a random method say about an inequality that holds in expectation.

Each run has bets against its theorem (`simulator/betting.py`), whose capitals have expectations of at most 1 while the
theorem is true: one that follows the rounds before, and where nothing drifts also A/B itself, with the whole stake or
half of it. The product over independent runs is a test martingale again, and so is the mean over the bets: the e-value.
It ever reaches 1/p with probability at most p, at all recorded rounds together, without any assumption on the
distribution. With m such checks in a verdict, each must reach m / (false alarm rate), so that all of them together
raise a false alarm with at most that rate (Bonferroni).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

__all__ = ["Bets", "Standard", "log_evidence", "power", "seeds_needed"]

RESAMPLES = 200
BETS = 3  # on a theorem without a drift


class Bets(NamedTuple):
    """The capitals of K runs at R recorded rounds, as logarithms, [..., K] each."""

    adaptive: np.ndarray
    ratios: np.ndarray | None  # log(A/B); None for a theorem with a drift, where it is no martingale


class Standard(NamedTuple):
    """What a verdict asks of random runs.

    Attributes:
        false_alarm: the probability with which any check of the whole verdict may call a true theorem violated.
        excess: the relative excess over the bound that ought to be seen: 1 means twice the bound.
        power: with which probability it ought to be seen, or else the verdict is undecided.
    """

    false_alarm: float = 1e-3
    excess: float = 1.0
    power: float = 0.9

    def limit(self, checks: int) -> float:
        """The log of the e-value from which on one of `checks` checks is a violation."""
        return float(np.log(checks / self.false_alarm))


def log_evidence(bets: Bets) -> np.ndarray:
    """The log of the e-value, NaN where a run has no capital. [..., K] -> [...]."""
    capitals = [bets.adaptive]
    if bets.ratios is not None:
        with np.errstate(invalid="ignore"):  # of a run that is over
            capitals += [bets.ratios, np.logaddexp(0.0, bets.ratios) - np.log(2)]
    return logsumexp([capital.sum(axis=-1) for capital in capitals], axis=0) - np.log(len(capitals))


def power(ratios: np.ndarray, excess: float, limit: float) -> float:
    """The probability of seeing an excess, given the spread of the runs; the median over the recorded rounds.

    The alternative is the runs' own A/B, scaled such that their mean is 1 + excess, and no gain of the adaptive bet;
    the probability is that of resamples of them, drawn with a fixed seed. log(A/B) [R, K] -> a number.
    """
    runs = ratios.shape[1]
    draws = np.random.default_rng(0).integers(runs, size=(RESAMPLES, runs))
    scaled = ratios - logsumexp(ratios, axis=1, keepdims=True) + np.log(runs * (1 + excess))
    # the adaptive bet has the share 1 / BETS of the stake, and is counted as lost
    seen = [log_evidence(Bets(np.full(draws.shape, -np.inf), row[draws])) >= limit for row in scaled]
    return float(np.median(np.mean(seen, axis=1)))


def seeds_needed(excess: float, limit: float) -> int:
    """How many runs show the excess if all have it alike."""
    return int(np.ceil((limit + np.log(BETS)) / np.log1p(excess)))
