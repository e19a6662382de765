"""Wrong formulas that circulate, each with what is true instead and the check that tells them apart.

Section numbers are those of the theory sheet that this project started from (a collection of the field's formulas with
their misprints); traps are what code that accompanies papers tends to get wrong. Both statements go through the same
check on the same instance, so that what fails is the formula.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from compressor_laws import averaged_deviation_slacks, bias_slacks, contraction_slacks, places_slack
from expectations import DIM, FixedFactors, Outcomes, equally_likely
from instances import instance
from problem_laws import curvature_slacks, gradient_slacks
from statements import expected_slacks, second_moment_slack, slacks_of_methods, slacks_of_runs, start_slack
from wrong_parts import (
    ABC,
    MEAN_OF_PRODUCTS,
    OMEGA_AS_0,
    OMEGA_OVER_N,
    UNBIASED,
    UNWEIGHTED,
    UPSIDE_DOWN,
    WITHOUT_HETEROGENEITY,
    WITHOUT_ROOT,
    AveragedAlthoughShared,
    ContractiveOneBit,
    DoublyScaledEF14,
    DoublyScaledHB,
    HalfGradients,
    RandKWithReplacement,
    TopKWithoutIndices,
    UnpaidStart,
    one_dimensional,
)

from problems import LeastSquares, Problem, Quadratic
from simulator import (
    DCGD,
    EF14,
    EF21,
    EF21HB,
    EF21SGD,
    Adversarial,
    GaussianNoise,
    Identity,
    Minibatch,
    RandK,
    Sign,
    TopK,
)


class KnownFalse(NamedTuple):
    """A false statement and the true one, both as the check takes them.

    Attributes:
        circulates: what is said.
        where: who says it.
        instead: what is true.
        false: the statement.
        true: its counterpart.
        slacks: statements -> the smallest slack of each; below 0 where it fails.
    """

    circulates: str
    where: str
    instead: str
    false: Any
    true: Any
    slacks: Callable[[Sequence[Any]], list[float]]


def each(slack: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[float]]:
    """The smallest slack of every statement on its own."""
    return lambda statements: [float(np.min(slack(statement))) for statement in statements]


# --- instances ------------------------------------------------------------------------------------------


@cache
def small_constants() -> Quadratic:
    return Quadratic.random(8, 4, mean_smoothness=0.05, smoothness_ratio=2.0, pl_constant=0.005, seed=1)


@cache
def one_large() -> Quadratic:
    return Quadratic.random(8, 4, smoothness_ratio=2.8, pl_constant=0.1, seed=2)


def single_worker() -> Problem:
    return instance("single-worker").problem


def parabola() -> Quadratic:
    """mu = L = 1."""
    return Quadratic.from_arrays([[[1.0]]], [[1.0]])


def flat_end() -> Quadratic:
    """mu x^2 / 2, of all L-smooth and mu-strongly convex functions."""
    return Quadratic.worst_case(smoothness=3.0, pl_constant=0.2, dim=1)


def agreeing() -> Quadratic:
    """Eight workers that hold the same."""
    return Quadratic.from_arrays(np.tile([1.0, 0.5, 0.1], (8, 1)), np.zeros((8, 3)))


@cache
def uneven_noise() -> LeastSquares:
    """At 0, where both f_i are least, worker 0 has all the loss and all the noise."""
    return LeastSquares.from_arrays([[[1.0, 0, 0]] * 2, [[0, 0.1, 0]] * 2], [[1.0, -1.0], [0.0, 0.0]])


def indefinite() -> Quadratic:
    return instance("indefinite").problem  # type: ignore[return-value]


def half_gradients() -> HalfGradients:
    return HalfGradients.from_arrays(indefinite().matrices, indefinite().vectors)  # type: ignore[return-value]


def signed() -> Quadratic:
    """With the largest eigenvalues for the L_i."""
    problem = indefinite()
    return replace(problem, worker_smoothness=jnp.asarray(np.linalg.eigvalsh(problem.matrices)[:, -1]))


def same_entry() -> Outcomes:
    """All outcomes of a round of DCGD with Rand-1, where all workers draw the same entry."""
    return equally_likely([DCGD(FixedFactors(DIM * row[None])) for row in np.eye(DIM)])


POINT = np.linspace(-1.0, 1.0, 6)  # of `indefinite`
POINTS = np.random.default_rng(0).standard_normal((4, DIM))
TOP, SHARED = EF21(TopK(1)), RandK(1, scaled=True, shared_randomness=True)


# --- the statements -------------------------------------------------------------------------------------

KNOWN_FALSE: dict[str, KnownFalse] = {
    "mean square without the root": KnownFalse(
        circulates="EF21: gamma <= 1/(L + Lt xi) with Lt = (1/n) sum_i L_i^2",
        where="theory 12.1; the poster of EF21 (arXiv 2106.05203), whose code has the root",
        instead="Lt = L_QM = sqrt((1/n) sum_i L_i^2)",
        false=WITHOUT_ROOT,
        true=TOP.theorem("quadratic-mean"),
        slacks=lambda theorems: slacks_of_runs(small_constants(), TOP, theorems),
    ),
    "equal weights at the arithmetic mean": KnownFalse(
        circulates="at gamma = 1/(L + L_AM xi), f - f_inf + gamma/(2 theta) <|g_i - grad f_i|^2> decreases",
        where="theory 2; the proof of the first paper with the stepsize of the second (arXiv 2106.05203, 2402.10774)",
        instead="with the weights L_AM/L_i it does",
        false=UNWEIGHTED,
        true=TOP.theorem("arithmetic-mean"),
        slacks=lambda theorems: slacks_of_runs(one_large(), TOP, theorems),
    ),
    "A/(2 mu) in place of 2 mu/A": KnownFalse(
        circulates="3PC, PL: gamma <= 1/max{L + sqrt(2B/A) L_+, A/(2 mu)}",
        where="theory 12.2; the poster of 3PC (arXiv 2202.00998)",
        instead="gamma <= 1/max{L + sqrt(2B/A) L_+, 2 mu/A}",
        false=UPSIDE_DOWN,
        true=TOP.theorem("quadratic-mean-pl"),
        slacks=lambda theorems: slacks_of_runs(parabola(), EF21(Adversarial(0.2, "outward"), initial="zero"), theorems),
    ),
    "EF14 with gamma twice": KnownFalse(
        circulates="EF14: w_i = C(e_i + gamma grad f_i), x+ = x - gamma <w_i>",
        where="theory 12.3; posters of EF21 and of its extensions (arXiv 2106.05203, 2110.03294)",
        instead="x+ = x - <w_i>",
        false=DoublyScaledEF14(TopK(1)),
        true=EF14(TopK(1)),
        slacks=lambda methods: slacks_of_methods(single_worker(), EF14(TopK(1)).theorem("nonconvex"), methods),
    ),
    "heavy ball with gamma twice": KnownFalse(
        circulates="EF21-HB: x+ = x - gamma v, v+ = eta v + gamma g+",
        where="theory 12.3; the poster of EF21-HB (arXiv 2110.03294), whose text has no second gamma",
        instead="v+ = eta v + g+",
        false=DoublyScaledHB(TopK(1), momentum=0.5),
        true=EF21HB(TopK(1), momentum=0.5),
        slacks=lambda methods: slacks_of_methods(single_worker(), EF21HB(TopK(1)).theorem("quadratic-mean"), methods),
    ),
    "EF14 without heterogeneity": KnownFalse(
        circulates="EF14's descent for n workers without the term of their heterogeneity, as for one worker",
        where="theory 5",
        instead="gamma^3 L^2 xi^2 zeta^2 / 2 is added",
        false=WITHOUT_HETEROGENEITY,
        true=EF14(TopK(1)).theorem("nonconvex"),
        slacks=lambda theorems: slacks_of_runs(one_large(), EF14(TopK(1)), theorems, x0=one_large().minimizer),
    ),
    "(1 + s) mu in the step of compressed gradient descent": KnownFalse(
        circulates="gamma = 2/((1 + s) mu + (1 + s) L) has the rate ((k - 1)/(k + 1))^2, k = (L/mu) (1 + s)/(1 - s)",
        where="theory 12.6; theory_helpers.py of DanielBergThomsen/error-feedback-tight (arXiv 2506.05271)",
        instead="gamma = 2/((1 - s) mu + (1 + s) L) has, in one dimension",
        false=one_dimensional("plus", +1.0),
        true=one_dimensional("minus", -1.0),
        slacks=lambda theorems: slacks_of_runs(flat_end(), DCGD(Adversarial(0.5, "inward")), theorems, rounds=20),
    ),
    "0 for an omega that does not exist": KnownFalse(
        circulates="Top-k has omega = 0: at gamma = 1/L, |x - x*|^2 shrinks by 1 - gamma mu",
        where="trap: a missing constant becomes 0 in silence",
        instead="it has none; for one worker, f falls by (gamma alpha / 2) |grad f|^2",
        false=OMEGA_AS_0,
        true=DCGD(TopK(1)).theorem("single-worker"),
        slacks=lambda theorems: slacks_of_runs(single_worker(), DCGD(TopK(1)), theorems),
    ),
    "B_i = 0 for bounded variance": KnownFalse(
        circulates="a variance of at most sigma_i^2 is the ABC assumption with (A_i, B_i, C_i) = (0, 0, sigma_i^2)",
        where="theory 12.4; Example 1 of a version of arXiv 2110.03294, whose poster has B_i = 1",
        instead="(0, 1, sigma_i^2)",
        false=0.0,
        true=1.0,
        slacks=each(lambda b: second_moment_slack(uneven_noise(), GaussianNoise(0.5), b, POINTS)),
    ),
    "the mean of products for the constant of EF21-SGD": KnownFalse(
        circulates="EF21-SGD: C = <a_i (f_inf - f_i^inf)>, a_i = 2 A_i",
        where="theory 12.5; from memory of arXiv 2110.03294",
        instead="C = max_i a_i (f_inf - <f_i^inf>)",
        false=MEAN_OF_PRODUCTS,
        true=ABC,
        slacks=lambda theorems: expected_slacks(
            uneven_noise(), EF21SGD(Identity(), Minibatch(1), initial="zero"), theorems, np.zeros((1, DIM))
        ),
    ),
    "omega/n of workers that share a key (DCGD)": KnownFalse(
        circulates="DCGD with one key for all: gamma <= 1/(L + 2 (omega/n) L_max)",
        where="trap: one random key shared by all workers",
        instead="omega/n needs independent workers; with one key it is omega",
        false=OMEGA_OVER_N,
        true=UNBIASED,
        slacks=lambda theorems: expected_slacks(agreeing(), DCGD(SHARED), theorems, np.eye(DIM), same_entry()),
    ),
    "omega/n of workers that share a key": KnownFalse(
        circulates="E|<C(x_i)> - <x_i>|^2 <= (omega/n) <|x_i|^2> with one key for all",
        where="trap: one random key shared by all workers",
        instead="omega/n needs independent workers; with one key it is omega",
        false=AveragedAlthoughShared(3, scaled=True, shared_randomness=True),
        true=RandK(3, scaled=True, shared_randomness=True),
        slacks=each(averaged_deviation_slacks),
    ),
    "the 1-bit sign as a contraction": KnownFalse(
        circulates="C(x) = (|x|/sqrt d) sign(x) has alpha = 1/d",
        where="theory 11; 1-bit Adam (arXiv 2102.02888) has the compressor",
        instead="C(x) = (|x|_1/d) sign(x) has; the other makes errors of up to 2 (1 - 1/sqrt d) |x|^2",
        false=ContractiveOneBit(),
        true=Sign(),
        slacks=each(contraction_slacks),
    ),
    "Rand-k with replacement": KnownFalse(
        circulates="k entries drawn with replacement, times d/k, are unbiased",
        where="trap: random k from randint(d, size=k), as in some libraries of gradient compression",
        instead="they are without replacement; an entry is among k repeatable draws with 1 - (1 - 1/d)^k < k/d",
        false=RandKWithReplacement(8, scaled=True),
        true=RandK(8, scaled=True),
        slacks=each(bias_slacks),
    ),
    "bits without indices": KnownFalse(
        circulates="a message of Top-k takes 32 k bits",
        where="trap: bits that forget the indices",
        instead="k (32 + ceil(log2 d))",
        false=TopKWithoutIndices(3),
        true=TopK(3),
        slacks=each(places_slack),
    ),
    "bits without the first round": KnownFalse(
        circulates="EF21 that starts from the gradients has sent nothing at round 0",
        where="trap: bits that forget the uncompressed first round",
        instead="d floats",
        false=UnpaidStart(TopK(1)),
        true=TOP,
        slacks=each(lambda method: start_slack(one_large(), method, np.ones(4))),
    ),
    "the largest eigenvalue as L_i": KnownFalse(
        circulates="L_i = lambda_max of the Hessian of f_i",
        where="trap: an indefinite Hessian",
        instead="the largest absolute eigenvalue",
        false=signed,
        true=indefinite,
        slacks=each(lambda problem: curvature_slacks(problem(), POINT)),
    ),
    "half the gradient": KnownFalse(
        circulates="the gradient of f_i is that of f_i / 2",
        where="trap: gradients that are half the derivative of the stated loss",
        instead="the gradient of f_i",
        false=half_gradients,
        true=indefinite,
        slacks=each(lambda problem: gradient_slacks(problem(), POINT)),
    ),
}
