"""Lanes last: what `over_lanes` makes of a function of one run is what the function gives run by run.

Methods are compared with `jax.vmap`, single operations with a loop over the runs, which shares nothing with either.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import DIM, SAMPLES, WORKERS, instance
from jax import Array, lax
from jax.extend import core
from method_examples import CONTRACTIVE, UNBIASED

from problems import Problem
from simulator import EF21, RandK, Sign, TopK, engine, lanes, program, simulate
from simulator.lanes import RULES, over_lanes

LANES = 3
# with compressors that compile fast; selections are compared on their own below
EXAMPLES = {kind: make(Sign()) for kind, make in CONTRACTIVE.items()} | {
    kind: make(RandK(2, scaled=True)) for kind, make in UNBIASED.items()
}


def vmapped(function: Callable[..., Any], shared: Any, *of_runs: Any) -> Any:
    """What over_lanes has to be."""
    return jax.vmap(partial(function, shared), in_axes=-1, out_axes=-1)(*of_runs)


def assert_close(found: Any, expected: Any, rtol: float = 0.0) -> None:
    """The same trees of the same shapes and types; bit for bit, NaN included, or relative to the largest entry."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = (jax.random.key_data(key) for key in (one, other))
        if rtol and jnp.issubdtype(one.dtype, jnp.floating):
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.max(np.abs(other), initial=0.0))
        else:
            np.testing.assert_array_equal(one, other)


# --- methods --------------------------------------------------------------------------------------------


def one_round(shared: tuple[Problem, Any], gamma: Array, state: Any, key: Array) -> Any:
    problem, method = shared
    return method.step(problem, gamma, state, key)


def start_and_round(shared: tuple[Problem, Any], gamma: Array, x0: Array, key: Array) -> Any:
    problem, method = shared
    return one_round(shared, gamma, method.init(problem, x0, key), jax.random.fold_in(key, 1))


@partial(jax.jit, static_argnums=0)
def both_ways(function: Callable[..., Any], shared: Any, *of_runs: Any) -> tuple[Any, Any]:
    return over_lanes(function, shared, *of_runs), vmapped(function, shared, *of_runs)


def any_states(problem: Problem, method: Any) -> Any:
    """States of LANES runs with random numbers: a program with the start in it compiles twice as long. [..., S]."""
    rng = np.random.default_rng(1)
    state = jax.eval_shape(method.init, problem, jnp.zeros(problem.dim), jax.random.key(0))

    def draw(leaf: Any) -> np.ndarray:
        # not negative, as some states must not be: of some a root is taken
        numbers = rng.exponential(size=(*leaf.shape, LANES)) if leaf.dtype == float else np.zeros((*leaf.shape, LANES))
        return numbers.astype(leaf.dtype)

    return jax.tree.map(draw, state)


def compared(function: Callable[..., Any], method: Any, name: str) -> tuple[Any, Any]:
    problem = instance(name).problem
    method = method.resolved(problem)
    begin = any_states(problem, method)
    keys = jax.vmap(jax.random.key)(jnp.arange(LANES))
    if function is start_and_round:
        begin = begin.x
    return both_ways(function, (problem, method), jnp.array([0.02, 0.1, 0.3]), begin, keys)


@pytest.mark.parametrize("method", EXAMPLES.values(), ids=EXAMPLES)
def test_methods_take_the_steps_of_single_runs(method):
    # matrix products of another shape are summed in another order
    assert_close(*compared(one_round, method, "logistic-l2"), rtol=1e-12)


@pytest.mark.parametrize("name", ["dense", "diagonal", "squares-unequal", "network", "single-worker"])
def test_so_they_do_from_the_start_on_other_problems(name):
    assert_close(*compared(start_and_round, EF21(TopK(2)), name), rtol=1e-12)


def test_a_step_is_seen_and_differs_from_run_to_run():
    problem, method = instance("logistic-l2").problem, EXAMPLES["ef21"]
    before, (after, _) = any_states(problem, method).x, compared(one_round, method, "logistic-l2")
    moved = after.x - before
    assert np.all(np.max(np.abs(moved), axis=0) > 1e-3)
    with pytest.raises(AssertionError):
        assert_close(after, after._replace(x=after.x[:, ::-1]), rtol=1e-12)


def test_the_draws_are_those_of_single_runs_bit_for_bit():
    # the messages of DCGD on a problem with constant gradients are draws times these
    def drawn(shared: None, key: Array) -> Array:
        return RandK(2).compress_rows(key, jnp.ones((WORKERS, DIM)))

    keys = jax.vmap(jax.random.key)(jnp.arange(LANES))
    found, expected = jax.jit(lambda keys: (over_lanes(drawn, None, keys), vmapped(drawn, None, keys)))(keys)
    assert_close(found, expected)
    assert np.any(found[..., 0] != found[..., 1])  # and runs differ


@pytest.mark.parametrize("k", [1, 2, 5])
def test_selections_are_those_of_single_runs_bit_for_bit(k):
    # ties, signed zeros and denormals: which entries are kept depends on bit patterns
    rng = np.random.default_rng(2)
    values = rng.choice([0.0, -0.0, 5e-324, 1.0, -1.0, 2.0], (WORKERS, DIM, LANES))

    def kept(k: Array, rows: Array) -> Array:
        return TopK(k).compress_rows(jax.random.key(0), rows)

    found, expected = jax.jit(lambda k, x: (over_lanes(kept, k, x), vmapped(kept, k, x)))(k, values)
    assert_close(found, expected)


# --- operations -----------------------------------------------------------------------------------------

Case = tuple[Callable[..., Any], tuple[Any, ...]]  # a function of one run, and what it may be given


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + sum(shape)).uniform(0.1, 0.9, shape)


def whole(*shape: int, dtype: Any = np.int32) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(1, 9, shape).astype(dtype)


def flags(*shape: int) -> np.ndarray:
    return numbers(*shape) < 0.5


def of_lanes(array: np.ndarray) -> np.ndarray:
    """Other values in every run: [...] -> [..., S]."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.vmap(lambda run: jax.random.fold_in(array, run))(jnp.arange(LANES))
    if array.dtype == bool:
        return np.stack([array ^ (run % 2 == 1) for run in range(LANES)], axis=-1)
    if array.dtype.kind in "iu":
        return np.stack([array + array.dtype.type(run) for run in range(LANES)], axis=-1)
    return np.stack([array * 0.9**run for run in range(LANES)], axis=-1)


def mixes(arguments: Sequence[Any]) -> Iterator[tuple[bool, ...]]:
    """Every choice of arguments that differ from run to run, at least one."""
    for number in range(1, 2 ** len(arguments)):
        yield tuple(bool(number >> place & 1) for place in range(len(arguments)))


def put_together(mix: tuple[bool, ...], shared: Sequence[Any], of_run: Sequence[Any]) -> list[Any]:
    shared, of_run = iter(shared), iter(of_run)
    return [next(of_run if varies else shared) for varies in mix]


def alone(function: Callable[..., Any], arguments: Sequence[Any]) -> Callable[[tuple[bool, ...]], Any]:
    """What the function gives run by run, for any mix."""
    one_run = jax.jit(function)

    def expected(mix: tuple[bool, ...]) -> Any:
        values = [of_lanes(value) if varies else value for value, varies in zip(arguments, mix, strict=True)]
        rows = [
            one_run(*(value[..., run] if varies else value for value, varies in zip(values, mix, strict=True)))
            for run in range(LANES)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=-1), *rows)

    return expected


def together(function: Callable[..., Any], arguments: Sequence[Any]) -> dict[tuple[bool, ...], Any]:
    """What over_lanes gives for every mix, by one program, because many small ones take longer to compile."""

    def of_mix(mix: tuple[bool, ...], arguments: Sequence[Any], of_runs: Sequence[Any]) -> Any:
        shared = tuple(value for value, varies in zip(arguments, mix, strict=True) if not varies)
        of_run = tuple(value for value, varies in zip(of_runs, mix, strict=True) if varies)
        return over_lanes(lambda shared, *of_run: function(*put_together(mix, shared, of_run)), shared, *of_run)

    @jax.jit
    def of_mixes(arguments: Sequence[Any], of_runs: Sequence[Any]) -> dict[str, Any]:
        return {name(mix): of_mix(mix, arguments, of_runs) for mix in mixes(arguments)}

    found = of_mixes(tuple(arguments), tuple(of_lanes(value) for value in arguments))
    return {mix: found[name(mix)] for mix in mixes(arguments)}


def name(mix: tuple[bool, ...]) -> str:
    """One letter an argument: shared or of every run."""
    return "".join("r" if varies else "s" for varies in mix)


def check(function: Callable[..., Any], arguments: Sequence[Any], rtol: float) -> None:
    expected = alone(function, arguments)
    for mix, found in together(function, arguments).items():
        assert_close(found, expected(mix), rtol)


def checks(cases: dict[str, Case]) -> Any:
    """A test for every case."""
    return pytest.mark.parametrize(("function", "arguments"), cases.values(), ids=cases)


def both(*functions: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Many operations in one program, which compiles faster."""
    return lambda *values: [function(*values) for function in functions]


# fmt: off
UNARY = (
    lax.abs, lax.cbrt, lax.ceil, lax.cos, lax.cosh, lax.erf, lax.erf_inv, lax.exp, lax.exp2, lax.expm1, lax.floor,
    lax.is_finite, lax.log, lax.log1p, lax.logistic, lax.neg, lax.round, lax.rsqrt, lax.sign, lax.sin, lax.sinh,
    lax.sqrt, lax.square, lax.tan, lax.tanh, lax.stop_gradient, jnp.copy, lambda x: lax.integer_pow(x, 3),
    lambda x: lax.convert_element_type(x, jnp.float32), lambda x: lax.bitcast_convert_type(x, jnp.int64),
)
BINARY = (
    lax.add, lax.sub, lax.mul, lax.div, lax.max, lax.min, lax.pow, lax.rem, lax.atan2, lax.nextafter, lax.eq, lax.ne,
    lax.lt, lax.le, lax.gt, lax.ge,
)
INTEGERS = (
    lax.bitwise_and, lax.bitwise_or, lax.bitwise_xor, lax.shift_left, lax.shift_right_arithmetic,
    lax.shift_right_logical, lambda a, b: (lax.bitwise_not(a), lax.clz(b), lax.population_count(a)), lax.rem, lax.div,
    lax.max, lax.add,
)
# fmt: on


def sum_of_gradients(x: Array) -> Array:
    """With add_any, which only differentiation makes."""
    return jax.grad(lambda x: jnp.sum(jnp.sin(x) * jnp.cos(x) + x * x))(x)


ELEMENTWISE: dict[str, Case] = {
    "unary": (both(*UNARY), (numbers(4, 2),)),
    "binary": (both(*BINARY), (numbers(4, 2), numbers(2, 4).T)),
    "binary of scalars": (both(*BINARY), (numbers(), numbers() / 2)),
    "integers": (both(*INTEGERS), (whole(4), whole(4)[::-1].copy())),
    "logical": (both(jnp.logical_and, jnp.logical_or, jnp.logical_xor), (flags(5), flags(1, 5)[0])),
    "scalar and array": (lambda a, x: (a * x, x - a, x < a, jnp.where(x > a, a, x)), (numbers(), numbers(3, 2))),
    "select": (lambda p, x, y: lax.select_n(p, x, y), (flags(4), numbers(4), numbers(4, 1)[:, 0])),
    "select by a scalar": (lambda p, x, y: lax.select_n(p, x, y), (flags(), numbers(4), numbers(4, 1)[:, 0])),
    "select of three": (lambda p, x: lax.select_n(p, x, 2 * x, 3 * x), (whole(4) % 3 - 1 + 1, numbers(4))),
    "clamp": (lax.clamp, (numbers(3) / 2, numbers(3), numbers(3) + 0.2)),
    "clamp by scalars": (lax.clamp, (np.asarray(0.4), numbers(3, 2), np.asarray(0.6))),
    "gradient": (sum_of_gradients, (numbers(4),)),
}


@checks(ELEMENTWISE)
def test_elementwise_operations(function, arguments):
    check(function, arguments, rtol=1e-14)  # vectors and remainders of vectors use other polynomials


ALONG_AXES: dict[str, Case] = {
    "reductions": (
        lambda x: [
            reduce(x, axis=axis)
            for reduce in (jnp.max, jnp.min, jnp.argmax, jnp.argmin, jnp.sum, jnp.prod, jnp.mean)
            for axis in (0, 1, -1)
        ],
        (numbers(2, 3, 4),),
    ),
    "of all axes": (lambda x: [jnp.sum(x), jnp.max(x), jnp.argmax(x), jnp.sum(x, (0, 2))], (numbers(2, 3, 4),)),
    "with axes kept": (lambda x: jnp.sum(x, axis=-1, keepdims=True) + jnp.zeros(3)[None], (numbers(2, 3),)),
    "logical": (lambda p: [jnp.any(p, 0), jnp.all(p, -1), jnp.any(p), jnp.sum(p, -1)], (flags(3, 4),)),
    "of integers": (lambda x: [jnp.sum(x, 0), jnp.max(x, -1), jnp.sum(x, dtype=jnp.int32)], (whole(3, 4),)),
    "bitwise": (lambda x: lax.reduce(x, np.int32(0), lax.bitwise_xor, (0,)), (whole(3, 4),)),
    "cumulative": (
        lambda x: [
            cumulate(x, axis, reverse)
            for cumulate in (lax.cumsum, lax.cumprod, lax.cummax, lax.cummin)
            for axis, reverse in ((0, False), (1, True))
        ],
        (numbers(3, 4),),
    ),
    "sort": (lambda x: [jnp.sort(x, axis=0), jnp.sort(x, axis=-1), jnp.argsort(x)], (numbers(3, 4),)),
    "sort by keys": (lambda k, x: lax.sort((k, x), dimension=0, num_keys=1), (whole(5) % 3, numbers(5))),
    "reverse": (lambda x: [x[::-1], x[:, ::-1], lax.rev(x, (0, 1))], (numbers(3, 4),)),
    "squeeze": (lambda x: [jnp.squeeze(x, 0), jnp.squeeze(x, 2), jnp.squeeze(x)], (numbers(1, 3, 1),)),
    "concatenate": (
        lambda x, y, z: [jnp.concatenate([x, y, x]), jnp.concatenate([x, z, z], axis=1)],
        (numbers(2, 3), numbers(1, 3), numbers(2, 2)),
    ),
    "stack": (
        lambda x, y: [jnp.stack([x, y]), jnp.stack([x, y], -1), jnp.stack([x[0], y[1]])],
        (numbers(3), numbers(3) + 1),
    ),
}


@checks(ALONG_AXES)
def test_operations_along_axes(function, arguments):
    check(function, arguments, rtol=1e-14)


SHAPES: dict[str, Case] = {
    "broadcast": (
        lambda x: [jnp.broadcast_to(x, (4, 3)), x[:, None] + jnp.zeros((3, 2)), jnp.broadcast_to(x[None], (2, 3))],
        (numbers(3),),
    ),
    "broadcast of a scalar": (lambda x: [jnp.full((2, 3), x), jnp.full((), x)], (numbers(),)),
    "broadcast in the middle": (lambda x: lax.broadcast_in_dim(x, (2, 5, 3), (0, 2)), (numbers(2, 3),)),
    "expanded": (lambda x: [x[None], x[:, None], x[..., None]], (numbers(2, 3),)),
    "reshape": (
        lambda x: [x.reshape(6), x.reshape(3, 2), x.reshape(1, 2, 3, 1), x.ravel()[:1].reshape(())],
        (numbers(2, 3),),
    ),
    "transpose": (lambda x: [x.T, jnp.transpose(x, (1, 0, 2)), jnp.moveaxis(x, 0, -1)], (numbers(2, 3, 4),)),
    "slice": (lambda x: [x[1:], x[:, 1:5:2], x[::2, 3], x[-1]], (numbers(4, 6),)),
    "bits of half the width": (lambda x: lax.bitcast_convert_type(x, jnp.uint32), (numbers(3),)),
}


@checks(SHAPES)
def test_operations_on_shapes(function, arguments):
    check(function, arguments, rtol=0.0)


def contraction(subscripts: str) -> Callable[[Array, Array], Array]:
    return lambda a, b: jnp.einsum(subscripts, a, b)


def direct(numbers: Any, **options: Any) -> Callable[[Array, Array], Array]:
    return lambda a, b: lax.dot_general(a, b, numbers, **options)


PRODUCTS: dict[str, Case] = {
    "matrix and vector": (contraction("ij,j->i"), (numbers(3, 4), numbers(4))),
    "vector and matrix": (contraction("j,jk->k"), (numbers(4), numbers(4, 3))),
    "two vectors": (contraction("j,j->"), (numbers(4), numbers(4) + 1)),
    "two matrices": (contraction("ij,jk->ik"), (numbers(3, 4), numbers(4, 2))),
    "outer product": (contraction("i,j->ij"), (numbers(3), numbers(4))),
    "scalar factor": (contraction("ij,->ij"), (numbers(3, 4), numbers())),
    "all entries": (contraction("ij,ij->"), (numbers(3, 4), numbers(3, 4) + 1)),
    "all entries, transposed": (contraction("ij,ji->"), (numbers(3, 4), numbers(4, 3))),
    "by worker": (contraction("imj,ij->im"), (numbers(2, 3, 4), numbers(2, 4))),
    "by worker, back": (contraction("imj,im->ij"), (numbers(2, 3, 4), numbers(2, 3))),
    "vectors by worker": (contraction("ij,ij->i"), (numbers(2, 4), numbers(2, 4) + 1)),
    "predictions": (contraction("imj,j->im"), (numbers(2, 3, 4), numbers(4))),
    "many free axes": (contraction("aibj,jck->aibck"), (numbers(2, 1, 3, 4), numbers(4, 2, 3))),
    "matrices by worker": (contraction("aij,ajk->aik"), (numbers(2, 3, 4), numbers(2, 4, 3))),
    "batch in the middle": (contraction("iaj,ja->ai"), (numbers(3, 2, 4), numbers(4, 2))),
    "two batches": (contraction("abij,bajk->abik"), (numbers(2, 3, 1, 4), numbers(3, 2, 4, 2))),
    "batch behind": (direct((((0,), (0,)), ((1,), (1,)))), (numbers(4, 2), numbers(4, 2) + 1)),
    "contraction of two axes in another order": (
        direct((((0, 2), (1, 0)), ((), ()))),
        (numbers(3, 2, 4), numbers(4, 3)),
    ),
    "batches in another order": (direct((((), ()), ((1, 0), (1, 0)))), (numbers(2, 3), numbers(2, 3) + 1)),
    "batches exchanged": (direct((((), ()), ((0, 1), (1, 0)))), (numbers(2, 3), numbers(3, 2))),
    "whole numbers": (contraction("ij,j->i"), (whole(3, 4), whole(4))),
    "vectors of whole numbers": (contraction("j,j->"), (whole(4), whole(4) + 1)),
    "a wider result": (
        direct((((0,), (0,)), ((), ())), preferred_element_type=jnp.float64),
        (numbers(4).astype(np.float32), numbers(4).astype(np.float32)),
    ),
    "matrices of a wider result": (
        direct((((1,), (0,)), ((), ())), preferred_element_type=jnp.float64),
        (numbers(2, 4).astype(np.float32), numbers(4, 3).astype(np.float32)),
    ),
}


@checks(PRODUCTS)
def test_products(function, arguments):
    check(function, arguments, rtol=1e-14)


@jax.custom_jvp
def doubled(x: Array) -> Array:
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 3 * tangents[0]))


@jax.custom_vjp
def tripled(x: Array) -> Array:
    return 3 * x


tripled.defvjp(lambda x: (tripled(x), None), lambda _, g: (4 * g,))


def counted(limit: Array, x: Array) -> tuple[Array, Array]:
    """How often x is halved: each run as often as its own limit says."""
    return lax.while_loop(lambda carry: carry[0] < limit, lambda carry: (carry[0] + 1, carry[1] / 2), (0, x))


def partly(limit: Array, x: Array, y: Array) -> Any:
    """A loop that carries what becomes different from run to run only in its second round."""
    return lax.fori_loop(0, limit, lambda i, carry: (carry[1], carry[2] + i, x * 1.0, carry[3]), (y, y, y, y))


def until_small(x: Array) -> Array:
    return lax.while_loop(lambda value: value > 0.1, lambda value: value * value, x)


def random_walk(key: Array, steps: Array) -> tuple[Array, Array]:
    def turn(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        key, position = carry
        key, own = jax.random.split(key)
        return key, position + jax.random.uniform(own, (2,))

    key, position = lax.fori_loop(0, steps, turn, (key, jnp.zeros(2)))
    return jax.random.key_data(key), position


CONTROL: dict[str, Case] = {
    "cond": (
        lambda p, x, y: lax.cond(p, lambda x, y: (x + y[0], y), lambda x, y: (x * 2, y * y), x, y),
        (flags(), numbers(2, 3), numbers(3)),
    ),
    "cond of what is the same": (lambda p, x: (lax.cond(p, lambda: 1.0, lambda: 2.0), x), (flags(), numbers(2))),
    "switch": (
        lambda i, x: lax.switch(i - 1, [lambda x: x, jnp.sin, lambda x: jnp.zeros(3)], x),
        (np.asarray(1, np.int32), numbers(3)),
    ),
    "switch out of range": (
        lambda i, x: lax.switch(i, [lambda x: x, jnp.sin], x),
        (np.asarray(-1, np.int32), numbers(3)),
    ),
    "cond in a cond": (
        lambda p, q, x: lax.cond(p, lambda x: lax.cond(q, jnp.sin, jnp.cos, x), lambda x: -x, x),
        (flags(), ~flags(), numbers(3)),
    ),
    "while": (counted, (np.asarray(2), numbers(3))),
    "while until small": (until_small, (numbers(),)),
    "while in a vmap": (jax.vmap(until_small), (numbers(5),)),
    "while in a vmap with a constant": (
        lambda a, x: jax.vmap(lambda a, x: counted(a, x), in_axes=(0, None))(a, x),
        (whole(3), numbers(2)),
    ),
    "while in two vmaps": (jax.vmap(jax.vmap(until_small)), (numbers(3, 2),)),
    "while in a vmap, with lanes in the body only": (
        lambda a, x: jax.vmap(counted, in_axes=(0, 0))(a, x),
        (whole(3), numbers(3, 2)),
    ),
    "fori": (lambda n, x: lax.fori_loop(0, n, lambda i, x: x * 0.9 + i, x), (np.asarray(3), numbers(2))),
    "fori of a fixed length": (lambda x, y: lax.fori_loop(0, 3, lambda i, x: x * y + i, x), (numbers(2), numbers(2))),
    "loop that mixes what it carries": (partly, (np.asarray(3), numbers(2), numbers(2))),
    "no round at all": (counted, (np.asarray(-5), numbers(3))),
    "while in a cond": (
        lambda p, n, x: lax.cond(p, lambda n, x: counted(n, x)[1], lambda n, x: x, n, x),
        (flags(), np.asarray(2), numbers(3)),
    ),
    "cond in a while": (
        lambda n, x: lax.fori_loop(0, n, lambda i, x: lax.cond(i % 2 == 0, jnp.sin, lambda x: x + 1, x), x),
        (np.asarray(3), numbers(2)),
    ),
    "scan": (lambda x, y: lax.scan(lambda c, row: (c + row, c * row), y, x), (numbers(4, 2), numbers(2))),
    "custom_jvp": (doubled, (numbers(3),)),
    "custom_vjp": (tripled, (numbers(3),)),
    "its derivative": (
        both(jax.grad(lambda x: jnp.sum(doubled(x))), jax.grad(lambda x: jnp.sum(tripled(x)))),
        (numbers(3),),
    ),
    "jit": (jax.jit(lambda x, y: (x @ y, jnp.sum(x))), (numbers(3), numbers(3) + 1)),
    "jit in a jit": (jax.jit(lambda x, y: jax.jit(jnp.add)(x, y) * 2), (numbers(3), numbers(3) + 1)),
    "checkpoint": (jax.checkpoint(lambda x, y: jnp.sin(x) * y), (numbers(3), numbers(3) + 1)),
}


@checks(CONTROL)
def test_programs_within_the_program(function, arguments):
    check(function, arguments, rtol=1e-14)


KEY = jax.random.key(3)
WITHOUT_RULE: dict[str, Case] = {
    "fold_in": (lambda k, i: jax.random.key_data(jax.random.fold_in(k, i)), (KEY, np.asarray(2, np.uint32))),
    "keys come out": (lambda k: jax.random.split(k, 2), (KEY,)),
    "keys chosen": (lambda p, k: jnp.where(p, k, jax.random.split(k)[1]), (flags(), KEY)),
    "split and uniform": (lambda k: jax.vmap(jax.random.uniform)(jax.random.split(k, 4)), (KEY,)),
    "normal": (lambda k: jax.random.normal(k, (3,)), (KEY,)),
    "permutation": (lambda k: jax.random.permutation(k, 5), (KEY,)),
    "draws in a loop": (random_walk, (KEY, np.asarray(2))),
    "gather": (lambda x, i: [x[i], x[:, 1], jnp.take(x, i, axis=1)], (numbers(4, 5), whole(3) % 2)),
    "scatter": (lambda x, i, y: x.at[i].add(y), (numbers(9), whole(3) % 5, numbers(3))),
    "dynamic_slice": (
        lambda x, i: lax.dynamic_slice(x, (i, i), (2, 3)),
        (numbers(5, 3), np.asarray(1, np.int32)),
    ),
    "dynamic_update_slice": (
        lambda x, y, i: lax.dynamic_update_slice(x, y, (i,)),
        (numbers(5), numbers(2), np.asarray(1, np.int32)),
    ),
    "top_k": (lambda x: lax.top_k(x, 2), (numbers(3, 5),)),
    "pad": (lambda x, y: lax.pad(x, y, ((1, 0, 0), (0, 2, 1))), (numbers(2, 3), numbers())),
    "eigh": (lambda x: jnp.linalg.eigvalsh(x + x.T), (numbers(3, 3),)),
    "iota": (lambda x: jnp.arange(3) * x, (numbers(),)),
    "split": (lambda x: jnp.split(x, 2), (numbers(4, 3),)),
}


@checks(WITHOUT_RULE)
def test_operations_without_a_rule(function, arguments):
    check(function, arguments, rtol=1e-13)


CONSTANT = jnp.arange(3.0)
RESULTS: dict[str, Case] = {
    "what does not depend on the run": (lambda x, y: (jnp.zeros(2), CONSTANT, 1.0, True, y), (numbers(3), numbers())),
    "a shared value as it is": (lambda x, y: {"x": x, "y": [y, (y, x)], "none": None}, (numbers(3), numbers(2))),
    "unused": (lambda x, y: y, (numbers(3), numbers(2))),
    "types": (lambda i, p, x: (i + 1, ~p, x.astype(jnp.float32), p * i), (whole(3), flags(3), numbers(3))),
    "a closed-over array": (lambda x: CONSTANT * x, (numbers(3),)),
}


@checks(RESULTS)
def test_results(function, arguments):
    check(function, arguments, rtol=0.0)


def test_pytrees_go_in_and_come_out():
    def function(shared: dict[str, Any], first: dict[str, Any], second: tuple[Any, ...]) -> Any:
        return {"sum": shared["a"] + first["x"], "rest": (second[0], first["y"], shared["b"])}

    shared = {"a": jnp.arange(2.0), "b": 3.0}
    of_runs = ({"x": numbers(2, LANES), "y": whole(LANES)}, (flags(LANES), None))
    found = over_lanes(function, shared, *of_runs)
    np.testing.assert_array_equal(found["sum"], np.arange(2.0)[:, None] + of_runs[0]["x"])
    assert found["rest"][2].tolist() == [3.0] * LANES
    assert_close(found, vmapped(function, shared, *of_runs))


@pytest.mark.parametrize("runs", [1, 5])
def test_any_number_of_lanes(runs):
    # of one lane, of as many as there are workers or samples: no rule may tell an axis by its length
    points = jnp.asarray(numbers(DIM, runs))
    problem = instance("logistic-l2").problem
    gradients = jax.jit(partial(over_lanes, lambda problem, x: problem.worker_gradients(x)))(problem, points)
    expected = [problem.worker_gradients(x) for x in points.T]
    np.testing.assert_allclose(gradients, np.stack(expected, axis=-1), rtol=1e-12, atol=1e-14)


# --- controls -------------------------------------------------------------------------------------------

FAMILIES = (ELEMENTWISE, ALONG_AXES, SHAPES, PRODUCTS, CONTROL, WITHOUT_RULE, RESULTS)


def equations(program: Any) -> Iterator[Any]:
    """All operations of a jaxpr, with those of the programs in it."""
    for equation in program.eqns:
        yield equation
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: isinstance(v, core.Jaxpr | core.ClosedJaxpr)
        ):
            if isinstance(value, core.Jaxpr | core.ClosedJaxpr):
                yield from equations(getattr(value, "jaxpr", value))


def test_every_rule_is_tested():
    """And names an operation that JAX has: a misspelt one would never be used."""
    used: set[str] = set()
    for function, arguments in (case for family in FAMILIES for case in family.values()):
        used |= {equation.primitive.name for equation in equations(jax.make_jaxpr(function)(*arguments).jaxpr)}
    assert set(RULES) - used == {"closed_call"}  # that one is made by transformations of loops alone


def test_a_wrong_rule_is_seen(monkeypatch):
    correct = RULES["reduce_sum"]

    def wrong(*given: Any) -> list[lanes.Value]:
        return [lanes.Value(value.array[..., ::-1], True) for value in correct(*given)]

    monkeypatch.setitem(RULES, "reduce_sum", wrong)
    with pytest.raises(AssertionError):
        check(lambda x: jnp.sum(x * 1.0), (numbers(7),), rtol=1e-6)


def test_one_that_gives_another_type_is_seen(monkeypatch):
    monkeypatch.setitem(
        RULES, "sin", lambda *given: [lanes.Value(lanes._by_vmap(*given)[0].array.astype(jnp.float32), True)]
    )
    with pytest.raises(AssertionError):
        check(lambda x: jnp.sin(x), (numbers(7),), rtol=1e-6)


# --- the promise: lanes stay last -----------------------------------------------------------------------


def large_transposes(function: Callable[..., Any], *arguments: Any) -> int:
    """How many operations of the traced function move axes of arrays as large as the states of all runs."""
    found = equations(jax.make_jaxpr(function)(*arguments).jaxpr)
    return sum(
        equation.primitive.name == "transpose" and equation.invars[0].aval.size >= WORKERS * DIM * LANES
        for equation in found
    )


def test_nothing_large_is_transposed_in_the_inner_loop(monkeypatch):
    seen: list[int] = []

    def spy(compiled_in: Any, *arguments: Any) -> Any:
        seen.append(large_transposes(partial(program.advance.__wrapped__, compiled_in), *arguments))
        raise StopIteration

    monkeypatch.setattr(engine, "advance", spy)
    with pytest.raises(StopIteration):
        simulate(instance("logistic-l2").problem, EF21(TopK(2)), stepsize=[0.1, 0.2, 0.3], rounds=3)
    assert seen == [0]


def test_that_would_be_seen():
    # the same through vmap, whose products of shared and per-run factors put the runs elsewhere
    problem, states = instance("logistic-l2").problem, jnp.asarray(numbers(WORKERS, SAMPLES, LANES))
    pull = lambda problem, slopes: problem.shards.average_pull(slopes)  # noqa: E731
    assert large_transposes(partial(vmapped, pull), problem, states) > 0
    assert large_transposes(partial(over_lanes, pull), problem, states) == 0
    assert (
        large_transposes(lambda x: lax.fori_loop(0, 2, lambda _, y: y.T.T, x), jnp.zeros((WORKERS * DIM, LANES))) == 2
    )
