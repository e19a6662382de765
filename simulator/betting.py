"""A bet against a theorem whose inequality holds in conditional expectation.

A single round's slack may be negative where the round draws. Let A = V + all decreases so far and B = the budget, each
with every (1 - rate) since applied. The theorem says

    E[A+ / B+ | the past] <= w A/B + (1 - w),      w = (1 - rate) B / B+ in [0, 1], known before the round's draws,

so the product of (A+ / B+) / (w A/B + 1 - w) over the rounds is a nonnegative supermartingale that starts at 1: a test
martingale, the capital of one who bets against the theorem at fair odds. By Ville's inequality it ever reaches 1/p
with probability at most p, whatever the distribution of the draws. Without a drift it is A/B, what the theorem bounds
divided by its bound. (Shafer, Shen, Vereshchagin, Vovk: Test martingales, Bayes factors and p-values, 2011. The
use of it here is derived.)
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from simulator.constants import Scalar

__all__ = ["Account", "Terms", "open_account", "settle"]

ROUNDINGS = 16  # of V^0 in a sum of changes: a few, rounded up


class Account(NamedTuple):
    """The bet on one run so far."""

    start: Array  # V^0, []
    lyapunov: Array  # V^0 and all changes since, []
    budget: Array  # V^0 with every round's rate and drift applied, []
    decreased: Array  # every round's decrease, with the rates of the rounds after it applied, []
    log_capital: Array  # []
    open: Array  # whether rounding could never decide so far; from then on the capital stands still, []


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
    return Account(start, start, start, decreased=zero, log_capital=zero, open=start >= 0)


def settle(account: Account, terms: Terms, noise: Array, tolerance: float) -> Account:
    """The account after one more round.

    `noise` is what rounding may do to a V as large as B+, which the draws of the round do not change: whether the bet
    goes on must not depend on its outcome. The tolerance is relative to B+.
    """
    lyapunov = account.lyapunov + terms.change
    budget = terms.budget(account.budget)
    decreased = terms.retained * account.decreased + terms.decrease
    kept = _ratio(terms.retained * account.budget, budget)
    expected = kept * _ratio(account.lyapunov + account.decreased, account.budget) + 1 - kept
    factor = _ratio(lyapunov + decreased, budget) / expected
    noise += ROUNDINGS * jnp.finfo(budget.dtype).eps * account.start
    still_open = account.open & (noise <= tolerance * budget)
    log_capital = account.log_capital + jnp.where(still_open, jnp.log(factor), 0.0)
    return Account(account.start, lyapunov, budget, decreased, log_capital, still_open)


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, but at least the rounding error of 1, so that a capital is never exactly 0; that also for 0 / 0."""
    least = jnp.finfo(whole.dtype).eps
    return jnp.where(whole > 0, jnp.maximum(part / whole, least), least)
