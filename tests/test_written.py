"""The catalogue's stepsizes, Lyapunov functions and drifts, written out once more in plain NumPy.

The laws hold a theorem to its inequality; this holds it to its formula. Each entry is (stepsize, potential, drift) of
theory's statement, from numbers and arrays only.
"""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from instances import DIM, instance
from method_examples import method_examples
from numpy import sqrt
from numpy.testing import assert_allclose
from references import START

from problems.registry import registered
from simulator import DCGD, Method, RandK, TopK, constants_of

EXAMPLES = method_examples(TopK(2), RandK(2, scaled=True))


def rows(v: Any) -> np.ndarray:
    return np.sum(np.asarray(v) ** 2, axis=-1)


def facts(problem: Any, method: Method) -> SimpleNamespace:
    """The numbers of the theory sheet, for Top-2 or scaled Rand-2."""
    Li, L = np.asarray(problem.worker_smoothness), float(problem.smoothness)
    n, k = len(Li), 2
    a = k / DIM
    s = sqrt(1 - a)
    f = SimpleNamespace(problem=problem, L=L, Li=Li, n=n, k=k, a=a, th=1 - s, s=s, xi=s / (1 - s), m=method)
    f.be, f.om = (1 - a) / f.th, DIM / k - 1
    f.mu, f.QM, f.AM, f.Lp = problem.pl_constant, sqrt(np.mean(Li**2)), np.mean(Li), problem.mean_squared_smoothness
    return f


def xi_of(a: float) -> float:
    return (1 + sqrt(1 - a)) / a - 1


def coefficients(f: Any, name: str) -> np.ndarray:
    """a_i of the distortion that a theorem's name tells."""
    name = name.removesuffix("-distortion")
    if name.startswith("arithmetic"):
        return f.AM / (f.n * f.Li)
    if name == "rare-features":
        return np.full(f.n, f.problem.sparsity.spread / f.n**2)
    if name == "rare-features-load":
        return f.problem.sparsity.load / (f.n**2 * f.Li)
    if name.startswith(("clones", "sqrt2")):
        counts = np.maximum(1, np.ceil(f.Li / f.AM - 1e-9))
        return counts.sum() / (f.n**2 * counts)
    return np.full(f.n, 1 / f.n)


def smoothness(f: Any, name: str) -> float:
    name = name.removesuffix("-distortion")
    if name.startswith("sqrt2"):
        return sqrt(2) * f.AM
    if name == "rare-features":
        return sqrt(f.problem.sparsity.spread / f.n) * f.Lp
    if name == "rare-features-load":
        return f.problem.sparsity.load / f.n
    if name.startswith("mean-squared"):
        return f.Lp
    return sqrt(np.sum(coefficients(f, name) * f.Li**2))


def G(f: Any, name: str, errors: Any) -> float:
    return coefficients(f, name) @ rows(errors)


def distortion(A: Any, B: Any, noise: Any = None):
    """Item 1 of the theory sheet with th -> A(f), xi^2 -> B(f)/A(f)."""

    def stepsize(f, name):
        if name.endswith("-distortion"):
            return np.inf
        root = smoothness(f, name) * sqrt(B(f) / A(f))
        if "exact" in name:
            return (sqrt(f.L**2 + 4 * root**2) - f.L) / (2 * root**2)
        return min(1 / (f.L + sqrt(2) * root), A(f) / (2 * f.mu)) if "-pl" in name else 1 / (f.L + root)

    def factor(f, name, gamma):
        if name.endswith("-distortion"):
            return 1.0
        return gamma / A(f) * (1 if "-pl" in name else 0.5)

    def potential(f, name, gamma, s):
        return factor(f, name, gamma) * G(f, name, s.estimates - s.gradients)

    def drift(f, name, gamma, before, after):
        moved = B(f) * smoothness(f, name) ** 2 * rows(after.x - before.x) if name.endswith("-distortion") else 0.0
        added = noise(f) * (coefficients(f, name) @ np.asarray(after.variances)) if noise else 0.0
        return factor(f, name, gamma) * (moved + added)

    return stepsize, potential, drift


ef21 = distortion(lambda f: f.th, lambda f: f.be)
sparse = distortion(lambda f: 1 - sqrt(1 - 2 / 3), lambda f: (1 / 3) / (1 - sqrt(1 - 2 / 3)))  # k/r = 2/3


def sampling():
    """Section 3 with 1 + s = 1 + nu = (1 - a)^(-1/4)."""
    up = lambda f: (1 - f.a) ** -0.25  # noqa: E731
    A = lambda f: 1 - (1 - f.a) * up(f) ** 2  # noqa: E731
    B = lambda f: (1 - f.a) * up(f) * (1 + 1 / (up(f) - 1))  # noqa: E731
    noise = lambda f: (1 - f.a) * up(f) + 1 + 1 / (up(f) - 1)  # noqa: E731
    return A, B, noise


def batch_smoothness(f: Any) -> np.ndarray:
    """A_i of minibatches: max_j L_ij (m - b) / (b (m - 1)), or over b with replacement."""
    features = np.asarray(f.problem.shards.features)
    largest = np.max(np.sum(features**2, axis=2), axis=1) / 4 + f.problem.regularizer.highest_curvature
    m, b = features.shape[1], f.m.oracle.size
    return largest * (1 / b if f.m.oracle.replacement else (m - b) / (b * (m - 1)))


def abc():
    A, B, noise = sampling()

    def expected(f, name):
        return np.max(2 * f.n * coefficients(f, name) * batch_smoothness(f))

    def stepsize(f, name):
        return min(1 / (f.L + smoothness(f, name) * sqrt(B(f) / A(f))), A(f) / (noise(f) * expected(f, name)))

    def drift(f, name, gamma, before, after):
        q = gamma * noise(f) * expected(f, name) / (2 * A(f))
        constant = expected(f, name) * f.problem.lower_bound
        return gamma * noise(f) * constant / (2 * A(f)) / (1 - q)

    return stepsize, distortion(A, B)[1], drift


def momentum(published: bool):
    def stepsize(f, name):
        e = f.m.eta
        if published:
            return min(f.a / (20 * f.QM), e / (7 * f.L))
        inside = 4 * f.xi**2 * (e**2 + (1 - e) ** 2) * smoothness(f, name) ** 2 + 2 * (1 - e) ** 2 * f.L**2 / e**2
        return 1 / (f.L + sqrt(inside))

    def potential(f, name, gamma, s):
        e, bias = f.m.eta, np.asarray(s.averages - s.gradients)
        behind = G(f, name, s.estimates - s.averages)
        return gamma * (behind / f.th + rows(bias.mean(0)) / e + 2 * e * f.xi**2 * G(f, name, bias))

    def drift(f, name, gamma, before, after):
        e, v = f.m.eta, np.asarray(after.variances)
        each = (1 - f.a) * e**2 / f.th + 2 * f.xi**2 * e**3
        return gamma * (e * v.mean() / f.n + each * (coefficients(f, name) @ v))

    return stepsize, potential, drift


def heavy_ball():
    def stepsize(f, name):
        e = f.m.momentum
        return (1 - e) / (f.L + sqrt(2 * f.xi**2 * smoothness(f, name) ** 2 + 3 * f.L**2 * e**2 / (1 - e) ** 2))

    def potential(f, name, gamma, s):
        e = f.m.momentum
        step = gamma / (1 - e)
        q = step**3 * (1 - e) ** 2 * f.xi**2 * smoothness(f, name) ** 2
        B = (q * e + 1.5 * step**3 * f.L**2 * e**2) / (1 - e)
        return step / f.th * G(f, name, s.estimates - s.gradients) + B * rows(s.velocity)

    return stepsize, potential, None


def page():
    def stepsize(f, name):
        p, x2 = f.m.probability, f.xi**2
        features = np.asarray(f.problem.shards.features)
        m, b = features.shape[1], f.m.oracle.size
        grams = [sum((r @ r) * np.outer(r, r) for r in block) / m for block in features]
        l2 = np.array([np.linalg.eigvalsh(gram)[-1] / 16 for gram in grams]) * (m - b) / (b * (m - 1))
        l2w = coefficients(f, name) @ l2
        inside = 2 * x2 * ((1 + p) * smoothness(f, name) ** 2 + (1 - p) * l2w)
        return 1 / (f.L + sqrt(inside + 2 * (1 - p) * (1 / p + 2 * x2) * l2w))

    def potential(f, name, gamma, s):
        behind, off = G(f, name, s.estimates - s.corrected), G(f, name, s.corrected - s.gradients)
        return gamma * (behind / f.th + (1 / f.m.probability + 2 * f.xi**2) * off)

    return stepsize, potential, None


def both_ways():
    x2, th2 = xi_of(0.5), 1 - sqrt(0.5)  # Top-3 of 6 on the way back

    def stepsize(f, name):
        return 1 / (f.L + smoothness(f, name) * sqrt(16 * x2**2 + 2 * f.xi**2 * (1 + 8 * x2**2)))

    def potential(f, name, gamma, s):
        behind = rows(s.broadcast - np.asarray(s.estimates).mean(0))
        return gamma * behind / th2 + gamma / f.th * (1 + 8 * x2**2) * G(f, name, s.estimates - s.gradients)

    return stepsize, potential, None


def proximal():
    def stepsize(f, name):
        return 1 / (2 * f.L + sqrt(3) * f.xi * smoothness(f, name))

    def potential(f, name, gamma, s):
        r = f.m.regularizer.strength * np.sum(np.abs(s.x))
        return r + 3 * gamma / (4 * f.th) * G(f, name, s.estimates - s.gradients)

    return stepsize, potential, None


def controlled(pl: bool):
    def stepsize(f, name):
        if pl:
            return f.a / (60 * f.QM)
        return min(f.a / (27.72 * f.QM), sqrt(1 / 32) * f.a / (6.27 * sqrt(f.L * f.QM)), 1 / (4 * f.L))

    def potential(f, name, gamma, s):
        eta = f.a / 32
        p = (4 if pl else 1) * gamma**2 * f.L**2 / eta
        q = (16 if pl else 8) * p / (f.a * eta)
        z = rows(eta * s.errors + s.gradients - s.estimates)
        return gamma * (p * np.mean(rows(s.errors)) + q * np.mean(z))

    return stepsize, potential, None


def mixture(lam: Any, nu: Any, bias: Any, deviation: Any, average: Any, pl: bool):
    def numbers(f):
        r = (1 - lam(f) + lam(f) * bias(f)) ** 2 + lam(f) ** 2 * deviation(f)
        return r, (1 - nu(f) + nu(f) * bias(f)) ** 2 + nu(f) ** 2 * average(f)

    def stepsize(f, name):
        r, rav = numbers(f)
        if not pl:
            return 1 / (f.L + f.QM * sqrt(rav) / (1 - sqrt(r)))
        return 1 / (f.L + f.QM * sqrt(rav / r) / (sqrt((1 + r) / (2 * r)) - 1))

    def potential(f, name, gamma, s):
        r, rav = numbers(f)
        H, z = np.mean(rows(s.variates - s.gradients)), sqrt((1 + r) / (2 * r)) - 1
        return gamma * H * (rav / (2 * z * (1 + z) * r) if pl else rav / (2 * (1 - sqrt(r))))

    return stepsize, potential, None


def biased(pl: bool):  # Top-2: eta = sqrt(1 - a), no variance, lam = nu = 1
    return mixture(lambda f: 1, lambda f: 1, lambda f: f.s, lambda f: 0, lambda f: 0, pl)


def unbiased(pl: bool):  # DIANA with scaled Rand-2
    return mixture(lambda f: 1 / (1 + f.om), lambda f: 1, lambda f: 0, lambda f: f.om, lambda f: f.om / f.n, pl)


def diana_convex():
    def potential(f, name, gamma, s):
        at_optimum = f.problem.worker_gradients(np.asarray(f.problem.minimizer))
        weight = 4 * f.om * (1 + f.om) / f.n * gamma**2
        return rows(s.x - f.problem.minimizer) + weight * np.mean(rows(s.variates - at_optimum))

    return lambda f, name: 1 / (f.L + 6 * f.om * f.Li.max() / f.n), potential, None


def marina(pl: bool):
    def stepsize(f, name):
        p = f.m.probability
        S = (1 - p) * f.om / (p * f.n)
        return min(1 / (f.L + f.QM * sqrt(2 * S)), p / (2 * f.mu)) if pl else 1 / (f.L + f.QM * sqrt(S))

    def potential(f, name, gamma, s):
        off = rows(s.estimate - np.asarray(s.gradients).mean(0))
        return gamma / f.m.probability * off * (1 if pl else 0.5)

    return stepsize, potential, None


def tight(potential: Any):
    def stepsize(f, name):
        mu = f.problem.worker_strong_convexity
        return 2 / (f.Li.max() + mu) * (1 - f.s) / (1 + f.s)

    return stepsize, potential, None


def stability_limit_potential(f, name, gamma, s):
    return G(f, "arithmetic-mean", s.estimates - s.gradients) / (2 * f.s * f.AM)


def tight_ef21(f, name, gamma, s):
    gradients = np.asarray(s.gradients)
    return f.s * rows(gradients.mean(0)) + np.mean(rows(s.estimates - gradients))


def tight_ef14(f, name, gamma, s):
    e = np.asarray(s.errors)
    return rows(e.mean(0)) / f.s + np.mean(rows(np.asarray(s.x) - f.problem.minimizer - e))


def ef14(factor: float, bound: Any):
    def potential(f, name, gamma, s):
        return factor * gamma * f.L**2 / f.th * np.mean(rows(s.errors))

    def drift(f, name, gamma, before, after):
        g, v = np.asarray(before.gradients), np.mean(before.variances)
        own = factor * gamma**3 * f.L**2 * f.xi**2 * np.mean(rows(g - g.mean(0)))
        return own + gamma**2 * v * f.L / (2 * f.n) + factor * gamma**3 * f.L**2 * (1 - f.a) / f.th * v

    return bound, potential, drift


def no_potential(f, name, gamma, s):
    return 0.0


def distance(f, name, gamma, s):
    return rows(s.x - f.problem.minimizer)


A_S, B_S, NOISE = sampling()
P12 = 1 - (2 / 3) * (2 / 3)  # of Top-2 twice in six dimensions
QUARTER = 1 - sqrt(1 - 0.3)
FAMILIES = {
    "ef21": ef21,
    "ef21-w": ef21,
    "ef21-cloned": ef21,
    "ef21-plus": ef21,
    "ef21-pp": distortion(lambda f: 1 - sqrt(1 - f.a / 2), lambda f: (1 - f.a / 2) / (1 - sqrt(1 - f.a / 2))),
    "ef21-w-pp": distortion(lambda f: 1 - sqrt(1 - f.a / 2), lambda f: (1 - f.a / 2) / (1 - sqrt(1 - f.a / 2))),
    "ef21-sgd": distortion(A_S, B_S, NOISE),
    "ef21-w-sgd": distortion(A_S, B_S, NOISE),
    "ef21-sgdm": momentum(published=False),
    "ef21-hb": heavy_ball(),
    "ef21-page": page(),
    "ef21-bc": both_ways(),
    "ef21-prox": proximal(),
    "lag": distortion(lambda f: 1, lambda f: 2.0),
    "clag": distortion(lambda f: f.th, lambda f: max(f.be, 1.5)),
    "3pc-v1": distortion(lambda f: 1, lambda f: 1 - f.a),
    "3pc-v2": distortion(lambda f: f.a, lambda f: (1 - f.a) * f.om),
    "3pc-v4": distortion(lambda f: 1 - sqrt(1 - P12), lambda f: (1 - P12) / (1 - sqrt(1 - P12))),
    "3pc-v5": distortion(lambda f: QUARTER, lambda f: 0.7 * (1 - f.a) / QUARTER),
}


def published_participation():
    s, p = 1e-3, 0.5
    shrink = lambda f: (1 - f.a) * (1 + s)  # noqa: E731
    A = lambda f: s * p + (1 - shrink(f)) * p - s  # noqa: E731
    return distortion(A, lambda f: (1 - f.a) * (1 + 1 / s) * p + (1 - p) * (1 + 1 / s))


stability_limit = (lambda f, name: 2 / (f.AM * (1 + 2 * f.xi)), stability_limit_potential, None)
SINGLE = {
    ("gd", "smooth"): (lambda f, name: 1 / f.L, no_potential, None),
    ("gd", "smooth-pl"): (lambda f, name: 1 / f.L, no_potential, None),
    ("gd", "tight"): (lambda f, name: 2 / (f.L + f.mu), distance, None),
    ("dcgd", "single-worker"): (lambda f, name: 1 / f.L, no_potential, None),
    ("dcgd", "unbiased"): (
        lambda f, name: 1 / (f.L + 2 * f.om * f.Li.max() / f.n),
        distance,
        lambda f, name, gamma, before, after: (
            2 * gamma**2 * f.om / f.n * np.mean(rows(f.problem.worker_gradients(np.asarray(f.problem.minimizer))))
        ),
    ),
    ("ef14", "nonconvex"): ef14(0.5, lambda f, name: 1 / (f.L * (2 + sqrt(2) * f.xi))),
    ("ef14", "pl"): ef14(2.0, lambda f, name: 1 / (f.L * (4 / 3 + 4 * f.xi / sqrt(3)))),
    ("ef14", "tight"): tight(tight_ef14),
    ("ef21", "tight"): tight(tight_ef21),
    ("ef21", "stability-limit"): stability_limit,
    ("ef21-w", "stability-limit"): stability_limit,
    ("ef21", "rare-features"): sparse,
    ("ef21", "rare-features-load"): sparse,
    ("ef21", "rare-features-distortion"): sparse,
    ("ef21", "rare-features-load-distortion"): sparse,
    ("ef21-pp", "quadratic-mean-published"): published_participation(),
    ("ef21-sgd", "quadratic-mean-abc"): abc(),
    ("ef21-w-sgd", "arithmetic-mean-abc"): abc(),
    ("ef21-sgdm", "quadratic-mean-published"): momentum(published=True),
    ("econtrol", "nonconvex"): controlled(pl=False),
    ("econtrol", "pl"): controlled(pl=True),
    ("ef-bv", "quadratic-mean"): biased(pl=False),
    ("ef-bv", "quadratic-mean-pl"): biased(pl=True),
    ("diana", "quadratic-mean"): unbiased(pl=False),
    ("diana", "quadratic-mean-pl"): unbiased(pl=True),
    ("diana", "convex"): diana_convex(),
    ("marina", "quadratic-mean"): marina(pl=False),
    ("marina", "quadratic-mean-pl"): marina(pl=True),
}


def written(kind: str, theorem: str) -> tuple[Any, Any, Any]:
    if theorem.endswith("-distortion") and kind in ("ef21-hb", "ef21-prox", "ef21-bc"):
        return ef21  # however x moves
    return SINGLE.get((kind, theorem)) or FAMILIES[kind]


TRIED: list[tuple[str, Method]] = [
    ("logistic-l2", EXAMPLES[kind])
    for kind, cls in registered(Method).items()
    if kind in EXAMPLES and kind != "dcgd" and cls.theorems
] + [
    ("logistic-l2", EXAMPLES["ef-sgd"]),
    ("sparse-logistic", EXAMPLES["ef21"]),
    ("interpolation", EXAMPLES["ef14"]),
    ("single-worker", EXAMPLES["dcgd"]),
    ("logistic-l2", DCGD(RandK(2, scaled=True))),
]


@pytest.mark.parametrize(("name", "method"), TRIED, ids=[f"{name}-{method.kind}" for name, method in TRIED])
def test_stepsizes_potentials_and_drifts_are_the_written_ones(name, method):
    problem = instance(name).problem
    c = constants_of(problem, method)
    f, gamma, key = facts(problem, c.method), 0.07 / float(problem.smoothness), jax.random.key(1)

    @jax.jit
    def middle(method: Method) -> tuple[Any, Any]:
        first = method.init(problem, START, key)

        def advance(round: Any, states: tuple[Any, Any]) -> tuple[Any, Any]:
            return states[1], method.step(problem, gamma, states[1], jax.random.fold_in(key, round))

        return jax.lax.fori_loop(0, 3, advance, (first, first))

    before, after = middle(c.method)
    theorems = [theorem for theorem in method.theorems if theorem.obstacle(c) is None]
    assert theorems
    for theorem in theorems:
        stepsize, potential, drift = written(method.kind, theorem.name)
        assert_allclose(float(theorem.max_stepsize(c)), stepsize(f, theorem.name), rtol=1e-7, err_msg=theorem.name)
        expected = potential(f, theorem.name, gamma, after)
        assert_allclose(theorem.potential(c, gamma, after), expected, rtol=1e-8, err_msg=theorem.name)
        expected = drift(f, theorem.name, gamma, before, after) if drift else 0.0
        assert_allclose(theorem.drift(c, gamma, before, after), expected, rtol=1e-8, err_msg=theorem.name)


def test_every_theorem_is_written_again():
    tried = {
        (method.kind, theorem.name)
        for name, method in TRIED
        for theorem in method.theorems
        if theorem.obstacle(constants_of(instance(name).problem, method)) is None
    }
    assert tried == {
        (kind, theorem.name)
        for kind, cls in registered(Method).items()
        if cls.__module__.startswith("simulator.")
        for theorem in cls.theorems
    }
