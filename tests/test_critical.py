"""Critical stepsizes: found where they are known, told where they are not, and drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import efsim, refused
from numpy.testing import assert_allclose
from scipy import stats

from experiments.critical import CONVERGENCE, LANES, REACH, search
from experiments.critical_exponents import groups, render_exponents
from experiments.exponents import fit_exponent
from experiments.figures import save_figure
from experiments.figures.critical import draw_critical
from problems import InvalidInput

CONFIG = """
name = "critical"
rounds = 60
record_every = 60
target = 0.1
[problem]
kind = "quadratic"
workers = 9
dim = 4
smoothness_ratio = [1.0, 1.5, 2.0, 2.5]
pl_constant = 0.3
[[method]]
kind = "ef21"
compressor = [{ kind = "adversarial", alpha = 0.5, direction = "outward" }, { kind = "sign" }]
stepsize = { rule = ["quadratic-mean", "arithmetic-mean"] }
"""
GD = "method=[{kind='gd', stepsize={rule='smooth'}}]"
# almost L times the identity, so that the inequality of the descent lemma is attained
ROUND = "problem={kind='quadratic', workers=3, dim=2, mean_smoothness=0.5, pl_constant=0.4999}"


def measured(config: Path, folder: Path, *overrides: str) -> pd.DataFrame:
    settings = [part for override in overrides for part in ("--set", override)]
    done = efsim("critical", config, "--out", folder, *settings)
    assert done.exit_code == 0, done.output
    return pd.read_parquet(folder / "critical.parquet")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "critical.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def results(config, tmp_path_factory) -> tuple[Path, str]:
    """A folder, and what was printed."""
    folder = tmp_path_factory.mktemp("results") / "critical"
    done = efsim("critical", config, "--out", folder)
    assert done.exit_code == 0, done.output
    return folder, done.stdout


# --- the search -----------------------------------------------------------------------------------------


def test_thresholds_are_found_to_one_percent_in_batches_of_one_shape():
    limits, starts, batches = np.array([0.5, 0.021, 7.0]), np.array([0.1, 0.02, 0.1]), []

    def holds(stepsizes):
        batches.append(len(stepsizes))
        return stepsizes[:, None] <= limits

    brackets = search(holds, starts)
    assert np.all(brackets[:, 0] <= limits) and np.all(limits < brackets[:, 1])
    assert np.all(brackets[:, 1] <= 1.01 * brackets[:, 0])
    assert set(batches) == {LANES} and len(batches) <= 4


def test_a_stepsize_that_works_again_beyond_a_failure_is_not_critical():
    def holds(stepsizes):
        return ((stepsizes < 0.3) | (stepsizes > 0.9))[:, None]

    ((critical, failure),) = search(holds, np.array([0.1]))
    assert critical < 0.3 <= failure <= 1.01 * critical


def test_what_was_not_found_is_no_number():
    def holds(stepsizes):
        return np.stack([stepsizes > 0, stepsizes < 0, stepsizes < 0.2], axis=1)

    endless, failing, plain = search(holds, np.array([0.1, 0.4, 0.1]))
    assert endless[0] == pytest.approx(0.4 * REACH) and np.isnan(endless[1])
    assert np.isnan(failing[0]) and failing[1] == 0.4
    assert plain[0] < 0.2 <= plain[1]


# --- against what is known ------------------------------------------------------------------------------


def test_gradient_descent_converges_up_to_2_and_descends_up_to_1_over_L(config, tmp_path):
    table = measured(config, tmp_path / "gd", GD, ROUND, "rounds=1000", "target=1e-3").set_index("criterion")
    assert table.loc[CONVERGENCE].holds * 0.5 == pytest.approx(2, rel=0.01)
    assert table.loc["smooth"].holds * 0.5 == pytest.approx(1, rel=0.01)
    assert (table.stepsize * 0.5 == 1).all() and (table.target_round == 1).all()


def test_an_overshooting_compressor_has_the_critical_stepsize_of_its_linear_recursion(results):
    """x+ = x - gamma g, g+ = g + (1 + s)(h x+ - g) is stable along h for gamma h < 2 (1 - s) / (1 + s)."""
    folder, _ = results
    table = pd.read_parquet(folder / "critical.parquet")
    own = table[(table.criterion == CONVERGENCE) & (table["method.compressor"] == "adversarial")]
    s = 0.5**0.5
    # few rounds leave a growing mode small for a while: they see a little more than the limit
    assert_allclose(own.holds * own.L, 2 * (1 - s) / (1 + s), rtol=0.15)
    assert np.ptp(own.holds * own.L) < 0.1 * own.holds.mean()


def test_the_theorems_hold_at_their_own_stepsizes(results):
    table = pd.read_parquet(results[0] / "critical.parquet")
    theorems = table[table.criterion != CONVERGENCE]
    assert len(table) == 24 and (theorems.holds >= theorems.stepsize).all()
    assert (theorems.fails <= 1.01 * theorems.holds).all()


# --- exponents ------------------------------------------------------------------------------------------


def test_an_exact_power_law_has_its_exponent_and_no_margin():
    ratios = np.array([1.0, 2.0, 5.0, 30.0])
    fit = fit_exponent(ratios, 0.3 * ratios**-0.7)
    assert fit.exponent == pytest.approx(-0.7) and fit.margin < 1e-7 and fit.points == 4


def test_the_interval_is_that_of_student():
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.1, 0.9, 2.2, 2.8])
    slope = np.sum((x - 1.5) * (y - 1.5)) / 5
    residual = y - 1.5 - slope * (x - 1.5)
    margin = stats.t.ppf(0.975, 2) * np.sqrt(np.sum(residual**2) / 2 / 5)
    fit = fit_exponent(np.exp(x), np.exp(y))
    assert_allclose((fit.exponent, fit.margin, fit.points), (slope, margin, 4), rtol=1e-12)


def test_missing_values_are_left_out_and_two_points_have_no_interval():
    ratios = np.array([1.0, 2.0, 4.0])
    fit = fit_exponent(ratios, np.array([1.0, np.nan, 16.0]))
    assert_allclose((fit.exponent, fit.margin, fit.points), (2.0, np.nan, 2))
    assert np.isnan(fit_exponent(ratios, np.array([1.0, np.nan, np.nan])).exponent)
    assert np.isnan(fit_exponent(np.ones(3), ratios).exponent)


# --- the command ----------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_group_with_its_exponents(results):
    folder, printed = results
    table = pd.read_parquet(folder / "critical.parquet")
    assert [len(group.rows) for group in groups(table)] == [4] * 6
    assert all(group.rows.heterogeneity.is_monotonic_increasing for group in groups(table))
    lines = [line.split() for line in printed.splitlines()]
    (line,) = (line for line in lines if line[:1] == ["quadratic-mean"] and "sign" in line)
    assert line[3:6] == ["4", "of", "4"] and float(line[6]) < -0.3 and float(line[8]) < -0.7
    (line,) = (line for line in lines if line[:1] == ["arithmetic-mean"] and "sign" in line)
    assert float(line[8]) == 0
    assert (folder / "critical.json").exists() and [path.name for path in folder.rglob(".*")] == [".lock"]


def test_what_has_no_number_is_told_and_not_fitted(results):
    table = pd.read_parquet(results[0] / "critical.parquet")
    rows = table.index[table.criterion == "arithmetic-mean"]
    table.loc[rows[0], "holds"], table.loc[rows[1], "fails"] = np.nan, np.nan
    table.loc[table.index[0], ["criterion", "holds", "status"]] = [CONVERGENCE, np.nan, "finished"]
    printed = render_exponents(table)
    assert "FINDING: the inequality of arithmetic-mean fails at " in printed and "critical stepsize > " in printed
    assert "the rounds do not suffice to converge at " in printed and "FINDING: the run diverges" not in printed
    assert [group.rows.holds.notna().sum() for group in groups(table)].count(3) == 2
    assert {"^", "v"} <= {str(line.get_marker()) for axes in draw_critical(table).axes for line in axes.lines}


def test_the_figure_shows_every_group_in_the_panel_of_its_criterion(results):
    table = pd.read_parquet(results[0] / "critical.parquet")
    axes = draw_critical(table).axes
    assert [panel.get_title() for panel in axes] == [
        "convergence",
        "quadratic-mean inequality",
        "arithmetic-mean inequality",
    ]
    for panel, criterion in zip(axes, table.criterion.unique(), strict=True):
        drawn = [tuple(np.asarray(line.get_ydata(), float)) for line in panel.lines]
        for group in (group for group in groups(table) if group.criterion == criterion):
            assert tuple(group.rows.holds * group.rows.L) in drawn
            assert tuple(group.rows.stepsize * group.rows.L) in drawn or criterion == CONVERGENCE


def test_equal_tables_give_equal_bytes(results):
    folder, _ = results
    first = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert set(first) == {"critical-stepsizes.png", "critical-stepsizes.svg"}
    again = save_figure(folder, "critical-stepsizes", draw_critical(pd.read_parquet(folder / "critical.parquet")))
    assert {path.name: path.read_bytes() for path in again} == first


def test_a_second_call_measures_nothing_and_another_config_is_refused(config, results, monkeypatch):
    folder, printed = results
    before = (folder / "critical.parquet").stat().st_mtime_ns
    monkeypatch.setattr("experiments.critical.simulation", None)
    assert efsim("critical", config, "--out", folder).stdout == printed
    assert "differs in: rounds" in refused("critical", config, "--out", folder, "--set", "rounds=61")
    assert (folder / "critical.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method.0.stepsize=0.1", "critical stepsizes are searched from those of theorems"),
        ("method.0.stepsize={rule='quadratic-mean', multiple=[1, 2]}", "without multiples or numbers"),
        ("method.0.stepsize={rule='quadratic-meen'}", "quadratic-mean"),
        ("method.0.compressor={kind='rand-k', k=1}", "it draws, so that one run decides nothing"),
    ],
)
def test_configs_that_cannot_be_searched_are_refused(config, override, message, tmp_path):
    assert message in refused("critical", config, "--out", tmp_path / "out", "--set", override)
    assert not (tmp_path / "out").exists()


def test_a_damaged_table_is_told(config, results, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "config.toml").write_bytes((results[0] / "config.toml").read_bytes())
    (folder / "critical.parquet").write_bytes(b"PAR1")
    assert "critical.parquet is damaged" in refused("critical", config, "--out", folder)


def test_more_methods_than_colours_are_refused(results):
    table = pd.read_parquet(results[0] / "critical.parquet")
    many = pd.concat([table.assign(**{"method.compressor": f"c{i}"}) for i in range(8)], ignore_index=True)
    with pytest.raises(InvalidInput, match="16 methods and 1 profiles are too many for one figure"):
        draw_critical(many)
