"""Frozen pytrees: what is data, what is program, and that no two classes are taken for one another."""

from dataclasses import FrozenInstanceError, fields
from itertools import combinations
from typing import Any

import jax
import pytest
from compressor_examples import compressor_examples
from instances import INSTANCES, instance
from method_examples import method_examples

from problems.pytrees import frozen_pytree, static
from problems.registry import registered
from problems.regularizers import Regularizer
from simulator import RandK, TopK


@frozen_pytree
class Apple:
    weight: Any
    sort: str = static(default="cox")


@frozen_pytree
class Pear:
    weight: Any
    sort: str = static(default="cox")


def structure(tree: Any) -> Any:
    return jax.tree.structure(tree)


def test_classes_with_the_same_fields_have_different_structures():
    # It is not enough that hashes differ: where these fall into one bucket, jit compares the structures and
    # may run the program of the other class. In JAX 0.10, structures of `register_dataclass` compare equal.
    assert structure(Apple(1.0)) == structure(Apple(2.0))
    assert structure(Apple(1.0)) != structure(Pear(1.0))
    assert structure([Apple(1.0)]) != structure([Pear(1.0)])


def test_static_fields_are_part_of_the_structure_and_not_leaves():
    assert structure(Apple(1.0, "cox")) != structure(Apple(1.0, "gala"))
    assert jax.tree.leaves(Apple(1.0, "gala")) == [1.0]
    assert jax.tree.map(lambda leaf: 2 * leaf, Apple(1.0, "gala")).sort == "gala"


def test_instances_are_frozen_and_equal_only_to_themselves():
    apple = Apple(1.0)
    with pytest.raises(FrozenInstanceError):
        apple.weight = 2.0
    assert apple == apple and apple != Apple(1.0) and hash(apple) == hash(apple)


def test_structures_tell_all_classes_apart():
    problems = [instance(name).problem for name in INSTANCES]
    methods = method_examples(TopK(2), RandK(2, scaled=True))
    regularizers = [cls(0.1) for cls in registered(Regularizer).values()]
    things = problems + regularizers + compressor_examples() + [*methods.values()]
    # problems and methods are told apart by what they hold, too
    kinds = [[type(thing), *(type(getattr(thing, part.name)) for part in fields(thing))] for thing in things]
    for (thing, kind), (other, other_kind) in combinations(zip(things, kinds, strict=True), 2):
        if kind != other_kind:
            assert structure(thing) != structure(other), f"{kind} and {other_kind} have the same structure"
