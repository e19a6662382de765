"""What independent runs of a random method say about an inequality that holds in expectation.

Each run has the capital C of a bet against its theorem (`simulator/betting.py`), whose expectation never exceeds 1
while the theorem is true. One who stakes the share s on K independent runs holds prod_k (1 - s + s C_k), again a test
martingale, and so is the mean over several shares: the e-value. It ever reaches 1/p with probability at most p, at all
recorded rounds together, without any assumption on the distribution. With m such checks in a verdict, each must reach
m / (false alarm rate), so that all of them together raise a false alarm with at most that rate (Bonferroni).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

__all__ = ["Standard", "log_evidence", "power", "seeds_needed"]

SHARES = (0.5, 1.0)  # all on the run is best where runs agree, half where they differ
RESAMPLES = 200


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


def log_evidence(log_capitals: np.ndarray) -> np.ndarray:
    """The log of the e-value of K runs, NaN where a run's is. [..., K] -> [...]."""
    shares = np.array(SHARES)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing is kept aside of a whole stake
        stakes = np.logaddexp(np.log1p(-shares), np.log(shares) + log_capitals[..., None])
    return logsumexp(stakes.sum(axis=-2), axis=-1) - np.log(len(shares))


def power(log_capitals: np.ndarray, excess: float, limit: float) -> float:
    """The probability of seeing an excess at the recorded round where it is least, given the spread of the runs.

    The alternative is the runs' own capitals, shifted such that their mean is 1 + excess; the probability is that of
    resamples of them, drawn with a fixed seed. [R, K] -> a number.
    """
    runs = log_capitals.shape[1]
    draws = np.random.default_rng(0).integers(runs, size=(RESAMPLES, runs))
    capitals = np.exp(np.minimum(log_capitals, 0.0))  # a false theorem's run may hold more than a float can
    shifted = np.log(capitals - capitals.mean(axis=1, keepdims=True) + 1 + excess)
    seen = log_evidence(shifted[:, draws]) >= limit  # [R, RESAMPLES]
    return float(seen.mean(axis=1).min())


def seeds_needed(excess: float, limit: float) -> int:
    """How many runs show the excess if all have it alike."""
    return int(np.ceil((limit + np.log(len(SHARES))) / np.log1p(excess)))
