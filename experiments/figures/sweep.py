"""A sweep as figures see it: which runs belong together, what they are called, how they look."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from experiments.columns import column, differs, named
from experiments.figures.style import COLORS, MARKERS
from experiments.results import Results
from experiments.words import said, stepsize_text, typeset, wrapped
from problems.registry import registered
from simulator import GradientCoding, Method, Theorem

__all__ = ["Look", "Sweep", "Table", "applicable", "method_of", "own_stationarity", "problem_items", "title"]

MOST_PANELS = 9  # a figure
CROWD = 14  # variants; more than these are told apart by groups, not one by one
Table = Any  # a pandas DataFrame; its type stubs do not know what a mask selects


class Look(NamedTuple):
    """How the runs of one variant are drawn and called."""

    label: str
    color: str
    marker: str
    group: str  # what it has in common with others of its colour, in a crowd; else ""


@dataclass(frozen=True)
class Sweep:
    """Results, with the runs numbered by problem (its panel) and by variant (all but problem and seed)."""

    results: Results

    @cached_property
    def runs(self) -> Table:
        """A row a run, with `panel` and `variant`, from 0 in order of appearance, and `stepsize_text` added."""
        runs = self.results.runs
        runs = runs.assign(
            heterogeneity=runs.L_QM / runs.L_AM,
            stepsize_text=list(map(stepsize_text, runs.rule, runs.multiple, runs.stepsize)),
            target_round=pd.to_numeric(runs.target_round),
            diverged_round=pd.to_numeric(runs.diverged_round),
        )
        return runs.assign(
            panel=numbered(runs, named(runs, "problem.")),
            variant=numbered(runs, [*named(runs, "method."), "stepsize_text"]),
            method=numbered(runs, named(runs, "method.")),
        )

    @cached_property
    def traces(self) -> dict[str, pd.DataFrame]:
        """The recorded rounds of every run, by its id."""
        return {str(run): trace for run, trace in self.results.traces.groupby("run")}

    @cached_property
    def trace_names(self) -> list[str]:
        """The columns of the traces."""
        return list(next(iter(self.traces.values())))

    @cached_property
    def looks(self) -> list[Look]:
        """The look of every variant."""
        runs = self.runs
        factors = [name for name in named(runs, "method.") if differs(runs, name, "method.kind")]
        factors += ["stepsize_text"] * (runs.stepsize_text.nunique() > 1)
        variants = runs.drop_duplicates("variant")
        labels = [", ".join(said(row, factors)) or "all runs" for _, row in variants.iterrows()]
        if len(variants) > CROWD:
            groups = _groups(variants, factors)
            colors = [COLORS[number] for number in pd.factorize(pd.Series(groups))[0]]
            return [Look(*each) for each in zip(labels, colors, [""] * len(labels), groups, strict=True)]
        styles = _styles(list(variants.method), list(pd.factorize(variants.stepsize_text)[0]))
        return [Look(label, *style, group="") for label, style in zip(labels, styles, strict=True)]

    @property
    def crowded(self) -> bool:
        """Whether there are too many variants to tell every one by its look."""
        return len(self.looks) > CROWD

    @property
    def pages(self) -> list[list[int]]:
        """The panels, in figures of at most MOST_PANELS."""
        count = int(self.runs.panel.max()) + 1
        return [list(range(count))[start : start + MOST_PANELS] for start in range(0, count, MOST_PANELS)]

    @property
    def heterogeneity_varies(self) -> bool:
        """Whether L_QM/L_AM differs between problems by more than rounding."""
        return self.runs.heterogeneity.max() > 1.001 * self.runs.heterogeneity.min()

    @property
    def has_clocks(self) -> bool:
        """Whether all methods say how much time has elapsed."""
        return "has_clock" in self.runs and bool(self.runs.has_clock.all())

    @property
    def one_number_varies(self) -> bool:
        """Whether the problems are a family with one parameter, so that a line through them means something."""
        varied = [self.runs[name] for name in named(self.runs, "problem.") if self.runs[name].nunique() > 1]
        return len(varied) == 1 and pd.api.types.is_numeric_dtype(varied[0])


def numbered(runs: Table, columns: list[str]) -> pd.Series:
    """A number for every combination of values, from 0 in order of appearance."""
    return runs[columns].astype(str).groupby(columns, sort=False, dropna=False).ngroup()


def _groups(variants: Table, factors: list[str]) -> list[str]:
    """What to tell the variants of a crowd by: the first factor that there are colours enough for."""
    for factor in (*factors, "rule"):
        if 1 < variants[factor].nunique() <= len(COLORS):
            return [", ".join(said(row, [factor])) or "others" for _, row in variants.iterrows()]
    return [f"{len(variants)} variants"] * len(variants)


def _styles(methods: list[int], stepsizes: list[int]) -> list[tuple[str, str]]:
    """Colour and marker of every variant, given its method's and its stepsize's number.

    While there are colours enough, each variant has its own; then the stepsize has the colour and the method the
    marker, or the other way round, and where neither is enough colours and markers are counted through.
    """
    count = len(methods)
    if count > len(COLORS):
        for color, marker in ((stepsizes, methods), (methods, stepsizes)):
            if max(color) < len(COLORS) and max(marker) < len(MARKERS):
                return [(COLORS[c], MARKERS[m]) for c, m in zip(color, marker, strict=True)]
    return [(COLORS[i % len(COLORS)], MARKERS[i // len(COLORS) % len(MARKERS)]) for i in range(count)]


def problem_items(sweep: Sweep, runs: Table, common: bool) -> list[str]:
    """What all problems of the sweep have in common, or else how the problem of `runs` differs from the others."""
    everything, row = sweep.runs, runs.iloc[0]
    tables = sweep.results.config.raw["problem"]
    given = [f"problem.{name}" for table in (tables if isinstance(tables, list) else [tables]) for name in table]
    measured = ["problem.workers", "problem.dim", "problem.smoothness_ratio"]  # said below, as constants
    names = [name for name in dict.fromkeys(["problem.kind", *given]) if name in everything and name not in measured]
    constants = {
        "n": everything.num_workers,
        "d": everything.dim,
        typeset("L_QM/L_AM"): everything.heterogeneity,
    }
    texts = {name: said(row, [name]) for name in names}
    shared = {name: everything[name].notna().all() and everything[name].nunique() == 1 for name in names}
    chosen = [text for name, text in texts.items() if shared[name] == common]
    chosen += [[f"{name} = {values[row.name]:.4g}"] for name, values in constants.items() if _unequal(values) != common]
    return [text for texts in chosen for text in texts]


def _unequal(values: pd.Series) -> bool:
    return len({f"{value:.4g}" for value in values}) > 1


def title(sweep: Sweep, width: int) -> str:
    """What all runs have in common: method, problem, and what the stepsizes are, in lines of `width` characters."""
    runs = sweep.runs
    row = runs.iloc[0]
    given = {field for table in sweep.results.config.raw["method"] for field in table}
    names = [name for name in named(runs, "method.") if name.split(".")[1] in given]
    method = [text for name in names if not differs(runs, name, "method.kind") for text in said(row, [name])]
    method += [row.stepsize_text] * (runs.stepsize_text.nunique() == 1)
    problem = problem_items(sweep, runs, common=True)
    first = "; ".join(filter(None, [", ".join(method), *problem[:1]]))
    lines = [wrapped([first, *problem[1:]], width)]
    formulas = _stepsize_formulas(runs)
    if 0 < len(formulas) <= 3:
        lines.append(wrapped(["stepsizes: " + formulas[0], *formulas[1:]], width))
    return "\n".join(lines)


def _stepsize_formulas(runs: Table) -> list[str]:
    """The largest stepsizes after which rules are named, e.g. "quadratic-mean = 1 / (L + L_QM ξ)"."""
    found = {}
    for kind, rule in runs[["method.kind", "rule"]].drop_duplicates().itertuples(index=False):
        for theorem in method_of(kind).theorems:
            if theorem.name == rule:
                found[f"{rule} = {typeset(theorem.formula)}"] = None
    return list(found)


def applicable(run: Any) -> list[Theorem]:
    """The theorems that speak of the run."""
    theorems = method_of(run["method.kind"]).theorems
    return [theorem for theorem in theorems if run.get(column(theorem.name, "applies")) == True]  # noqa: E712


def own_stationarity(runs: Table) -> bool:
    """Whether a method of the runs drives something else than |grad f(x)|^2 to zero."""
    names = [name for name in ("method.kind", "method.method") if name in runs]
    usual = Method.stationarity, GradientCoding.stationarity  # which is that of the method within
    return any(method_of(kind).stationarity not in usual for name in names for kind in runs[name].dropna().unique())


def method_of(kind: str) -> type[Method]:
    """The method of that kind."""
    return registered(Method)[kind]
