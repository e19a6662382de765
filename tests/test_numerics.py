"""The numbers of runs are those of this numerical version: resumed sweeps rely on it.

`python tests/test_numerics.py` writes the table anew, for a new NUMERICAL_VERSION.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from instances import instance
from method_examples import method_examples

from simulator import NUMERICAL_VERSION, RandK, simulate

TABLE = Path(__file__).with_name("numerics.json")
METHODS = method_examples(RandK(2), RandK(2, scaled=True))
# A change of a formula or of the random draws shows in the first digits, another order of summation in the last ones.
ROUNDING = 1e-9


def numbers(kind: str) -> list[float]:
    """|grad f|^2 of a method after 20 rounds, for two stepsizes."""
    problem = instance("squares").problem
    trace = simulate(problem, METHODS[kind], stepsize=[0.01, 0.03], seed=7, rounds=20, record_every=20, theorems=())
    return trace.grad_norm_sq[:, -1].tolist()


@pytest.mark.parametrize("kind", METHODS)
def test_numbers_are_those_of_the_numerical_version(kind):
    table = json.loads(TABLE.read_text())
    told = "if this is meant, raise simulator.NUMERICAL_VERSION and run `python tests/test_numerics.py`"
    assert table["version"] == NUMERICAL_VERSION, told
    np.testing.assert_allclose(numbers(kind), table["numbers"][kind], rtol=ROUNDING, err_msg=told)


def test_the_table_can_tell():
    table = json.loads(TABLE.read_text())["numbers"]
    assert set(table) == set(METHODS) and all(np.isfinite(values).all() for values in table.values())
    assert not np.allclose(table["ef21"], table["ef14"], rtol=1e3 * ROUNDING)


if __name__ == "__main__":
    found = {"version": NUMERICAL_VERSION, "numbers": {kind: numbers(kind) for kind in METHODS}}
    TABLE.write_text(json.dumps(found, indent=2) + "\n")
