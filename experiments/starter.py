"""A config to begin with: what `efsim init` writes, commented line by line."""

from textwrap import wrap
from typing import Any

from experiments.descriptions import field_meanings, first_line, toml_text, type_text
from experiments.schema import FILE
from experiments.spec import Parameter, Spec, parameters, spec_of
from experiments.starter_choice import FILL_IN, METHOD, PROBLEM, choose

__all__ = ["starter"]

SEEDS = 24  # enough for bets to show an excess of 100%
WIDTH = 120

REDUCED = """\
# A smaller version of all this: efsim run --reduced, pytest --efsim-reduced. Its keys are those of --set.
[reduced]
rounds = 100
"""


def starter(name: str, problem: str = PROBLEM, method: str = METHOD) -> str:
    """The config as TOML text with comments, for an experiment of this name with a problem and a method of these kinds.

    It runs in seconds, unless a field that must be given is of a sort for which no value is known, which its comment
    says then.

    Raises:
        InvalidInput: there is no such problem or method.
    """
    chosen = choose(problem, method)
    draws = bool(chosen.rules) and not chosen.method.build().deterministic
    parts = [
        _head(name, method, chosen.rules, draws),
        _table("problem", chosen.problem),
        _table("[method]", chosen.method),
        _stepsize(chosen.rules),
        *([_expectation(method, chosen.rules[0])] if chosen.rules else []),
        REDUCED,
    ]
    return "\n".join(parts)


def _head(name: str, method: str, rules: list[str], draws: bool) -> str:
    claim = "behaves as its theorems say at their stepsizes" if rules else "converges, of which no theorem speaks"
    seeds = f"seeds = {list(range(SEEDS))}" if draws else "# seeds = [0, 1, 2, 3]"
    about = "a run for each" if draws else "of methods that draw: a run for each"
    return f"""\
# The claim that this experiment tests, in a sentence: {method} {claim}.
#
# Run and judge it: efsim run {name}.toml; efsim verify results/{name}; efsim plot results/{name}
# What it takes:    efsim run {name}.toml --dry-run
# What it may name: efsim list methods (compressors, problems, theorems, ...)
# In an editor that knows Taplo it is completed and checked after `efsim schema > {FILE}`, if it begins with
#   #:schema ./{FILE}
name = "{name}"  # of the results folder
rounds = 500
record_every = 5  # rounds between two in the traces; theorems are checked at every round
{seeds}  # {about}
target = 1e-4  # the fraction of |grad f(x^0)|^2 to reach
"""


def _table(header: str, spec: Spec) -> str:
    """The table of a choice: what each field means, and those with defaults as comments."""
    meanings = field_meanings(spec.constructor)
    absent = (
        "where it is left out, theory chooses it" if getattr(spec.constructor, "theorems", ()) else "may be left out"
    )
    lines = [_commented(f"[{header}]", first_line(spec.constructor)), f'kind = "{spec.kind}"']
    for parameter in parameters(spec.constructor):
        told = meanings.get(parameter.name) or type_text(parameter.hint)
        lines.append(_field(parameter, spec.parameters.get(parameter.name), told, absent))
    return "\n".join([*lines, ""])


def _field(parameter: Parameter, given: Any, told: str, absent: str) -> str:
    if given is not None:
        wanted = "; this has to be filled in" if given == FILL_IN else ""
        return _commented(f"{parameter.name} = {toml_text(given)}", told + wanted)
    if parameter.default is None:
        return _commented(f"# {parameter.name} = ...", f"{told}; {absent}")
    return _commented(f"# {parameter.name} = {toml_text(spec_of(parameter.default))}", told)


def _commented(line: str, comment: str) -> str:
    """The line with a comment behind it, or above it where that would be too long."""
    whole = f"{line}  # {comment}" if comment else line
    return whole if len(whole) <= WIDTH else "\n".join([*wrap(f"# {comment}", WIDTH, subsequent_indent="# "), line])


def _stepsize(rules: list[str]) -> str:
    if not rules:
        return "stepsize = [0.01, 0.1]  # a number, or { rule = ... } with the name of a theorem\n"
    return f"""\
# Multiples of the largest stepsize of theorems; a number is taken as it is. Beyond it the theorem says nothing.
stepsize = {{ rule = {toml_text(rules)}, multiple = [1, 10] }}
"""


def _expectation(method: str, theorem: str) -> str:
    return f"""\
# Every theorem that speaks of a run is checked anyway; a table [[expect]] states a claim, and pytest makes it a test.
[[expect]]
kind = "verdict"  # or "exponent", "rounds-ratio": see docs/config.md
method = "{method}"
theorem = "{theorem}"
verdict = "holds"
"""
