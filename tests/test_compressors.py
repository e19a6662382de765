"""The laws of every registered compressor at random and adversarial inputs; Top-k against a stable sort."""

from collections.abc import Callable
from itertools import combinations
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compressor_examples import DIM, compressor_examples
from compressor_laws import (
    DRAWS,
    LENGTHS,
    ROWS,
    SPARSE,
    STACKED,
    UNITS,
    adversarial_rows,
    averaged_deviation_slacks,
    averaged_deviations,
    bias_slacks,
    contraction_slacks,
    draws,
    draws_of_workers,
    found_at_rows,
    found_of_workers,
    mean_and_margin,
    places_slack,
    relative_errors,
    room,
    rows_of_workers,
    unit_draws,
    variance_slacks,
    workers_of,
)

from problems import InvalidInput, frozen_pytree
from problems.registry import registered
from simulator import Compressor, Identity, RandK, TopK
from simulator.compressors.adversarial import Adversarial
from simulator.compressors.block_k import BlockK
from simulator.compressors.composition import Composition
from simulator.compressors.damped import Damped
from simulator.compressors.fp4 import FP4
from simulator.compressors.hard_threshold import HardThreshold
from simulator.compressors.low_rank import LowRank
from simulator.compressors.natural import Natural
from simulator.compressors.nearest_power import NearestPower
from simulator.compressors.one_bit import OneBit
from simulator.compressors.perm_k import PermK
from simulator.compressors.power_sgd import PowerSGD
from simulator.compressors.qsgd import QSGD
from simulator.compressors.relative_threshold import RelativeThreshold
from simulator.compressors.sign import Sign
from simulator.compressors.terngrad import TernGrad
from simulator.selection import largest
from simulator.traffic import Size

EXAMPLES = compressor_examples()
ALIKE = [example for example in EXAMPLES if isinstance(example, RandK) and example.shared_randomness]


def compressors(choose: Callable[[Compressor], bool] = lambda compressor: True) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("compressor", [*filter(choose, EXAMPLES)], ids=repr)


every_compressor = compressors()


compress = jax.jit(lambda compressor, key, x: compressor.compress(key, x))


def assert_holds(slacks: np.ndarray, chosen: np.ndarray | None = None) -> None:
    """That the slack of a law is not negative at any row, or any of those chosen. [R]."""
    slacks = np.where(True if chosen is None else chosen, slacks, np.inf)
    assert np.all(slacks >= 0), f"{[*ROWS][int(np.argmin(slacks))]}: a slack of {slacks.min()}"


def test_every_compressor_of_the_package_has_an_example():
    package = {kind for kind, cls in registered(Compressor).items() if cls.__module__.startswith("simulator.")}
    assert {example.kind for example in EXAMPLES} == package
    for example in EXAMPLES:
        example.check(DIM, workers_of(example))


# --- alpha and omega ------------------------------------------------------------------------------------


@compressors(lambda compressor: compressor.contraction(DIM) is not None)
def test_contraction(compressor):
    assert 0 < compressor.contraction(DIM) <= 1
    assert_holds(contraction_slacks(compressor))


@compressors(lambda compressor: compressor.variance(DIM) is not None)
def test_unbiasedness_and_variance(compressor):
    assert np.all(bias_slacks(compressor) >= 0)
    assert compressor.variance(DIM) >= 0
    assert_holds(variance_slacks(compressor))


@compressors(lambda compressor: compressor.variance(DIM) is None)
def test_compressors_that_declare_no_omega_are_biased(compressor):
    assert np.any(bias_slacks(compressor) < 0)


@compressors(lambda compressor: compressor.contraction(DIM) is None)
def test_compressors_that_declare_no_alpha_are_not_contractive(compressor):
    mean, margin = mean_and_margin(relative_errors(compressor))
    tiny = compressor.compress(None, jnp.full(DIM, 1e-3)) if isinstance(compressor, HardThreshold) else None
    assert np.any(mean - margin > 1 - 1e-9) or not np.any(tiny)


# what their docstrings call a guarantee only
BOUNDED_ONLY = ("QSGD(levels=4)", "HardThreshold", "OneBit")
ATTAINED_COMPOSITIONS = (
    "Composition(outer=Natural(), inner=TopK(k=3))",
    "Composition(outer=Damped(compressor=Natural()), inner=BlockK(k=4))",
    "Composition(outer=NearestPower(), inner=RandK(k=4",
    "Composition(outer=Natural(), inner=RandK",
    "Composition(outer=RandK",
)


def claims_to_attain(compressor: Compressor) -> bool:
    if isinstance(compressor, Composition):
        return repr(compressor).startswith(ATTAINED_COMPOSITIONS)
    return not repr(compressor).startswith(BOUNDED_ONLY)


def falls_short(compressor: Compressor, factor: float) -> bool:
    """Whether the largest measured error is below `factor` times the declared one."""
    alpha, omega = compressor.contraction(DIM), compressor.variance(DIM)
    declared = max(0 if alpha is None else 1 - alpha, omega or 0)
    return relative_errors(compressor).mean(axis=1).max() < factor * declared


@compressors(claims_to_attain)
def test_constants_are_attained(compressor):
    # the control of the tests above: a constant that is better by 3% would fail them
    assert not falls_short(compressor, 0.97)


def test_attaining_can_be_seen_to_fail():
    assert falls_short(QSGD(4), 0.97) and falls_short(Composition(TopK(2), RandK(4)), 0.97)


@pytest.mark.parametrize(
    ("compressor", "name"),
    [
        (Natural(), "four thirds"),
        (TernGrad(), "one and 1/(1 + sqrt d)"),
        (QSGD(1), "all equal"),
        (QSGD(3), "between the levels of QSGD(3)"),
        (RandK(3, scaled=True), "all equal"),
        (PermK(5), "random"),
        (Composition(Natural(), RandK(3, scaled=True)), "four thirds"),
    ],
    ids=repr,
)
def test_omega_is_equal_to_the_error_at_the_worst(compressor, name):
    # with so many draws that 2% more or less would be seen
    row = ROWS[name]
    found = np.asarray(compress(compressor, jax.random.key(5), jnp.asarray(np.tile(row, (200_000, 1)))))
    errors = np.sum((found - row) ** 2, axis=1) / np.sum(row**2)
    margin = 5 * errors.std() / len(errors) ** 0.5 + 1e-12
    assert margin <= 0.02 * compressor.variance(DIM)
    assert abs(errors.mean() - compressor.variance(DIM)) <= margin


def test_one_bit_makes_some_vectors_worse():
    row = np.array([1.0] + [1e-6] * 11)
    error = np.sum((np.asarray(OneBit().compress(None, jnp.asarray(row))) - row) ** 2)
    np.testing.assert_allclose(error, 2 * (1 - 12**-0.5), rtol=1e-4)  # above |x|^2 = 1
    for dim, alpha in ((1, 1), (2, 2**0.5 - 1), (3, 2 / 3**0.5 - 1), (4, None)):
        assert OneBit().contraction(dim) == pytest.approx(alpha) if alpha else OneBit().contraction(dim) is None


def test_four_bits_are_fifteen_levels_and_the_middle_goes_up():
    row = [1.0, 0.75, 0.74, -0.375, -0.37, 1 / 64, -0.012, 1 / 128, 0.0078, 0.0]
    found = np.asarray(FP4().compress(None, 3 * jnp.array(row))) / 3
    np.testing.assert_allclose(found, [1, 1, 0.5, -0.5, -0.25, 1 / 64, -1 / 64, 1 / 64, 0, 0], rtol=1e-15)


def test_many_entries_of_four_bits_may_all_be_lost():
    # from d = 2048 on the worst entries are those that just do not vanish
    for dim in (2047, 100_000):
        row = np.where(np.arange(dim), 0.75 if dim == 2047 else 1 / 128, 1.0)
        error = np.sum((np.asarray(FP4().compress(None, jnp.asarray(row))) - row) ** 2) / np.sum(row**2)
        np.testing.assert_allclose(1 - error, FP4().contraction(dim), rtol=1e-12)


@pytest.mark.parametrize("dim", [1, 4, 8, 9, 40, 200])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_omega_of_qsgd_is_between_the_worst_found_and_the_published(levels, dim):
    omega = QSGD(levels).variance(dim)
    assert omega <= min(dim / levels**2, dim**0.5 / levels)
    rng = np.random.default_rng(dim)
    rows = [*rng.standard_normal((500, dim)), np.ones(dim), *(rng.integers(0, 4, (500, dim)) * 2.0 + 1)]
    steps = levels * np.abs(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
    exact = np.sum((steps % 1) * (1 - steps % 1), axis=1) / levels**2
    assert exact.max() <= omega + 1e-12
    if dim >= 4 * levels**2:
        np.testing.assert_allclose(exact.max(), omega, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("spectrum", [(1, 1, 1), (1, 1e-3, 1e-3), (1, 1, 1e-6), (1, 0.5, 0.25), (1, 1, 0)], ids=str)
def test_power_sgd_keeps_its_share_of_every_spectrum(spectrum):
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.standard_normal((size, 3)))[0] for size in (3, 4))
    rows = jnp.asarray((left * np.array(spectrum, float) @ right.T).reshape(1, DIM))
    for rank in (1, 2):
        errors = np.sum((np.asarray(draws(PowerSGD(rank, 3), rows)) - rows[:, None]) ** 2, axis=-1) / np.sum(rows**2)
        mean, margin = mean_and_margin(errors)
        assert mean <= 1 - rank / 3 + margin
        best = sum(sorted(np.square(spectrum))[: 3 - rank]) / sum(np.square(spectrum))
        assert np.min(errors) >= best - 1e-12  # no projection of this rank is better than the SVD's


def test_matrix_compressors_lose_nothing_of_a_matrix_of_their_rank():
    rows = jnp.asarray(np.stack([ROWS["rank one"], ROWS["zero"]]))
    for compressor in (LowRank(1, 3), LowRank(2, 3), PowerSGD(1, 3), PowerSGD(2, 3)):  # the larger rank is deficient
        found = np.asarray(draws(compressor, rows))
        np.testing.assert_allclose(found, np.broadcast_to(rows[:, None], found.shape), atol=1e-13)


# --- bias, deviation, and their averages over workers ---------------------------------------------------


def largest_bias_and_deviation(compressor: Compressor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """|E C(x) - x| and E|C(x) - E C(x)|^2 at unit vectors with the margin of the first; the second draw by draw."""
    found = unit_draws(compressor)
    mean = found.mean(axis=1)
    deviations = np.sum((found - mean[:, None]) ** 2, axis=-1)  # [R, DRAWS]
    margin = 5 * np.sqrt(deviations.mean(axis=1) / found.shape[1])
    margin += 10 / DRAWS * np.abs(found).max(axis=(1, 2)) * (not compressor.deterministic) + 1e-12
    return np.linalg.norm(mean - UNITS, axis=1), margin, deviations


@compressors(lambda compressor: compressor.bias_and_deviation(DIM) is not None)
def test_bias_and_deviation(compressor):
    eta, omega = compressor.bias_and_deviation(DIM)
    bias, margin, deviations = largest_bias_and_deviation(compressor)
    assert np.all(bias <= eta + margin)
    assert_holds(room(deviations, omega))
    traced = jax.jit(lambda c: jnp.asarray(c.bias_and_deviation(DIM)))(compressor)
    np.testing.assert_allclose(traced, [eta, omega], rtol=1e-12, atol=1e-15)


@compressors(lambda compressor: compressor.kind in ("rand-k", "damped", "adversarial", "top-k", "block-k", "low-rank"))
def test_bias_and_deviation_are_attained(compressor):
    eta, omega = compressor.bias_and_deviation(DIM)
    bias, _, deviations = largest_bias_and_deviation(compressor)
    assert bias.max() >= 0.97 * eta and deviations.mean(axis=1).max() >= 0.97 * omega


def test_only_compressors_without_constants_have_no_bias_and_deviation():
    for compressor in EXAMPLES:
        known = compressor.contraction(DIM) is not None or compressor.variance(DIM) is not None
        assert (compressor.bias_and_deviation(DIM) is None) == (not known)


@compressors(lambda compressor: compressor.bias_and_deviation(DIM) is not None)
def test_averaged_deviation(compressor):
    assert np.all(averaged_deviation_slacks(compressor) >= 0)
    if isinstance(compressor, RandK | PermK | Adversarial):  # attained: a smaller constant would fail
        attained = averaged_deviations(compressor).mean(axis=1).max()
        assert attained >= 0.95 * compressor.averaged_deviation(DIM, workers_of(compressor))


@pytest.mark.parametrize("workers", [4, 5, 20])
def test_perm_k_is_known_exactly(workers):
    compressor = next(each for each in EXAMPLES if isinstance(each, PermK) and each.workers == workers)
    rows = rows_of_workers(workers)
    squares, mean_square = np.mean(np.sum(rows**2, -1), -1), np.sum(rows.mean(axis=1) ** 2, -1)
    declared = compressor.averaged_deviation(DIM, workers)
    kappa = 1.0 if workers <= DIM else declared * workers - DIM + 1
    mean, margin = mean_and_margin(averaged_deviations(compressor))
    assert np.all(np.abs(mean - (declared - kappa * mean_square / squares)) <= margin)
    bias, margin = mean_and_margin(found_of_workers(compressor).mean(axis=2))
    assert np.all(np.abs(bias - rows.mean(axis=1)) <= margin)


@pytest.mark.parametrize("workers", [3, 5, 12, 20, 30])
def test_perm_k_deals_evenly(workers):
    kept = np.asarray(draws_of_workers(PermK(workers), jnp.ones((1, workers, DIM)))) != 0
    of_coordinates, of_workers = kept.sum(axis=2), kept.sum(axis=3)
    assert np.ptp(of_coordinates) <= 1 and np.ptp(of_workers) <= 1
    assert np.all(of_coordinates == 1) if workers <= DIM else np.all(of_workers == 1)


# --- sparse vectors -------------------------------------------------------------------------------------


ATTAINED_WHEN_SPARSE = ("TopK", "RelativeThreshold", "BlockK(k=4)", "RandK")


@compressors(lambda compressor: compressor.sparse_contraction(DIM, 3) is not None)
def test_contraction_of_sparse_vectors(compressor):
    alpha = compressor.sparse_contraction(DIM, 3)
    assert (compressor.contraction(DIM) or 0) <= alpha <= 1
    assert_holds(room(relative_errors(compressor), 1 - alpha), chosen=SPARSE)
    if repr(compressor).startswith(ATTAINED_WHEN_SPARSE):  # a larger alpha would fail
        assert np.max(relative_errors(compressor).mean(axis=1)[SPARSE]) >= 0.97 * (1 - alpha)


@every_compressor
def test_sparsifiers_keep_entries_or_drop_them(compressor):
    found = found_at_rows(compressor)
    keeps_or_drops = np.all((found == STACKED[:, None]) | (found == 0))
    assert keeps_or_drops or not compressor.sparsifier
    if not isinstance(compressor, Damped):  # damping scaled Rand-k takes its scale off
        assert compressor.sparsifier or not keeps_or_drops


@every_compressor
def test_zeros_are_kept_as_declared(compressor):
    at_zeros = np.moveaxis(found_at_rows(compressor), 1, -1)[STACKED == 0]
    assert (not np.any(at_zeros)) == compressor.keeps_zeros


# --- randomness, scale, precision, edges of the floats --------------------------------------------------


@every_compressor
def test_randomness_is_as_declared(compressor):
    found = found_at_rows(compressor)[[*ROWS].index("random")]
    assert np.all(found == found[0]) == compressor.deterministic
    np.testing.assert_array_equal(
        draws(compressor, STACKED), found_at_rows(compressor)
    )  # the same keys, the same draws


@compressors(lambda compressor: compressor.positively_homogeneous)
def test_positive_homogeneity(compressor):
    for scale in (2.0**-40, 2.0**40):  # powers of two are exact, so that the two sides agree in every bit
        np.testing.assert_array_equal(draws(compressor, scale * STACKED), scale * found_at_rows(compressor))
    generic = [[*ROWS].index(name) for name in ("random", "huge", "tiny")]  # no ties, which rounding would break
    found = np.asarray(draws(compressor, 3 * STACKED))[generic] / 3
    np.testing.assert_allclose(
        found / LENGTHS[generic][:, None], unit_draws(compressor)[generic], rtol=1e-9, atol=1e-14
    )


@compressors(lambda compressor: not compressor.positively_homogeneous)
def test_compressors_that_declare_no_homogeneity_have_none(compressor):
    found = np.asarray(draws(compressor, 3 * STACKED)) / LENGTHS[:, None] / 3
    assert np.max(np.abs(found - unit_draws(compressor))) > 1e-3


def with_arrays(compressor: Compressor, precision: str) -> Compressor:
    """With its parameters as the engine has them: arrays, of the run's precision."""

    def cast(leaf):
        array = np.asarray(leaf)
        return jnp.asarray(array.astype(precision) if array.dtype.kind == "f" else array)

    return jax.tree.map(cast, compressor)


@every_compressor
def test_precision_and_shape_are_kept(compressor):
    places = [[*ROWS].index(name) for name in (*["random"] * 4, "sparse: random", "decaying singular values")]
    x = jnp.asarray(STACKED[places].reshape(2, 3, DIM), jnp.float32)
    found = compress(with_arrays(compressor, "float32"), jax.random.key(0), x)
    assert found.dtype == jnp.float32 and found.shape == x.shape
    rows = np.asarray(found).reshape(6, DIM)
    if compressor.deterministic:
        np.testing.assert_allclose(rows, found_at_rows(compressor)[places, 0], rtol=1e-5, atol=1e-5)
    else:  # the four equal messages are compressed independently
        assert len(np.unique(rows[:4], axis=0)) > 1


@compressors(lambda compressor: bool(jax.tree.leaves(compressor)))
def test_traced_parameters_give_the_same(compressor):
    key = jax.random.split(jax.random.key(0), 2 if compressor.deterministic else DRAWS)[0]
    given = jax.jit(compressor.compress)(key, jnp.asarray(ROWS["random"]))
    np.testing.assert_allclose(found_at_rows(compressor)[[*ROWS].index("random"), 0], given, rtol=1e-14, atol=1e-15)


@every_compressor
def test_workers_share_a_key_only_where_declared(compressor):
    # four messages that are equal are compressed alike
    found = found_of_workers(compressor)[1]
    alike = np.all(found == found[:, :1])
    assert alike == (compressor.deterministic or compressor in ALIKE)
    assert compressor.shared_randomness or not alike or compressor.deterministic
    if not (compressor.shared_randomness or compressor.deterministic):  # not even two of them
        assert np.all(
            np.any(np.any(found[:, :, None] != found[:, None], axis=-1), axis=0) | np.eye(found.shape[1], dtype=bool)
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
@compressors(lambda compressor: compressor.deterministic or compressor.kind in ("natural", "qsgd", "terngrad"))
def test_what_is_not_finite_is_not_dropped(compressor, value):
    # a diverging run must not be made finite again
    rows = np.array(STACKED)
    rows[:, 5] = value
    assert not np.any(np.all(np.isfinite(draws(compressor, rows)), axis=-1))


@every_compressor
def test_denormals_do_no_harm(compressor):
    # XLA treats them as zero in float arithmetic: a compressor that computes may lose them, one that selects may not
    rows = 1e-310 * np.sign(STACKED) * (1 + np.abs(UNITS))
    found = np.asarray(draws(compressor, rows))
    assert np.all(np.isfinite(found)) and np.all(np.abs(found) <= 4 * DIM * np.finfo(float).tiny)
    if isinstance(compressor, Identity | TopK) or repr(compressor).startswith("RelativeThreshold"):
        lost = (
            np.sum(((found - rows[:, None]) / 1e-310) ** 2, axis=-1)
            / np.maximum(np.sum((rows / 1e-310) ** 2, -1), 1)[:, None]
        )
        assert np.all(lost <= 1 - compressor.contraction(DIM) + 1e-9)


@pytest.mark.parametrize(
    "compressor",
    [
        *(
            Identity(),
            TopK(1),
            RandK(1),
            RandK(1, scaled=True),
            PermK(3),
            BlockK(1),
            Sign(),
            OneBit(),
            TernGrad(),
            FP4(),
        ),
        *(LowRank(1, 1), PowerSGD(1, 1), RelativeThreshold(0.5), Damped(RandK(1, scaled=True))),
        *(Composition(Sign(), TopK(1)), QSGD(2), Adversarial(1.0)),
    ],
    ids=repr,
)
def test_one_coordinate_is_kept(compressor):
    compressor.check(1, 3)
    found = compress(compressor, jax.random.key(0), jnp.array([[-3.0], [0.0]]))
    np.testing.assert_allclose(found, [[-3.0], [0.0]], rtol=1e-15)
    if not isinstance(compressor, QSGD):  # its constants do not make an exception of d = 1
        assert compressor.contraction(1) == 1 and compressor.variance(1) == 0


FULL = [TopK(DIM), RandK(DIM), RandK(DIM, scaled=True), BlockK(DIM), LowRank(3, 3), PowerSGD(3, 3), Adversarial(1.0)]


@pytest.mark.parametrize(
    "compressor",
    [Identity(), PermK(1), *FULL, Damped(RandK(DIM)), Composition(TopK(DIM), RandK(DIM)), Adversarial(1.0, "inward")],
    ids=repr,
)
def test_everything_is_kept_at_alpha_one(compressor):
    assert compressor.contraction(DIM) == 1 and compressor.variance(DIM) == 0
    np.testing.assert_allclose(unit_draws(compressor)[:, 0], UNITS, atol=1e-14)
    if not isinstance(compressor, LowRank | PowerSGD):
        np.testing.assert_array_equal(found_at_rows(compressor)[:, 0], STACKED)


# --- wrappers -------------------------------------------------------------------------------------------


def test_constants_of_compositions():
    natural, top = Natural(), TopK(3)
    assert Composition(natural, top).contraction(DIM) == 7 / 8 * 3 / 12
    assert Composition(natural, top).sparse_contraction(DIM, 3) == 7 / 8
    assert Composition(natural, natural).variance(DIM) == (9 / 8) ** 2 - 1
    assert Composition(natural, natural).contraction(DIM) == 1 - ((9 / 8) ** 2 - 1)
    s = (1 / 8) ** 0.5 + 1 / 3 + (1 / 8) ** 0.5 / 3
    assert Composition(natural, NearestPower()).contraction(DIM) == pytest.approx(1 - s**2)
    assert Composition(Sign(), Sign()).contraction(DIM) is None  # s > 1
    assert Composition(top, natural).variance(DIM) is None
    assert Composition(RandK(3, scaled=True), Sign()).contraction(DIM) is None
    for same in (Composition(Identity(), Sign()), Composition(Sign(), Identity())):
        assert same.contraction(DIM) == pytest.approx(1 / 12)


def test_constants_of_damped():
    assert Damped(RandK(3, scaled=True)).contraction(DIM) == 3 / 12
    assert Damped(TopK(3)).contraction(DIM) is None
    assert Damped(Identity()).variance(DIM) == 0
    assert Damped(Natural()).averaged_deviation(DIM, 4) == pytest.approx(1 / 8 / 4 / (9 / 8) ** 2)


def test_the_parts_of_a_composition_are_independent():
    # with one key for both, Rand-k would keep what Rand-k has kept
    kept = np.sum(found_at_rows(Composition(RandK(6), RandK(6)))[[*ROWS].index("random")] != 0, axis=1)
    assert np.ptp(kept) > 0 and abs(kept.mean() - 3) < 0.1


@pytest.mark.parametrize("direction", ["random", "inward", "outward", "chosen"])
def test_the_adversarial_error_is_exact(direction):
    chosen = (
        {"direction": "random", "chosen": [0.0] * 11 + [-2.0]} if direction == "chosen" else {"direction": direction}
    )
    errors = relative_errors(Adversarial(0.36, **chosen))
    zero = np.all(STACKED == 0, axis=1)
    np.testing.assert_allclose(errors[~zero], 0.64, rtol=1e-12)
    assert not np.any(errors[zero])
    found = unit_draws(Adversarial(0.36, **chosen))[~zero]
    factor = {"inward": 0.2, "outward": 1.8}
    if direction in factor:
        np.testing.assert_allclose(found[:, 0], factor[direction] * UNITS[~zero], rtol=1e-12)
    elif direction == "chosen":
        np.testing.assert_allclose(
            found[:, 0] - UNITS[~zero], np.broadcast_to([0.0] * 11 + [-0.8], (len(found), 12)), atol=1e-12
        )


def test_the_error_of_the_hard_threshold_is_absolute():
    errors = np.max((found_at_rows(HardThreshold(0.5))[:, 0] - STACKED) ** 2, axis=-1)
    assert np.all(errors < 0.5**2) and np.max(errors) > 0.1


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compressor", "dim", "bits", "bits_of_64"),
    [
        (Identity(), 300, 300 * 32, 300 * 64),
        (TopK(1), 1, 32, 64),  # the only index needs no bits
        (TopK(1), 2, 33, 65),
        (TopK(3), 123, 3 * (32 + 7), 3 * (64 + 7)),  # 2^6 < 123 <= 2^7
        (TopK(3), 128, 3 * (32 + 7), 3 * (64 + 7)),
        (TopK(3), 129, 3 * (32 + 8), 3 * (64 + 8)),
        (RandK(2), 112, 2 * (32 + 7), 2 * (64 + 7)),
        (RandK(2, scaled=True), 112, 2 * (32 + 7), 2 * (64 + 7)),
        (RandK(2, scaled=True, shared_randomness=True), 112, 2 * 32, 2 * 64),
        (PermK(4), 12, 3 * 32, 3 * 64),
        (PermK(5), 12, 2.4 * 32, 2.4 * 64),
        (PermK(20), 12, 32, 64),
        (BlockK(5), 12, 5 * 32 + 2, 5 * 64 + 2),
        (Sign(), 100, 100 + 32, 100 + 64),
        (OneBit(), 100, 100 + 32, 100 + 64),
        (FP4(), 100, 400 + 32, 400 + 64),
        (Composition(FP4(), TopK(3)), 128, 32 + 3 * (4 + 7), 64 + 3 * (4 + 7)),
        (Natural(), 100, 100 * 9, 100 * 12),
        (NearestPower(), 100, 100 * 9, 100 * 12),
        (QSGD(1), 100, 32 + 100 * 2, 64 + 100 * 2),
        (QSGD(4), 100, 32 + 100 * 4, 64 + 100 * 4),
        (TernGrad(), 100, 32 + 200, 64 + 200),
        (LowRank(2, 10), 100, 2 * 20 * 32, 2 * 20 * 64),
        (PowerSGD(2, 5), 100, 2 * 25 * 32, 2 * 25 * 64),
        (Damped(Natural()), 100, 100 * 9, 100 * 12),
        (Composition(Natural(), TopK(3)), 128, 3 * (9 + 7), 3 * (12 + 7)),
        (Composition(Natural(), Composition(TopK(3), TopK(5))), 128, 3 * (9 + 7), 3 * (12 + 7)),
        (Composition(Sign(), TopK(3)), 128, 32 + 3 + 3 * 7, 64 + 3 + 3 * 7),
        (Composition(Natural(), BlockK(4)), 12, 4 * 9 + 2, 4 * 12 + 2),
        (Composition(Natural(), Identity()), 100, 100 * 9, 100 * 12),
        (Composition(Identity(), TopK(3)), 128, 3 * (32 + 7), 3 * (64 + 7)),
        (Composition(TopK(2), TopK(3)), 128, 2 * (32 + 7), 2 * (64 + 7)),  # what the outer one keeps it names itself
        (Composition(Adversarial(0.5), TopK(3)), 128, 128 * 32, 128 * 64),  # which fills the zeros
        (Composition(TopK(3), Natural()), 128, 3 * (32 + 7), 3 * (64 + 7)),
        (Adversarial(0.5), 100, 3200, 6400),
    ],
    ids=repr,
)
def test_sizes_count_values_and_indices(compressor, dim, bits, bits_of_64):
    size = compressor.size(jnp.zeros(dim), dim)
    assert isinstance(size, Size)
    assert (size.total(32), size.total(64)) == (bits, bits_of_64)


@pytest.mark.parametrize("compressor", [HardThreshold(1.0), RelativeThreshold(0.5)], ids=repr)
def test_sizes_that_depend_on_the_message(compressor):
    rows = jnp.asarray([[4.0, -2.0, 0.1, 0.0, 0.2], [9.0, -1.0, 0.1, 0.0, 0.2], [0.0] * 5])
    size = compressor.size(compress(compressor, None, rows), 5)
    kept = [2, 2, 0] if isinstance(compressor, HardThreshold) else [2, 1, 0]
    np.testing.assert_array_equal(size.total(32), [count * (32 + 3) + 3 for count in kept])
    after = Composition(Natural(), compressor)
    size = after.size(compress(after, jax.random.key(0), rows), 5)
    np.testing.assert_array_equal(size.total(64), [count * (12 + 3) + 3 for count in kept])


@compressors(lambda compressor: compressor.keeps_zeros)  # a matrix of low rank has zeros by chance
def test_sizes_have_room_for_the_places_of_the_nonzeros(compressor):
    assert places_slack(compressor) >= 0


def test_sizes_may_have_traced_parameters():
    sizes = jax.vmap(lambda k: Composition(Natural(), TopK(k)).size(jnp.zeros(128), 128).total(32))(jnp.arange(1, 4))
    np.testing.assert_array_equal(sizes, [16, 32, 48])


# --- Rand-k: all subsets, equally often -----------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4])
def test_rand_k_draws_every_subset_equally_often(k):
    dim = 5
    kept = np.asarray(draws(RandK(k), np.arange(1.0, dim + 1)[None]))[0] != 0
    subsets = [np.isin(np.arange(dim), subset) for subset in combinations(range(dim), k)]
    counts = np.array([np.sum(np.all(kept == subset, axis=1)) for subset in subsets])
    assert counts.sum() == DRAWS  # without replacement: exactly k entries in every draw
    expected = DRAWS / comb(dim, k)
    # the largest of at most ten binomial deviations; five standard deviations, with fixed keys
    assert np.max(np.abs(counts - expected)) < 5 * np.sqrt(expected)


# --- Top-k ----------------------------------------------------------------------------------------------


def stable_top_k(rows: np.ndarray, k: int) -> np.ndarray:
    """By NumPy's stable sort, which leaves equal magnitudes in the order of their indices."""
    order = np.argsort(-np.abs(rows), axis=-1, kind="stable")[..., :k]
    kept = np.zeros_like(rows)
    np.put_along_axis(kept, order, np.take_along_axis(rows, order, -1), -1)
    return kept


def many_rows(dim: int) -> np.ndarray:
    rng = np.random.default_rng(dim)
    few_values = rng.integers(-2, 3, (40, dim)).astype(float)  # ties everywhere
    return np.concatenate([few_values, rng.standard_normal((20, dim)), np.stack([*adversarial_rows(dim).values()])])


top_k = jax.jit(lambda k, rows: TopK(k).compress(None, rows))


@pytest.mark.parametrize("dim", [1, 2, 7, 64])
def test_top_k_is_a_stable_sort_bit_for_bit(dim):
    rows = many_rows(dim)
    for k in sorted({1, 2, 3, dim // 2, dim - 1, dim} & set(range(1, dim + 1))):
        np.testing.assert_array_equal(top_k(k, rows), stable_top_k(rows, k))


def test_top_k_of_single_precision():
    rows = many_rows(7)
    rows = rows[np.all((np.abs(rows) < 1e30) & ((np.abs(rows) > 1e-30) | (rows == 0)), axis=1)].astype(np.float32)
    np.testing.assert_array_equal(top_k(3, rows), stable_top_k(rows, 3))


def test_k_may_differ_between_the_runs_of_a_batch():
    rows = many_rows(7)
    ks = jnp.arange(1, 8)
    found = jax.jit(jax.vmap(lambda k: TopK(k).compress(None, rows)))(ks)
    np.testing.assert_array_equal(found, [stable_top_k(rows, k) for k in range(1, 8)])


@pytest.mark.parametrize("nonzeros", [3, 5])
def test_top_k_never_keeps_more_than_k_denormals(nonzeros):
    # XLA treats denormals as zero in float arithmetic, but not in that of the bit patterns
    row = np.array([1e-310] * nonzeros + [0.0] * (7 - nonzeros))
    assert np.sum(np.asarray(jax.jit(lambda x: largest(x, 2))(row))) == 2


# --- bad input and extension ----------------------------------------------------------------------------

NUMPY = [np.float64(2.0), np.float32(1.5), np.int64(0), np.int32(-2), np.True_]
BAD_COUNTS = [0, -1, True, 1.5, 2.0, "1", None, [1], *NUMPY]
COUNTS: dict[str, Callable] = {
    "k": TopK,
    "k of rand-k": RandK,
    "k of block-k": BlockK,
    "workers": PermK,
    "levels": QSGD,
    "rank": lambda given: LowRank(given, 3),
    "rows": lambda given: LowRank(1, given),
    "rank of power-sgd": lambda given: PowerSGD(given, 3),
    "rows of power-sgd": lambda given: PowerSGD(1, given),
}
NUMBERS: dict[str, tuple[Callable, str]] = {
    "level": (HardThreshold, "a finite number > 0"),
    "tau": (RelativeThreshold, r"a number in \(0, 1\]"),
    "alpha": (Adversarial, r"a number in \(0, 1\]"),
}


@pytest.mark.parametrize("given", BAD_COUNTS, ids=repr)
@pytest.mark.parametrize("name", COUNTS)
def test_counts_must_be_positive_whole_numbers(name, given):
    with pytest.raises(InvalidInput, match=f"{name.split()[0]} must be a whole number >= 1, not"):
        COUNTS[name](given)


@pytest.mark.parametrize("given", [0, -1.0, np.nan, np.inf, True, "1", None, [0.5], 1 + 1j], ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_must_be_in_their_interval(name, given):
    make, accepted = NUMBERS[name]
    with pytest.raises(InvalidInput, match=f"{name} must be {accepted}, not"):
        make(given)
    make(0.5), make(1), make(np.float32(0.5))


@pytest.mark.parametrize("k", [1, np.int64(3), np.int32(2)], ids=repr)
def test_whole_numbers_of_numpy_are_accepted(k):
    assert TopK(k).contraction(6) == k / 6
    assert BlockK(k).contraction(6) == k / 6


def test_directions_must_be_known():
    with pytest.raises(InvalidInput, match="unknown direction 'inwards'; known: inward, outward, random; did you mean"):
        Adversarial(0.5, "inwards")  # type: ignore[arg-type]
    for chosen in ([0.0, 0.0], [1.0, np.nan], [[1.0]], "up", 3.0):
        with pytest.raises(InvalidInput, match="chosen"):
            Adversarial(0.5, chosen=chosen)


@pytest.mark.parametrize(
    ("compressor", "dim", "workers", "message"),
    [
        *((cls(7), 6, 4, "k = 7 is larger than the dimension d = 6") for cls in (TopK, RandK, BlockK)),
        (PermK(5), 6, 4, "perm-k for 5 workers does not fit a problem with 4 workers"),
        *((cls(1, 4), 6, 4, "rows = 4 does not divide the dimension d = 6") for cls in (LowRank, PowerSGD)),
        *((cls(3, 3), 6, 4, "rank = 3 is larger than that of a matrix of 3 x 2") for cls in (LowRank, PowerSGD)),
        (Damped(TopK(3)), 6, 4, "damped needs an unbiased compressor, which TopK"),
        (Damped(PermK(5)), 6, 4, "perm-k for 5 workers"),
        (Composition(TopK(7), Natural()), 6, 4, "k = 7"),
        (Composition(Natural(), TopK(7)), 6, 4, "k = 7"),
        (Adversarial(0.5, chosen=[1.0, 2.0]), 6, 4, "chosen must have d = 6 entries, not 2"),
    ],
    ids=repr,
)
def test_compressors_must_fit_the_problem(compressor, dim, workers, message):
    with pytest.raises(InvalidInput, match=message):
        compressor.check(dim, workers)
    compressor.check(12, 5) if not isinstance(compressor, Damped | Adversarial) else None


def test_perm_k_needs_the_messages_of_all_its_workers():
    with pytest.raises(InvalidInput, match="perm-k for 5 workers was given the messages of 4"):
        PermK(5).compress_rows(jax.random.key(0), jnp.ones((4, DIM)))


def test_a_compressor_is_registered_by_being_defined():
    @frozen_pytree
    class Halves(Compressor):
        """C(x) = x / 2: alpha = 3/4."""

        kind = "halves-of-a-test"
        deterministic = positively_homogeneous = True

        def compress(self, key, x):
            return x / 2

        def contraction(self, dim):
            return 0.75

        def variance(self, dim):
            return None

        def size(self, message, entries):
            return Size(floats=entries)

        def check(self, dim, workers):
            pass

    assert registered(Compressor)["halves-of-a-test"] is Halves
    assert {"identity", "rand-k", "top-k"} <= set(registered(Compressor))


def test_a_class_defined_twice_is_registered_by_its_last_definition():
    # as when a cell of a notebook runs again
    def define() -> type:
        class Again(Identity):
            kind = "again-of-a-test"

        return Again

    first, second = define(), define()
    assert registered(Compressor)["again-of-a-test"] is second is not first
