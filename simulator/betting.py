"""Bets against a theorem whose inequality holds in conditional expectation.

A single round's slack may be negative where the round draws. Let A = V + all decreases so far and B = the budget, each
with every (1 - rate) since applied. The theorem says

    E[A+ / B+ | the past] <= w A/B + (1 - w),      w = (1 - rate) B / B+ in [0, 1], known before the round's draws,

so X = (A+ / B+ + m) / (w A/B + 1 - w + m), m >= 0, has an expectation of at most 1 given the past. One who stakes the
share s of a capital in each round, s chosen before the draws, holds prod (1 + s (X - 1)): a test martingale, which is
never negative and by Ville's inequality ever reaches 1/p with probability at most p, whatever the distribution of the
draws. The share here follows the rounds before: the mean of X - 1 over that of its square, which is best for small
gains, and none while the theorem's promises are loose. So what is lost to them is not missing when one is broken late.

Where A has fallen far below B, as in a run that has converged, it is a rest of rounding that falls no more, and A/B
grows as B shrinks. That is no evidence, so m is the square root of what rounding may do to A/B: far above it, and far
below 1.

Without a drift w = 1, and A/B itself is such a martingale: all on every round, or what the theorem bounds divided by
its bound. (Shafer, Shen, Vereshchagin, Vovk: Test martingales, Bayes factors and p-values, 2011; Waudby-Smith, Ramdas:
Estimating means of bounded random variables by betting, 2024. The use of them here is derived.)
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from simulator.constants import Scalar

__all__ = ["Account", "Terms", "open_account", "settle"]

ROUNDINGS = 16  # of V^0 in a sum of changes: a few, rounded up
MEMORY = 0.9  # of the averages: about the last ten rounds
LARGEST_SHARE = 0.5  # more could be lost in a single round


class Account(NamedTuple):
    """The bet on one run so far."""

    start: Array  # V^0, []
    lyapunov: Array  # V^0 and all changes since, []
    budget: Array  # V^0 with every round's rate and drift applied, []
    decreased: Array  # every round's decrease, with the rates of the rounds after it applied, []
    log_ratio: Array  # log(A/B), []
    log_capital: Array  # []
    mean: Array  # of X - 1 over the last rounds, []
    mean_square: Array  # of (X - 1)^2, []
    open: Array  # whether rounding could never decide so far; no bet is made any more once it could, []
    rounds: Array  # that were bet on, []


class Terms(NamedTuple):
    """The terms of one round's inequality."""

    retained: Scalar  # 1 - rate
    change: Array  # V+ - V, []
    decrease: Scalar
    drift: Scalar

    def budget(self, before: Array) -> Array:
        """B+ after B. [] -> []."""
        return self.retained * before + self.drift


def open_account(start: Array) -> Account:
    """The account at round 0, where V is `start`. [] -> leaves []."""
    zero = jnp.zeros_like(start)
    return Account(
        start,
        lyapunov=start,
        budget=start,
        decreased=zero,
        log_ratio=zero,
        log_capital=zero,
        mean=zero,
        mean_square=jnp.ones_like(start),
        open=start >= 0,
        rounds=jnp.zeros(start.shape, jnp.int32),
    )


def settle(account: Account, terms: Terms, noise: Array, tolerance: float) -> Account:
    """The account after one more round.

    `noise` is what rounding may do to a V as large as B+, which the draws of the round change no more than they change
    the size of x: whether the bet goes on must not depend on its outcome. The tolerance is relative to B+.
    """
    lyapunov = account.lyapunov + terms.change
    budget = terms.budget(account.budget)
    decreased = terms.retained * account.decreased + terms.decrease
    noise += ROUNDINGS * jnp.finfo(budget.dtype).eps * account.start
    still_open = account.open & (noise <= tolerance * budget)

    kept = _ratio(terms.retained * account.budget, budget)
    expected = kept * _ratio(account.lyapunov + account.decreased, account.budget) + 1 - kept
    ratio = _ratio(lyapunov + decreased, budget)
    margin = jnp.sqrt(_ratio(noise, budget))
    gain = (ratio + margin) / (expected + margin) - 1
    share = jnp.clip(account.mean / account.mean_square, 0.0, LARGEST_SHARE)
    return Account(
        account.start,
        lyapunov,
        budget,
        decreased,
        log_ratio=jnp.log(ratio),
        log_capital=account.log_capital + jnp.where(still_open, jnp.log1p(share * gain), 0.0),
        mean=MEMORY * account.mean + (1 - MEMORY) * gain,
        mean_square=MEMORY * account.mean_square + (1 - MEMORY) * gain**2,
        open=still_open,
        rounds=account.rounds + still_open,
    )


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, but at least the rounding error of 1, so that a logarithm exists; that also for 0 / 0."""
    least = jnp.finfo(whole.dtype).eps
    return jnp.where(whole > 0, jnp.maximum(part / whole, least), least)
