"""Bets against theorems: exact where expectations are known, and rarely won against a true one."""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.evidence import Standard, log_evidence, power, seeds_needed
from simulator.betting import Terms, open_account, settle
from simulator.rates import fit_rate, fit_window

TOLERANCE = 2.0**-26


def capital(values: list[float], retained: float, decrease: float, drift: float) -> float:
    """The log capital after V has taken these values."""
    account = open_account(jnp.asarray(values[0]))
    for before, after in pairwise(values):
        terms = Terms(retained, jnp.asarray(after - before), decrease, drift)
        account = settle(account, terms, jnp.asarray(0.0), TOLERANCE)
    return float(account.log_capital)


# --- the bet on one run ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("retained", "decrease"), [(1.0, 0.1), (0.8, 0.0), (1.3, 0.2)])
def test_without_a_drift_the_capital_is_what_is_bounded_divided_by_its_bound(retained, decrease):
    values = [2.0, 1.9, 2.5, 0.3]
    decreased = sum(decrease * retained**k for k in range(3))
    assert_allclose(
        capital(values, retained, decrease, 0.0), np.log((0.3 + decreased) / (2.0 * retained**3)), rtol=1e-12
    )


@pytest.mark.parametrize(("retained", "decrease", "drift"), [(1.0, 0.05, 0.3), (0.7, 0.0, 0.4), (0.9, 0.0, 0.0)])
def test_against_a_theorem_that_is_just_true_the_expected_capital_stays_1(retained, decrease, drift):
    """All outcomes of three rounds in which V+ is 0, 1 or 3 times what is promised, with mean 1."""
    factors, chances = np.array([0.0, 1.0, 3.0]), np.array([0.4, 0.4, 0.2])
    expected = total = 0.0
    for indices in np.ndindex(3, 3, 3):
        values, promised = [2.0], None
        for index in indices:
            promised = retained * values[-1] - decrease + drift
            values.append(factors[index] * promised)
        chance = float(np.prod(chances[list(indices)]))
        total += chance
        expected += chance * np.exp(capital(values, retained, decrease, drift))
    assert_allclose([total, expected], 1.0, rtol=1e-12)


def test_the_bet_stands_still_once_rounding_may_decide():
    account = open_account(jnp.asarray(1.0))
    quiet, loud = jnp.asarray(0.0), jnp.asarray(1e-3)
    doubled = Terms(1.0, jnp.asarray(1.0), 0.0, 0.0)
    for noise in (quiet, loud, quiet):
        account = settle(account, doubled, noise, TOLERANCE)
    assert not account.open
    assert_allclose(account.log_capital, np.log(2.0), rtol=1e-12)


def test_a_capital_from_nothing_is_nothing():
    # an account that starts at 0 / 0, as that of a distortion does, and one whose V vanishes
    assert np.isfinite(capital([0.0, 0.5, 0.4], 0.9, 0.0, 1.0)) and capital([0.0, 0.5], 0.9, 0.0, 1.0) < 0
    assert -100 < capital([1.0, 0.0, 0.0], 0.9, 0.0, 0.0) < -30


# --- the e-value of several -----------------------------------------------------------------------------


def test_the_e_value_is_written_out():
    capitals = np.array([0.5, 2.0, 3.0])
    expected = (np.prod(capitals) + np.prod((1 + capitals) / 2)) / 2
    assert_allclose(np.exp(log_evidence(np.log(capitals))), expected, rtol=1e-12)
    assert np.isnan(log_evidence(np.array([0.0, np.nan])))
    assert_allclose(log_evidence(np.array([-np.inf, 0.0])), np.log(0.25), rtol=1e-12)


def test_true_theorems_are_rarely_called_violated_whatever_the_distribution():
    """Heavy tails and rare coins, with expectation exactly 1: at most one in twenty reaches 20 in twenty rounds."""
    rng, seeds, rounds, trials = np.random.default_rng(5), 8, 20, 4000
    size = (trials, rounds, seeds)
    steps = {
        "lognormal": rng.normal(-0.5, 1.0, size),
        "rare large": np.log(np.where(rng.random(size) < 0.02, 50 * 0.51, 0.5)),
        "rare small": np.log(np.where(rng.random(size) < 0.9, 1.05, 0.55)),
    }
    for name, logs in steps.items():
        assert abs(np.exp(logs).mean() - 1) < 0.05, name
        alarms = (log_evidence(np.cumsum(logs, axis=1)).max(axis=1) >= np.log(20)).mean()
        assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials), name
    # a t-test would not keep its level: until the rare coin falls, all seeds exceed their expectation, without spread
    first = steps["rare small"][:, 0]
    assert (np.ptp(first, axis=1) == 0).mean() > 0.4


def test_false_ones_are_seen_once_there_are_seeds_enough():
    standard = Standard()
    limit = standard.limit(100)
    enough = seeds_needed(standard.excess, limit)
    assert enough == 18
    for seeds, seen in ((enough, True), (enough - 1, False)):
        evidence = log_evidence(np.full(seeds, np.log(1 + standard.excess)))
        assert (evidence >= limit) == seen
        assert power(np.full((3, seeds), np.log(0.4)), standard.excess, limit) == float(seen)


def test_power_is_less_where_runs_differ_and_that_of_the_worst_round():
    limit, rng = Standard().limit(1), np.random.default_rng(3)
    alike, apart = np.full(16, np.log(0.5)), np.log(rng.choice([0.01, 0.99], 16))
    several = [power(np.array(rows), 0.8, limit) for rows in ([alike], [apart], [alike, apart])]
    assert several[0] == 1.0 and several[1] < 0.95 and several[2] == several[1]


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
