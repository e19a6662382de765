"""Every method once more, as a plain double loop in NumPy: round by round and worker by worker.

The loops share no code with the simulator but its random draws, which are data: a reference asks `Draws` for what the
compressor, the oracle, the participation or the coin drew for a round and a worker.
"""

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from instances import DIM, Samples
from local_references import LOCAL_REFERENCES, four_bits

from simulator import FP4, Method, Minibatch, OneBit, TopK
from simulator.keys import RoundKeys, round_keys

START = np.linspace(-1.0, 1.0, DIM)


def top_k(k: int, v: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(v)
    for j in sorted(range(len(v)), key=lambda j: -abs(v[j]))[:k]:
        kept[j] = v[j]
    return kept


@jax.jit
def keys_of_rounds(key: jax.Array, rounds: jax.Array) -> RoundKeys:
    """The keys of every round [T] of a run; leaves [T]."""
    return jax.vmap(lambda t: round_keys(jax.random.fold_in(key, t)))(rounds)


class Draws:
    """What a method's components draw in every round of a run with the given seed."""

    def __init__(self, method: Method, data: Samples, seed: int, rounds: int) -> None:
        self.method, self.data, self.n = method, data, len(data.features)
        self.keys = keys_of_rounds(jax.random.key(seed), jnp.arange(rounds + 1))
        self.factors = {}

    def _of_every_round(self, name: str, draw: Callable[[Any], Any]) -> np.ndarray:
        """The draws of a component for all rounds, computed at once when first asked for."""
        if name not in self.factors:
            purpose = name.split()[0]
            self.factors[name] = np.asarray(jax.jit(jax.vmap(draw))(getattr(self.keys, purpose)))
        return self.factors[name]

    def compress(self, t: int, i: int, v: np.ndarray, compressor: Any = None, purpose: str = "compression"):
        """C(v) of worker i: Top-k and one bit by loops of their own, Rand-k by the factors that it drew."""
        compressor = self.method.compressor if compressor is None else compressor
        if isinstance(compressor, TopK):
            return top_k(compressor.k, v)
        if isinstance(compressor, OneBit):
            return np.linalg.norm(v) / np.sqrt(len(v)) * np.array([-1.0 if entry < 0 else 1.0 for entry in v])
        if isinstance(compressor, FP4):
            return four_bits(v)
        ones = jnp.ones((self.n, len(v)))
        factors = self._of_every_round(f"{purpose} factors", lambda key: compressor.compress_rows(key, ones))
        return factors[t, i] * v

    def sample_weights(self, t: int, i: int, local_step: int | None = None) -> np.ndarray:
        counts = [len(block) for block in self.data.features]

        def draw(key):
            own = key if local_step is None else jax.random.fold_in(key, local_step)
            return self.method.oracle.sample_weights(jnp.array(counts), max(counts), own)

        return self._of_every_round(f"sampling weights {local_step}", draw)[t, i]

    def takes_part(self, t: int, i: int) -> bool:
        draw = lambda key: self.method.participation.draw(key, self.n)  # noqa: E731
        return bool(self._of_every_round("participation", draw)[t, i])

    def time(self, t: int, i: int) -> float:
        """How long the work takes that worker i begins at the end of round t."""
        draw = lambda key: self.method.times.draw(key, self.n)  # noqa: E731
        return self._of_every_round("participation times", draw)[t, i]

    def late(self, t: int) -> np.ndarray:
        chance = self.method.stragglers.chance
        draw = lambda key: jax.random.uniform(jax.random.fold_in(key, 0), (self.n,), dtype=float) < chance  # noqa: E731
        return self._of_every_round("stragglers", draw)[t]

    def coin(self, t: int) -> bool:
        tossed = self._of_every_round("coin", lambda key: jax.random.uniform(key, dtype=float))
        return bool(tossed[t] < self.method.probability)


class Loop(NamedTuple):
    """What every reference is given."""

    data: Samples
    method: Any
    draws: Draws
    gamma: float
    rounds: int

    @property
    def x0(self) -> np.ndarray:
        return START.copy()

    @property
    def n(self) -> int:
        return len(self.data.features)

    def gradient(self, i: int, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Of logistic regression with the nonconvex regulariser, on worker i's samples."""
        data, total = self.data, np.zeros_like(x)
        for j, (row, label) in enumerate(zip(data.features[i], data.targets[i], strict=True)):
            weight = 1 / len(data.features[i]) if weights is None else weights[j]
            total -= weight * label * row / (1 + np.exp(label * (row @ x)))
        return total + data.strength * 2 * x / (1 + x**2) ** 2

    def mean_gradient(self, x: np.ndarray) -> np.ndarray:
        return sum(self.gradient(i, x) for i in range(self.n)) / self.n

    def sampled(self, t: int, i: int, x: np.ndarray, local_step: int | None = None) -> np.ndarray:
        return self.gradient(i, x, self.draws.sample_weights(t, i, local_step))

    def observed(self, t: int, i: int, x: np.ndarray, local_step: int | None = None) -> np.ndarray:
        return self.sampled(t, i, x, local_step) if isinstance(self.method.oracle, Minibatch) else self.gradient(i, x)

    def start(self, i: int, v: np.ndarray, scale: float = 1.0) -> np.ndarray:
        choices = {
            "gradient": lambda: v.copy(),
            "compressed": lambda: scale * self.draws.compress(0, i, v / scale),
            "zero": lambda: np.zeros_like(v),
        }
        return choices[self.method.initial]()

    def scales(self) -> list[float]:
        """n w_i with w_i proportional to L_i."""
        features, strength = self.data.features, self.data.strength
        constants = [np.linalg.norm(a, 2) ** 2 / (4 * len(a)) + 2 * strength for a in features]
        return [self.n * constant / sum(constants) for constant in constants]


def gd(run: Loop):
    x = START.copy()
    for _ in range(run.rounds):
        x = x - run.gamma * run.mean_gradient(x)
        yield x


def dcgd(run: Loop):
    x = START.copy()
    for t in range(1, run.rounds + 1):
        x = x - run.gamma * sum(run.draws.compress(t, i, run.gradient(i, x)) for i in range(run.n)) / run.n
        yield x


def ef14(run: Loop):
    x, errors = START.copy(), [np.zeros(DIM) for _ in range(run.n)]
    for t in range(1, run.rounds + 1):
        sent = []
        for i in range(run.n):
            owed = errors[i] + run.gamma * run.observed(t, i, x)
            sent.append(run.draws.compress(t, i, owed))
            errors[i] = owed - sent[i]
        x = x - sum(sent) / run.n
        yield x


def estimating(run: Loop, renew: Callable[..., np.ndarray], scales: list[float] | None = None, sampled: bool = False):
    """x+ = x - gamma <g_i>, then g_i+ = renew(t, i, g_i, gradient at x, gradient at x+)."""
    x, scales = START.copy(), scales or [1.0] * run.n
    see = (lambda t, i, x: run.sampled(t, i, x)) if sampled else (lambda t, i, x: run.gradient(i, x))
    g = [run.start(i, see(0, i, x), scales[i]) for i in range(run.n)]
    for t in range(1, run.rounds + 1):
        previous, x = x, x - run.gamma * sum(g) / run.n
        for i in range(run.n):
            g[i] = renew(t, i, g[i], run.gradient(i, previous), see(t, i, x))
        yield x


def ef21(run: Loop):
    return estimating(run, lambda t, i, g, old, new: g + run.draws.compress(t, i, new - g))


def scaled(run: Loop, scales: list[float], sampled: bool = False):
    """In the papers' form: h_i estimates grad f_i / (n w_i), and the server takes sum_i w_i h_i."""

    def renew(t, i, g, old, new):
        h = g / scales[i]
        return scales[i] * (h + run.draws.compress(t, i, new / scales[i] - h))

    return estimating(run, renew, scales, sampled)


def ef21_w(run: Loop):
    return scaled(run, run.scales())


def ef21_cloned(run: Loop):
    # clone by clone: worker i has N_i clones with the loss N / (n N_i) f_i
    counts = [max(1, int(np.ceil(scale - 1e-9))) for scale in run.scales()]  # L_i / L_AM = n w_i
    owners = [i for i, count in enumerate(counts) for _ in range(count)]
    factors = [len(owners) / (run.n * counts[i]) for i in owners]
    x = START.copy()
    g = [run.start(i, f * run.gradient(i, x)) for i, f in zip(owners, factors, strict=True)]
    for t in range(1, run.rounds + 1):
        x = x - run.gamma * sum(g) / len(owners)
        for clone, (i, f) in enumerate(zip(owners, factors, strict=True)):
            g[clone] = g[clone] + run.draws.compress(t, i, f * run.gradient(i, x) - g[clone])
        yield x


def ef21_plus(run: Loop):
    def renew(t, i, g, old, new):
        plain, markov = run.draws.compress(t, i, new), g + run.draws.compress(t, i, new - g)
        return plain if np.linalg.norm(plain - new) < np.linalg.norm(markov - new) else markov

    return estimating(run, renew)


def ef21_pp(run: Loop):
    def renew(t, i, g, old, new):
        return g + run.draws.compress(t, i, new - g) if run.draws.takes_part(t, i) else g

    return estimating(run, renew)


def ef21_w_pp(run: Loop):
    scales = run.scales()

    def renew(t, i, g, old, new):
        change = scales[i] * run.draws.compress(t, i, (new - g) / scales[i])
        return g + change if run.draws.takes_part(t, i) else g

    return estimating(run, renew, scales)


def ef21_sgd(run: Loop):
    return estimating(run, lambda t, i, g, old, new: g + run.draws.compress(t, i, new - g), sampled=True)


def ef21_w_sgd(run: Loop):
    return scaled(run, run.scales(), sampled=True)


def ef21_sgdm(run: Loop):
    x, eta = START.copy(), run.method.eta
    v = [run.sampled(0, i, x) for i in range(run.n)]
    g = [run.start(i, v[i]) for i in range(run.n)]
    for t in range(1, run.rounds + 1):
        x = x - run.gamma * sum(g) / run.n
        for i in range(run.n):
            v[i] = (1 - eta) * v[i] + eta * run.sampled(t, i, x)
            g[i] = g[i] + run.draws.compress(t, i, v[i] - g[i])
        yield x


def ef21_hb(run: Loop):
    # v^0 = g^0, x+ = x - gamma v, v+ = eta v + g+
    x = START.copy()
    g = [run.start(i, run.gradient(i, x)) for i in range(run.n)]
    v = sum(g) / run.n
    for t in range(1, run.rounds + 1):
        x = x - run.gamma * v
        g = [g[i] + run.draws.compress(t, i, run.gradient(i, x) - g[i]) for i in range(run.n)]
        v = run.method.momentum * v + sum(g) / run.n
        yield x


def ef21_page(run: Loop):
    x = START.copy()
    v = [run.gradient(i, x) for i in range(run.n)]
    g = [run.start(i, v[i]) for i in range(run.n)]
    for t in range(1, run.rounds + 1):
        previous, x = x, x - run.gamma * sum(g) / run.n
        for i in range(run.n):
            if run.draws.coin(t):
                v[i] = run.gradient(i, x)
            else:
                v[i] = v[i] + run.sampled(t, i, x) - run.sampled(t, i, previous)
            g[i] = g[i] + run.draws.compress(t, i, v[i] - g[i])
        yield x


def ef21_bc(run: Loop):
    x, k = START.copy(), run.method.downlink_compressor.k
    h = [run.start(i, run.gradient(i, x)) for i in range(run.n)]
    mean = sum(h) / run.n
    g = top_k(k, mean) if run.method.initial == "compressed" else mean
    for t in range(1, run.rounds + 1):
        x = x - run.gamma * g
        h = [h[i] + run.draws.compress(t, i, run.gradient(i, x) - h[i]) for i in range(run.n)]
        g = g + top_k(k, sum(h) / run.n - g)
        yield x


def ef21_prox(run: Loop):
    x, level = START.copy(), run.gamma * run.method.regularizer.strength
    g = [run.start(i, run.gradient(i, x)) for i in range(run.n)]
    for t in range(1, run.rounds + 1):
        moved = x - run.gamma * sum(g) / run.n
        x = np.array([0.0 if abs(u) <= level else u - level * np.sign(u) for u in moved])
        g = [g[i] + run.draws.compress(t, i, run.gradient(i, x) - g[i]) for i in range(run.n)]
        yield x


def econtrol(run: Loop):
    x, eta = START.copy(), run.method.compressor.k / DIM / 32
    h, e = [run.start(i, run.gradient(i, x)) for i in range(run.n)], [np.zeros(DIM) for _ in range(run.n)]
    for t in range(1, run.rounds + 1):
        for i in range(run.n):
            gradient = run.gradient(i, x)
            h[i] = h[i] + run.draws.compress(t, i, eta * e[i] + gradient - h[i])
            e[i] = e[i] + gradient - h[i]
        x = x - run.gamma * sum(h) / run.n
        yield x


def control_variates(run: Loop, lam: float, nu: float):
    x = START.copy()
    h = [run.start(i, run.gradient(i, x)) for i in range(run.n)]
    for t in range(1, run.rounds + 1):
        d = [run.draws.compress(t, i, run.gradient(i, x) - h[i]) for i in range(run.n)]
        x = x - run.gamma * (sum(h) + nu * sum(d)) / run.n
        h = [h[i] + lam * d[i] for i in range(run.n)]
        yield x


def ef_bv(run: Loop):
    kept = run.method.compressor.k / DIM
    if isinstance(run.method.compressor, TopK):
        return control_variates(run, 1.0, 1.0)
    bias, deviation = (0.0, 1 / kept - 1) if run.method.compressor.scaled else (1 - kept, kept * (1 - kept))
    lam, nu = (min(1.0, (1 - bias) / ((1 - bias) ** 2 + omega)) for omega in (deviation, deviation / run.n))
    return control_variates(run, lam, nu)


def diana(run: Loop):
    return control_variates(run, run.method.compressor.k / DIM, 1.0)  # 1 + omega = d/k


def marina(run: Loop):
    x = START.copy()
    g = run.mean_gradient(x)
    for t in range(1, run.rounds + 1):
        previous, x = x, x - run.gamma * g
        if run.draws.coin(t):
            g = run.mean_gradient(x)
        else:
            steps = [run.gradient(i, x) - run.gradient(i, previous) for i in range(run.n)]
            g = g + sum(run.draws.compress(t, i, step) for i, step in enumerate(steps)) / run.n
        yield x


def far(run: Loop, g, old, new) -> bool:
    return np.sum((new - g) ** 2) > run.method.trigger * np.sum((new - old) ** 2)


def lag(run: Loop):
    return estimating(run, lambda t, i, g, old, new: new if far(run, g, old, new) else g)


def clag(run: Loop):
    def renew(t, i, g, old, new):
        return g + run.draws.compress(t, i, new - g) if far(run, g, old, new) else g

    return estimating(run, renew)


def three_pc_v1(run: Loop):
    return estimating(run, lambda t, i, g, old, new: old + run.draws.compress(t, i, new - old))


def three_pc_v2(run: Loop):
    def renew(t, i, g, old, new):
        base = g + run.draws.compress(t, i, new - old, run.method.difference_compressor, "second_compression")
        return base + run.draws.compress(t, i, new - base)

    return estimating(run, renew)


def three_pc_v4(run: Loop):
    def renew(t, i, g, old, new):
        base = g + run.draws.compress(t, i, new - g)
        return base + run.draws.compress(t, i, new - base, run.method.residual_compressor)

    return estimating(run, renew)


def three_pc_v5(run: Loop):
    def renew(t, i, g, old, new):
        return new if run.draws.coin(t) else g + run.draws.compress(t, i, new - old)

    return estimating(run, renew)


def dgc(run: Loop):
    method, n = run.method, run.n
    x, u, v = START.copy(), np.zeros((n, DIM)), np.zeros((n, DIM))
    speed = np.zeros(DIM)
    for t in range(run.rounds):
        k, sent = method.compressor.k, np.zeros((n, DIM))
        if t < method.warmup:
            stage = next(s for s in (1, 2, 3, 4) if 4 * t < s * method.warmup)
            k = round(DIM * (k / DIM) ** (stage / 5))
        for i in range(n):
            g = run.observed(t, i, x)
            part = np.linalg.norm(g / n)  # of the mean gradient
            if method.clip is not None and part > method.clip / np.sqrt(n):
                g = g * method.clip / np.sqrt(n) / part
            u[i] = method.momentum * u[i] + g if method.momentum_correction else g
            v[i] = v[i] + u[i]
            for j in np.flatnonzero(top_k(k, v[i])):
                sent[i, j], v[i, j] = v[i, j], 0.0
                u[i, j] = 0.0 if method.momentum_masking else u[i, j]
        speed = np.mean(sent, axis=0) + (0.0 if method.momentum_correction else method.momentum) * speed
        x = x - run.gamma * speed
        yield x


def adam(run: Loop):
    method, x, m, v = run.method, START.copy(), np.zeros(DIM), np.zeros(DIM)
    for t in range(1, run.rounds + 1):
        g = sum(run.observed(t, i, x) for i in range(run.n)) / run.n
        m = method.beta1 * m + (1 - method.beta1) * g
        v = method.beta2 * v + (1 - method.beta2) * g * g
        first, second = m, v
        if method.bias_correction:
            first, second = m / (1 - method.beta1**t), v / (1 - method.beta2**t)
        x = x - run.gamma * first / (np.sqrt(second) + method.epsilon)
        yield x


def both_ways(run: Loop, t: int, vectors: list[np.ndarray], errors: list[np.ndarray], error: np.ndarray):
    """The server's answer; changes the errors in place."""
    sent = []
    for i, vector in enumerate(vectors):
        sent.append(run.draws.compress(t, i, errors[i] + vector))
        errors[i] += vector - sent[i]
    mean = sum(sent) / run.n
    answer = run.draws.compress(t, 0, error + mean, run.method.downlink_compressor)
    error += mean - answer
    return answer


def adam_ef(run: Loop):
    method, x, m, v = run.method, START.copy(), np.zeros(DIM), np.zeros(DIM)
    errors, error = [np.zeros(DIM) for _ in range(run.n)], np.zeros(DIM)
    for t in range(1, run.rounds + 1):
        g = both_ways(run, t, [run.observed(t, i, x) for i in range(run.n)], errors, error)
        m, v = method.beta1 * m + (1 - method.beta1) * g, method.beta2 * v + (1 - method.beta2) * g**2
        x = x - run.gamma * m / (np.sqrt(v) + method.epsilon)
        yield x


def one_bit_adam(run: Loop):
    method, x, m, v = run.method, START.copy(), np.zeros(DIM), np.zeros(DIM)
    errors, error = [np.zeros(DIM) for _ in range(run.n)], np.zeros(DIM)
    for t in range(1, run.rounds + 1):
        seen = [run.observed(t, i, x) for i in range(run.n)]
        momenta = [method.beta1 * m + (1 - method.beta1) * g for g in seen]
        if t <= method.warmup:
            m, v = sum(momenta) / run.n, method.beta2 * v + (1 - method.beta2) * (sum(seen) / run.n) ** 2
        else:
            m = both_ways(run, t, momenta, errors, error)
        x = x - run.gamma * m / (np.sqrt(v) + method.epsilon)
        yield x


def asynchronous(run: Loop, lasts: Callable[[list[float]], float], chances: list[float]):
    """Arrival after arrival; worker i arrives in the share chances[i] of the rounds, which last lasts(waits)."""
    method, n, x = run.method, run.n, START.copy()
    total = sum(chances)
    weights = [1 / (n * p) if method.weighting == "unbiased" else 1 / total for p in chances]
    starts, errors = [x.copy() for _ in range(n)], [np.zeros(DIM) for _ in range(n)]
    waits = [run.draws.time(0, i) for i in range(n)]
    for t in range(1, run.rounds + 1):
        span = lasts(waits)
        waits = [wait - span for wait in waits]
        arrived = [i for i in range(n) if waits[i] < 1e-6]
        for i in arrived:
            owed = errors[i] + starts[i] - local_steps(run, t, i, starts[i])
            sent = run.draws.compress(t, i, owed)
            errors[i] = owed - sent
            x = x - method.server_stepsize * weights[i] * sent
        for i in arrived:
            starts[i], waits[i] = x.copy(), run.draws.time(t, i)
        yield x


def local_steps(run: Loop, t: int, i: int, y: np.ndarray) -> np.ndarray:
    for h in range(run.method.local_steps):
        y = y - run.gamma * run.observed(t, i, y, h)
    return y


def mean_times(run: Loop) -> list[float]:
    steps = [1 + (run.method.times.spread - 1) * i / (run.n - 1) for i in range(run.n)]
    return [run.n * step / sum(steps) for step in steps]


def fedavg(run: Loop):
    return asynchronous(run, max, [1.0] * run.n)


def async_fedavg(run: Loop):
    # fixed times, multiples of the smallest: at every multiple of it the fastest worker arrives
    times = mean_times(run)
    return asynchronous(run, min, [times[0] / time for time in times])


def fedbuff(run: Loop):
    # exponential times: the order of arrival is that of draws without replacement, with chances like the rates
    rates, chances, m = [1 / time for time in mean_times(run)], [0.0] * run.n, run.method.buffer
    for order in permutations(range(run.n)):
        probability, left = 1.0, sum(rates)
        for i in order:
            probability, left = probability * rates[i] / left, left - rates[i]
        for i in order[:m]:
            chances[i] += probability
    return asynchronous(run, lambda waits: sorted(waits)[m - 1], chances)


def fedfix(run: Loop):
    # E ceil(T / interval) is the sum of P(T > k interval) over k >= 0; what is left of it is an integral
    a, length, last, chances = run.method.times.tail, run.method.interval, 100_000, []
    for time in mean_times(run):
        least = time * (a - 1) / a
        beyond = sum(min(1.0, (least / (k * length)) ** a) for k in range(1, last))
        chances.append(1 / (1 + beyond + (least / length) ** a * (last - 0.5) ** (1 - a) / (a - 1)))
    return asynchronous(run, lambda waits: length, chances)


def gradient_coding(run: Loop):
    """The method within, whose next point comes in the rounds in which at most one worker is late."""
    points = REFERENCES[run.method.method.kind](run._replace(method=run.method.method))
    x = START.copy()
    for t in range(1, run.rounds + 1):
        x = next(points) if run.draws.late(t).sum() <= 1 else x
        yield x


REFERENCES: dict[str, Callable[[Loop], Iterator[np.ndarray]]] = {
    "gd": gd,
    "dcgd": dcgd,
    "ef14": ef14,
    "ef21": ef21,
    "ef21-w": ef21_w,
    "ef21-cloned": ef21_cloned,
    "ef21-plus": ef21_plus,
    "ef21-pp": ef21_pp,
    "ef21-w-pp": ef21_w_pp,
    "ef21-sgd": ef21_sgd,
    "ef21-w-sgd": ef21_w_sgd,
    "ef21-sgdm": ef21_sgdm,
    "ef21-hb": ef21_hb,
    "ef21-page": ef21_page,
    "ef21-bc": ef21_bc,
    "ef21-prox": ef21_prox,
    "econtrol": econtrol,
    "ef-bv": ef_bv,
    "diana": diana,
    "marina": marina,
    "dgc": dgc,
    "adam": adam,
    "adam-ef": adam_ef,
    "one-bit-adam": one_bit_adam,
    "lag": lag,
    "clag": clag,
    "3pc-v1": three_pc_v1,
    "3pc-v2": three_pc_v2,
    "3pc-v4": three_pc_v4,
    "3pc-v5": three_pc_v5,
    "fedavg": fedavg,
    "async-fedavg": async_fedavg,
    "fedbuff": fedbuff,
    "fedfix": fedfix,
    "gradient-coding": gradient_coding,
    **LOCAL_REFERENCES,
}


def reference(data: Samples, method: Method, gamma: float, rounds: int, seed: int = 0) -> np.ndarray:
    """The points x^1, ..., x^rounds. -> [rounds, d]."""
    run = Loop(data, method, Draws(method, data, seed, rounds), gamma, rounds)
    return np.array([*REFERENCES[method.kind](run)])
