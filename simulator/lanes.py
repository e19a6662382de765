"""Many runs at once: a function of one run, applied to arrays whose last axis is the run.

`over_lanes` is `jax.vmap` with one promise more: the axis of the runs, the lanes, is last in every intermediate result,
too. vmap moves it to the front wherever an operation mixes runs with what they share, and on a CPU this costs: with the
lanes last, all runs' gradients are one matrix product that needs no transposition, and reductions over workers and
coordinates are sums of contiguous vectors.

The function is traced once, for one run, and its operations are then carried out one by one. There is a rule for the
operations of which the inner loop is made; any other one is given to vmap, which is right everywhere.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

__all__ = ["over_lanes"]


class Value(NamedTuple):
    """An intermediate result: the same for all runs, or with the lanes as its last axis."""

    array: Any
    in_lanes: bool


Rule = Callable[[Any, list[Value], int], list[Value]]  # equation, its inputs, number of lanes -> its outputs


def over_lanes(function: Callable[..., Any], shared: Any, *of_runs: Any) -> Any:
    """function(shared, *of_one_run) of every run.

    Args:
        function: of pytrees of arrays, as it is written for one run; it sees the leaves of `of_runs` without their
            last axis.
        shared: what the runs have in common, handed over as it is.
        of_runs: pytrees whose leaves have the lanes last, [..., S].

    Returns:
        The result, with leaves [..., S].
    """
    flat, tree = jax.tree.flatten(of_runs)
    lanes = flat[0].shape[-1]
    one_run = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(leaf.shape[:-1], leaf.dtype) for leaf in flat])
    program, shape = jax.make_jaxpr(function, return_shape=True)(shared, *one_run)
    values = [*(Value(leaf, False) for leaf in jax.tree.leaves(shared)), *(Value(leaf, True) for leaf in flat)]
    results = _run(program, values, lanes)
    return jax.tree.unflatten(jax.tree.structure(shape), [_spread(result, lanes).array for result in results])


def _run(program: Any, inputs: Sequence[Value], lanes: int) -> list[Value]:
    """The outputs of a closed jaxpr."""
    known: dict[Any, Value] = {}

    def read(atom: Any) -> Value:
        return Value(atom.val, False) if isinstance(atom, core.Literal) else known[atom]

    known.update(zip(program.jaxpr.constvars, (Value(const, False) for const in program.consts), strict=True))
    known.update(zip(program.jaxpr.invars, inputs, strict=True))
    for equation in program.jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        if any(value.in_lanes for value in given):
            found = RULES.get(equation.primitive.name, _by_vmap)(equation, given, lanes)
        else:
            found = [Value(array, False) for array in _bind(equation, [value.array for value in given])]
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in program.jaxpr.outvars]


def _bind(equation: Any, arrays: Sequence[Any], **changed: Any) -> list[Any]:
    """The equation's operation on other arrays, with some of its parameters changed."""
    params = equation.primitive.get_bind_params(equation.params)
    found = equation.primitive.bind(*arrays, **{**params, **changed})
    return list(found) if equation.primitive.multiple_results else [found]


def _spread(value: Value, lanes: int) -> Value:
    """The value with lanes, even if all are the same."""
    if value.in_lanes:
        return value
    array = jnp.asarray(value.array)
    return Value(lax.broadcast_in_dim(array, (*array.shape, lanes), tuple(range(array.ndim))), True)


# --- operations ---------------------------------------------------------------------------------------------------


def _by_vmap(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    axes = [-1 if value.in_lanes else None for value in given]
    mapped = jax.vmap(lambda *arrays: _bind(equation, arrays), in_axes=axes, out_axes=-1)
    return [Value(array, True) for array in mapped(*(value.array for value in given))]


def _elementwise(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    """Operations between arrays of one shape, in which an axis may have length 1, and scalars."""
    shape = (*equation.outvars[0].aval.shape, lanes)
    if any(len(atom.aval.shape) not in (0, len(shape) - 1) for atom in equation.invars):  # a bitcast may change it
        return _by_vmap(equation, given, lanes)

    def fitted(value: Value) -> Any:
        array = jnp.asarray(value.array)
        if array.ndim == len(shape):
            return array
        axes = (len(shape) - 1,) if value.in_lanes else tuple(range(array.ndim))
        return lax.broadcast_in_dim(array, shape, axes)

    return [Value(array, True) for array in _bind(equation, [fitted(value) for value in given])]


def _along_axes(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    """Operations along axes that are named from the front: another one at the end changes nothing."""
    return [Value(array, True) for array in _bind(equation, [_spread(value, lanes).array for value in given])]


def _sum(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    """A sum over the first axis, that of the workers in most arrays, is a product with ones.

    XLA's own sum goes through memory in strides as long as all other axes: 250 ms where the product takes 9.
    """
    array = given[0].array
    if equation.params["axes"] != (0,) or array.ndim < 3 or not jnp.issubdtype(array.dtype, jnp.floating):
        return _along_axes(equation, given, lanes)
    ones = jnp.ones(array.shape[0], array.dtype)
    return [Value(lax.dot_general(ones, array, (((0,), (0,)), ((), ())), precision=lax.Precision.HIGHEST), True)]


def _broadcast(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    return [Value(lax.broadcast_in_dim(given[0].array, (*shape, lanes), (*axes, len(shape))), True)]


def _reshape(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    return [Value(lax.reshape(given[0].array, (*equation.params["new_sizes"], lanes)), True)]


def _transpose(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    order = equation.params["permutation"]
    return [Value(lax.transpose(given[0].array, (*order, len(order))), True)]


def _slice(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    start, limit, strides = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    strides = None if strides is None else (*strides, 1)
    return [Value(lax.slice(given[0].array, (*start, 0), (*limit, lanes), strides), True)]


def _product(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    """Matrix products; the one factor that has lanes, if it is only one, is put second, so that they come out last."""
    left, right = given
    if left.in_lanes and right.in_lanes:
        return _product_of_runs(equation, left.array, right.array) or _by_vmap(equation, given, lanes)
    contracted, batched = equation.params["dimension_numbers"]
    if right.in_lanes:
        return [Value(array, True) for array in _bind(equation, [left.array, right.array])]
    swapped = (contracted[::-1], batched[::-1])
    (found,) = _bind(equation, [right.array, left.array], dimension_numbers=swapped)
    common, own = len(batched[0]), left.array.ndim - 1 - len(contracted[0]) - len(batched[0])
    others = found.ndim - 1 - common - own
    # [common, others, own, lanes] -> [common, own, others, lanes]
    order = (
        *range(common),
        *range(common + others, common + others + own),
        *range(common, common + others),
        found.ndim - 1,
    )
    return [Value(lax.transpose(found, order), True)]


def _product_of_runs(equation: Any, left: Array, right: Array) -> list[Value] | None:
    """The product of two factors that differ from run to run, one of which has no axis of its own: sums of products."""
    contracted, batched = equation.params["dimension_numbers"]
    pairs = tuple(zip(chain(batched[0], contracted[0]), chain(batched[1], contracted[1]), strict=True))
    if len(pairs) == right.ndim - 1:
        wide, narrow, places = left, right, {second: first for first, second in pairs}
        summed, kept = contracted[0], batched[0]
    elif len(pairs) == left.ndim - 1:
        wide, narrow, places = right, left, dict(pairs)
        summed, kept = contracted[1], batched[1]
    else:
        return None
    axes = tuple(places[axis] for axis in range(narrow.ndim - 1))
    if axes != tuple(sorted(axes)) or kept != tuple(range(len(kept))):
        return None
    dtype = equation.outvars[0].aval.dtype
    spread = lax.broadcast_in_dim(narrow.astype(dtype), wide.shape, (*axes, wide.ndim - 1))
    return [Value(jnp.sum(wide.astype(dtype) * spread, axis=summed, dtype=dtype), True)]


# --- programs within the program ------------------------------------------------------------------------------------


def _inline(name: str) -> Rule:
    """The rule of an operation that carries out the program in its parameter `name`."""

    def rule(equation: Any, given: list[Value], lanes: int) -> list[Value]:
        return _run(equation.params[name], given, lanes)

    return rule


def _cond(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    index, *operands = given
    branches = equation.params["branches"]
    if index.in_lanes:  # every run may take another branch: all are taken, and each run's result is chosen
        results = [[_spread(value, lanes).array for value in _run(branch, operands, lanes)] for branch in branches]
        which = index.array.astype(jnp.int32)
        return [Value(_chosen(which, arrays), True) for arrays in zip(*results, strict=True)]

    def taken(branch: Any, *arrays: Any) -> list[Any]:
        values = [Value(array, value.in_lanes) for array, value in zip(arrays, operands, strict=True)]
        return [_spread(value, lanes).array for value in _run(branch, values, lanes)]

    found = lax.switch(index.array, [partial(taken, branch) for branch in branches], *(v.array for v in operands))
    return [Value(array, True) for array in found]


def _chosen(which: Array, arrays: Sequence[Array]) -> Array:
    """arrays[which] of every lane, and of every index of the axes that both have. which [b, S], arrays [b, ..., S]."""
    result = arrays[0]
    for number, array in enumerate(arrays[1:], 1):
        axes = (*range(which.ndim - 1), array.ndim - 1)
        result = jnp.where(lax.broadcast_in_dim(which == number, array.shape, axes), array, result)
    return result


def _while(equation: Any, given: list[Value], lanes: int) -> list[Value]:
    """A loop goes on as long as one run does, and changes nothing in those that have ended."""
    of_cond, of_body = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    cond, body = equation.params["cond_jaxpr"], equation.params["body_jaxpr"]
    cond_consts, body_consts, start = given[:of_cond], given[of_cond : of_cond + of_body], given[of_cond + of_body :]
    consts_in_lanes, start_in_lanes = ([value.in_lanes for value in part] for part in (body_consts, start))
    in_lanes = _settled(body, consts_in_lanes, start_in_lanes)
    # an inner vmap makes loops that end at several times, too: their condition is an array
    together = not (cond.out_avals[0].shape or _reached(cond, [value.in_lanes for value in cond_consts] + in_lanes)[0])
    if not together:
        in_lanes = [True] * len(start)

    def values(arrays: Sequence[Any]) -> list[Value]:
        return [Value(array, wanted) for array, wanted in zip(arrays, in_lanes, strict=True)]

    def arrays(values: Sequence[Value]) -> list[Any]:
        fitted = (_spread(value, lanes) if wanted else value for value, wanted in zip(values, in_lanes, strict=True))
        return [value.array for value in fitted]

    def goes_on(carry: list[Any]) -> Array:
        (condition,) = _run(cond, [*cond_consts, *values(carry)], lanes)
        return condition.array if together else _spread(condition, lanes).array

    def turn(carry: list[Any]) -> list[Any]:
        changed = arrays(_run(body, [*body_consts, *values(carry)], lanes))
        if together:
            return changed
        active = goes_on(carry).astype(jnp.int32)
        return [_chosen(active, pair) for pair in zip(carry, changed, strict=True)]

    return values(lax.while_loop(lambda carry: jnp.any(goes_on(carry)), turn, arrays(start)))


def _settled(body: Any, consts: list[bool], start: list[bool]) -> list[bool]:
    """Which of what a loop carries may differ from run to run, given which constants and which of its start do."""
    reached = _reached(body, consts + start)
    wider = [one or other for one, other in zip(start, reached, strict=True)]
    return start if wider == start else _settled(body, consts, wider)


def _reached(program: Any, in_lanes: Sequence[bool]) -> list[bool]:
    """Which outputs of a closed jaxpr may differ from run to run, given which inputs do."""
    differs = dict(zip(program.jaxpr.invars, in_lanes, strict=True))
    for equation in program.jaxpr.eqns:
        affected = any(differs.get(atom, False) for atom in equation.invars if not isinstance(atom, core.Literal))
        differs.update(dict.fromkeys(equation.outvars, affected))
    return [not isinstance(atom, core.Literal) and differs.get(atom, False) for atom in program.jaxpr.outvars]


# fmt: off
ELEMENTWISE = [
    "abs", "add", "add_any", "and", "atan2", "bitcast_convert_type", "cbrt", "ceil", "clamp", "clz",
    "convert_element_type", "copy", "cos", "cosh", "div", "eq", "erf", "erf_inv", "exp", "exp2", "expm1", "floor", "ge",
    "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg",
    "nextafter", "not", "or", "population_count", "pow", "rem", "round", "rsqrt", "select_n", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub",
    "tan", "tanh", "xor",
]
ALONG_AXES = [
    "argmax", "argmin", "concatenate", "cummax", "cummin", "cumprod", "cumsum", "reduce_and", "reduce_max",
    "reduce_min", "reduce_or", "reduce_prod", "rev", "sort", "squeeze", "stack",
]
# fmt: on
RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(ALONG_AXES, _along_axes),
    "reduce_sum": _sum,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "dot_general": _product,
    "jit": _inline("jaxpr"),
    "closed_call": _inline("call_jaxpr"),
    "custom_jvp_call": _inline("call_jaxpr"),
    "custom_vjp_call": _inline("call_jaxpr"),
    "cond": _cond,
    "while": _while,
}
