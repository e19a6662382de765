"""efsim constants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.commands.options import config_argument, set_option
from experiments.commands.output import Answer, answers

if TYPE_CHECKING:
    from experiments.plan import Case

__all__ = ["constants"]


@click.command()
@config_argument
@set_option
@answers(
    "a list of cases, each with problem, method, constants, rules (theorem, formula, reference, stepsize, obstacle), "
    "remark (why a method without theorems has none)"
)
def constants(config: Path, overrides: tuple[str, ...]) -> Answer:
    """Print n, d, the smoothness constants, mu, alpha and the stepsize of every rule, for every case of CONFIG.

    c and r are printed for sparse problems: a coordinate belongs to c workers at most, a worker uses r at most.
    """
    from experiments.plan import make_cases
    from experiments.run_config import read_config

    cases = [_described(case) for case in make_cases(read_config(config, *overrides))]
    return Answer("\n\n".join(map(_text, cases)) + "\n", cases)


def _described(case: Case) -> dict[str, Any]:
    from experiments.descriptions import silence_text

    c = case.constants
    values = {
        "n": case.problem.num_workers,
        "d": case.problem.dim,
        "L": c.smoothness,
        "L_AM": c.arithmetic_mean,
        "L_QM": c.quadratic_mean,
        "L_var": c.smoothness_variance,
        "L_+": c.mean_squared_smoothness,
        "mu": c.pl_constant,
        "alpha": c.alpha,
        "omega": c.omega,
    }
    if c.sparsity is not None:
        values |= {"c": c.sparsity.spread, "r": c.sparsity.support}
    return {
        "problem": case.pair.problem_spec.flat(),
        "method": case.pair.method_spec.flat(),
        "constants": values | case.resolved,
        "rules": [_rule(case, theorem) for theorem in case.method.theorems],
        "remark": silence_text(type(case.method)),
    }


def _rule(case: Case, theorem: Any) -> dict[str, Any]:
    from experiments.descriptions import stepsize_bound

    obstacle = theorem.obstacle(case.constants)
    return {
        "theorem": theorem.name,
        "formula": stepsize_bound(theorem),
        "reference": theorem.reference,
        "stepsize": None if obstacle else float(theorem.max_stepsize(case.constants)),
        "obstacle": obstacle,
    }


def _text(case: dict[str, Any]) -> str:
    from experiments.tables import number, render_noted, wrapped

    rules = [
        (
            rule["theorem"],
            rule["formula"],
            number(rule["stepsize"], 8),
            f"does not apply: {rule['obstacle']}" if rule["obstacle"] else rule["reference"],
        )
        for rule in case["rules"]
    ]
    lines = [
        wrapped(_one_line(case["problem"]), "", "    "),
        wrapped(_one_line(case["method"]), "", "    "),
        wrapped("  ".join(f"{name} = {number(value, 6)}" for name, value in case["constants"].items()), "", "    "),
        render_noted(("rule", "formula", "stepsize"), rules) if rules else wrapped(case["remark"], "", "    "),
    ]
    return "\n".join(lines)


def _one_line(table: dict[str, Any]) -> str:
    return ", ".join(str(value) if name == "kind" else f"{name} = {value}" for name, value in table.items())
