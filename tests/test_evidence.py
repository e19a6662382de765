"""Bets against theorems: exact where expectations are known, and rarely won against a true one."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.evidence import Bets, Standard, log_evidence, power, seeds_needed
from simulator.betting import Account, Terms, open_account, settle
from simulator.rates import fit_rate, fit_window

TOLERANCE = 2.0**-26


def account_of(values: list[float], retained: float, decrease: float, drift: float) -> Account:
    """The account after V has taken these values."""
    account = open_account(jnp.asarray(values[0]))
    for before, after in pairwise(values):
        terms = Terms(retained, jnp.asarray(after - before), decrease, drift)
        account = settle(account, terms, jnp.asarray(0.0), TOLERANCE)
    return account


# --- the bet on one run ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("retained", "decrease"), [(1.0, 0.1), (0.8, 0.0), (1.3, 0.2)])
def test_the_ratio_is_what_is_bounded_divided_by_its_bound(retained, decrease):
    values = [2.0, 1.9, 2.5, 0.3]
    decreased = sum(decrease * retained**k for k in range(3))
    found = account_of(values, retained, decrease, 0.0).log_ratio
    assert_allclose(found, np.log((0.3 + decreased) / (2.0 * retained**3)), rtol=1e-12)


@pytest.mark.parametrize(("retained", "decrease", "drift"), [(1.0, 0.05, 0.3), (0.7, 0.0, 0.4), (0.9, 0.0, 0.0)])
def test_against_a_theorem_that_is_just_true_expected_capitals_stay_1(retained, decrease, drift):
    """All outcomes of four rounds in which V+ is 0, 1 or 3 times what is promised, with mean 1."""
    factors, chances = np.array([0.0, 1.0, 3.0]), np.array([0.4, 0.4, 0.2])
    capital = ratio = total = 0.0
    for indices in np.ndindex(3, 3, 3, 3):
        values = [2.0]
        for index in indices:
            values.append(factors[index] * (retained * values[-1] - decrease + drift))
        chance = float(np.prod(chances[list(indices)]))
        account = account_of(values, retained, decrease, drift)
        total += chance
        capital += chance * float(np.exp(account.log_capital))
        ratio += chance * float(np.exp(account.log_ratio))
    assert_allclose([total, capital], 1.0, rtol=1e-12)
    if drift == 0:
        assert_allclose(ratio, 1.0, rtol=1e-12)


def test_rests_of_rounding_are_no_evidence():
    """A converged run: changes no longer add up to less than their rounding, while the budget goes on shrinking."""
    retained, rest = 0.98, 1e-16
    values = [max(0.5**t, rest) for t in range(900)]  # the budget ends at 1e-8, so that rounding could not decide alone
    noise = jnp.asarray(2 * rest)
    account = open_account(jnp.asarray(1.0))
    for before, after in pairwise(values):
        terms = Terms(retained, jnp.asarray(after - before), 0.0, 0.0)
        account = settle(account, terms, noise, TOLERANCE)
    assert account.rounds > 500 and account.log_capital < 0.01


@pytest.mark.parametrize(("retained", "drift"), [(0.99, 0.0), (0.5, 1.0)])
def test_what_is_lost_to_loose_promises_is_not_missing_when_one_is_broken_late(retained, drift):
    values = [1.0]
    for factor in [0.95] * 100 + [1.5] * 40:
        values.append(factor * (retained * values[-1] + drift))
    capitals = [float(account_of(values[: 1 + rounds], retained, 0.0, drift).log_capital) for rounds in (100, 140)]
    assert capitals[0] > -1e-9 and capitals[1] > 5


def test_no_bet_is_made_any_more_once_rounding_may_decide():
    account = open_account(jnp.asarray(1.0))
    doubled = Terms(1.0, jnp.asarray(1.0), 0.0, 0.0)
    for noise in (0.0, 0.0, 1e-3, 0.0):
        account = settle(account, doubled, jnp.asarray(noise), TOLERANCE)
    assert not account.open and account.rounds == 2
    # in the second round, of which X - 1 = 1/2, at the share that follows from X - 1 = 1 in the first
    assert_allclose(account.log_capital, np.log1p(0.1 / 1.0 * 0.5), rtol=1e-6)  # m is 6e-8


def test_a_ratio_of_nothing_is_nothing():
    # an account that starts at 0 / 0, as that of a distortion does, and one whose V vanishes
    assert np.isfinite(account_of([0.0, 0.5, 0.4], 0.9, 0.0, 1.0).log_capital)
    assert -100 < account_of([1.0, 0.0, 0.0], 0.9, 0.0, 0.0).log_ratio < -30


# --- the e-value of several -----------------------------------------------------------------------------


def test_the_e_value_is_written_out():
    capitals, ratios = np.array([1.0, 1.5, 0.5]), np.array([0.5, 2.0, 3.0])
    expected = (np.prod(capitals) + np.prod(ratios) + np.prod((1 + ratios) / 2)) / 3
    assert_allclose(np.exp(log_evidence(Bets(np.log(capitals), np.log(ratios)))), expected, rtol=1e-12)
    assert_allclose(np.exp(log_evidence(Bets(np.log(capitals), None))), np.prod(capitals), rtol=1e-12)
    assert np.isnan(log_evidence(Bets(np.array([0.0, np.nan]), None)))


def test_true_theorems_are_rarely_called_violated_whatever_the_distribution():
    """Heavy tails and rare coins, with expectation exactly 1: at most one in twenty reaches 20 in twenty rounds."""
    rng, seeds, rounds, trials = np.random.default_rng(5), 8, 20, 4000
    size = (trials, rounds, seeds)
    steps = {
        "lognormal": rng.normal(-0.5, 1.0, size),
        "rare large": np.log(np.where(rng.random(size) < 0.02, 50 * 0.51, 0.5)),
        "rare small": np.log(np.where(rng.random(size) < 0.9, 1.05, 0.55)),
    }
    settled = jax.vmap(lambda account, change: settle(account, Terms(1.0, change, 0.0, 0.0), jnp.zeros(()), TOLERANCE))
    for name, logs in steps.items():
        assert abs(np.exp(logs).mean() - 1) < 0.05, name
        values = np.exp(np.cumsum(logs, axis=1))
        account, evidence = jax.vmap(open_account)(jnp.ones(trials * seeds)), []
        for after in np.moveaxis(values, 1, 0):
            account = settled(account, after.ravel() - account.lyapunov)
            bets = Bets(*(np.asarray(each).reshape(trials, seeds) for each in (account.log_capital, account.log_ratio)))
            evidence.append(log_evidence(bets))
        alarms = (np.max(evidence, axis=0) >= np.log(20)).mean()
        assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials), name
    # a t-test would not keep its level: until the rare coin falls, all seeds exceed their expectation, without spread
    first = steps["rare small"][:, 0]
    assert (np.ptp(first, axis=1) == 0).mean() > 0.4


def test_false_ones_are_seen_once_there_are_seeds_enough():
    standard = Standard()
    limit = standard.limit(100)
    enough = seeds_needed(standard.excess, limit)
    assert enough == 19
    for seeds, seen in ((enough, True), (enough - 1, False)):
        evidence = log_evidence(Bets(np.full(seeds, -np.inf), np.full(seeds, np.log(1 + standard.excess))))
        assert (evidence >= limit) == seen
        assert power(np.full((3, seeds), np.log(0.4)), standard.excess, limit) == float(seen)


def test_power_is_less_where_runs_differ_and_little_where_few_of_them_make_the_mean():
    limit, rng = Standard().limit(1), np.random.default_rng(3)
    alike, apart = np.full(16, np.log(0.5)), np.log(rng.choice([0.2, 0.8], 16))
    rare = np.log(np.where(np.arange(16) == 0, 25.5, 0.5))
    found = [power(np.array(rows), 0.8, limit) for rows in ([alike], [apart], [rare], [alike, alike, rare])]
    assert found[0] == 1.0 and found[1] < 0.95 and found[2] < 0.5 and found[3] == 1.0


# --- fitted rates ---------------------------------------------------------------------------------------


def test_fitted_rates_are_those_of_exact_laws_on_the_later_half():
    rounds, usable = np.arange(0, 101, 10), np.arange(11) > 0
    values = np.stack([3.0 * 0.9**rounds, np.where(rounds < 60, 1.0, 2.0 * 0.97**rounds)])
    window = fit_window(np.broadcast_to(usable, values.shape))
    fit = fit_rate("geometric", rounds, values, window)
    assert_allclose(fit.rate, [0.9, 0.97], rtol=1e-12)
    assert fit.first.tolist() == [60, 60] and fit.last.tolist() == [100, 100]
    with np.errstate(divide="ignore"):
        power_law = fit_rate("power", rounds, 5.0 / np.float64(rounds) ** 1.5, window[0])
    assert_allclose(power_law.rate, -1.5, rtol=1e-12)


def test_too_few_points_have_no_rate():
    rounds, values = np.arange(8), np.exp(-np.arange(8.0))
    fit = fit_rate("geometric", rounds, values, fit_window(rounds > 0))
    assert np.isnan(fit.rate) and fit.first == fit.last == -1
