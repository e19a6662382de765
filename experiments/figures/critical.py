"""Critical stepsizes against heterogeneity: which mean of the smoothness constants do they follow?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from experiments.critical import CONVERGENCE
from experiments.critical_exponents import RATIO, described, varying
from experiments.figures.frame import characters, sheet
from experiments.figures.style import COLORS, DASHED, DOTTED, GREY, figure_style
from experiments.figures.sweep import method_of
from experiments.words import typeset
from problems import InvalidInput

__all__ = ["draw_critical"]

PROFILE = "problem.profile"
PROFILE_LOOKS = (("o", "-", True), ("s", "--", False), ("D", "-.", True))  # marker, line, whether the marker is filled
RULE_LOOKS = (DOTTED, DASHED)
ROW_HEIGHT = 1.5  # inches
Table = Any  # a pandas DataFrame; its type stubs do not know what a mask selects
Style = dict[str, Any]


def draw_critical(table: pd.DataFrame, width: str = "double") -> Figure:
    """Critical stepsize times L against L_QM/L_AM: a column of panels a criterion, a row of panels a kind of problem.

    A colour is a method, a marker a profile; the theorems' own stepsizes are grey. Open triangles stand for bounds:
    upwards where no failure was found above, downwards where the first stepsize of the search failed.

    Raises:
        InvalidInput: more methods or profiles than there are colours or markers.
    """
    rows = described(table, varying(table, "problem.", RATIO, PROFILE), varying(table, "method."))
    rows = rows.assign(profile=rows.get(PROFILE, pd.Series("", rows.index)).fillna(""))
    looks = Looks(rows)
    problems, criteria = list(rows.problem.unique()), list(rows.criterion.unique())
    with figure_style():
        figure = sheet(width)
        figure.set_figheight(1.1 + ROW_HEIGHT * len(problems))
        panels = figure.subplots(len(problems), len(criteria), sharex=True, sharey=True, squeeze=False)
        for (i, problem), (j, criterion) in ((p, c) for p in enumerate(problems) for c in enumerate(criteria)):
            _draw_panel(panels[i, j], rows[rows.problem == problem], criterion, looks)
        _label(figure, panels, problems, criteria)
        _scale(panels[0, 0], rows)
        figure.legend(handles=list(looks.handles()), loc="outside lower center", ncols=characters(figure, 3) or 1)
        figure.draw_without_rendering()  # ticks are made in our style, whoever saves the figure
    return figure


class Looks:
    """How methods, profiles and rules are drawn, and what is told of them."""

    def __init__(self, rows: Table) -> None:
        self.methods = list(rows.method.unique())
        self.profiles = list(rows.profile.unique())
        self.rules = {name: _formula(rows, name) for name in rows.criterion.unique() if name != CONVERGENCE}
        if len(self.methods) > len(COLORS) or len(self.profiles) > len(PROFILE_LOOKS):
            raise InvalidInput(
                f"{len(self.methods)} methods and {len(self.profiles)} profiles are too many for one figure; it has "
                f"room for {len(COLORS)} and {len(PROFILE_LOOKS)}"
            )

    def points(self, color: str, profile: str) -> Style:
        """Marker and line of a profile, in a colour."""
        marker, line, filled = PROFILE_LOOKS[self.profiles.index(profile)]
        face = color if filled else "none"
        return {"color": color, "marker": marker, "linestyle": line, "markerfacecolor": face, "linewidth": 1.1}

    def color(self, method: str) -> str:
        return COLORS[self.methods.index(method)]

    def rule(self, name: str) -> Style:
        """The grey line of a theorem's stepsize."""
        return {"color": GREY, **RULE_LOOKS[list(self.rules).index(name) % len(RULE_LOOKS)]}

    def handles(self) -> Iterator[Line2D]:
        """Of the legend, column by column."""
        for method in self.methods:
            yield Line2D([], [], color=self.color(method), linewidth=3, label=method)
        for profile in filter(None, self.profiles):
            yield Line2D([], [], **self.points(GREY, profile), label=profile)
        for name, formula in self.rules.items():
            yield Line2D([], [], **self.rule(name), label=formula)


def _formula(rows: Table, rule: str) -> str:
    """The theorem's name and stepsize, such as "quadratic-mean, 1 / (L + L_QM ξ)"."""
    kind = rows[rows.criterion == rule]["method.kind"].iloc[0]
    formulas = [theorem.formula for theorem in method_of(kind).theorems if theorem.name == rule]
    return ", ".join([rule, *map(typeset, formulas)])


def _draw_panel(axes: Axes, rows: Table, criterion: str, looks: Looks) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for rule in looks.rules:
        for _, line in rows[rows.criterion == rule].groupby(["method", "profile"], sort=False):
            axes.plot(line.heterogeneity, line.stepsize * line.L, zorder=1, **looks.rule(rule))
    for (method, profile), group in rows[rows.criterion == criterion].groupby(["method", "profile"], sort=False):
        _draw_points(axes, group, looks.points(looks.color(method), profile))


def _draw_points(axes: Axes, group: Table, style: Style) -> None:
    """A line through what was found, and triangles for what is a bound only."""
    found = group.holds.notna() & group.fails.notna()
    axes.plot(group.heterogeneity, np.where(found, group.holds * group.L, np.nan), **style)
    for marker, bound in (("^", group.holds.where(group.fails.isna())), ("v", group.fails.where(group.holds.isna()))):
        triangle: Style = {"marker": marker, "linestyle": "", "markerfacecolor": "none", "markersize": 6}
        axes.plot(group.heterogeneity, bound * group.L, **(style | triangle))


def _label(figure: Figure, panels: np.ndarray, problems: list[str], criteria: list[str]) -> None:
    for axes, criterion in zip(panels[0], criteria, strict=True):
        axes.set_title("convergence" if criterion == CONVERGENCE else f"{criterion} inequality")
    for axes, problem in zip(panels[:, 0], problems, strict=True):
        axes.set_ylabel(problem.replace(" ", "\n"), fontsize=8)
    middle = panels[-1, panels.shape[1] // 2]
    middle.set_xlabel("heterogeneity of the workers' smoothness constants, " + typeset("L_QM / L_AM"))
    figure.supylabel(r"critical stepsize, $\gamma L$", fontsize=9)


def _scale(axes: Axes, rows: Table) -> None:
    """Few ticks: the panels are small, and share their axes."""
    ratios = sorted({float(f"{ratio:.3g}") for ratio in rows.heterogeneity})
    axes.xaxis.set_major_locator(FixedLocator(ratios) if len(ratios) <= 6 else LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_locator(LogLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(NullLocator())
