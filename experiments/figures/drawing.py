"""Which figures there are, what each needs of a sweep, and drawing them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.figure import Figure

from experiments.figures.bits import draw_bits
from experiments.figures.certificates import draw_certificates, lacks_certificates
from experiments.figures.convergence import draw_convergence
from experiments.figures.rounds_to_target import draw_rounds_to_target
from experiments.figures.slack import draw_slack, judged_theorems
from experiments.figures.stepsize_tolerance import draw_stepsize_tolerance, tries_stepsizes
from experiments.figures.style import figure_style
from experiments.figures.sweep import Sweep
from experiments.figures.tightness import draw_tightness, tightness_table
from experiments.progress import progress_bar
from experiments.results import Results
from problems import InvalidInput
from problems.errors import unknown_name

__all__ = ["FIGURES", "draw_figure", "draw_figures"]


NO_THEOREM = "no theorem applies to any run"


def _lacks_nothing(sweep: Sweep) -> str:
    return ""


def _repeats_nothing(sweep: Sweep) -> bool:
    return False


def _lacks_gradients(sweep: Sweep) -> str:
    return "" if "passes_per_round" in sweep.runs else "it was computed by an efsim that did not count gradients"


def _counts_rounds(sweep: Sweep) -> bool:
    """Whether every round is one pass over the data."""
    return bool((sweep.runs.passes_per_round == 1).all())


def _lacks_clock(sweep: Sweep) -> str:
    return "" if sweep.results.clock else "the config has no [clock], which says what rounds cost"


def _lacks_elapsed(sweep: Sweep) -> str:
    return "" if sweep.has_clocks else "not all methods have a clock of their own"


def _lacks_lyapunov(sweep: Sweep) -> str:
    return "" if any(name.startswith("lyapunov_") for name in sweep.trace_names) else NO_THEOREM


def _lacks_slack(sweep: Sweep) -> str:
    return "" if judged_theorems(sweep) else "no theorem is judged round by round"


def _lacks_stepsizes(sweep: Sweep) -> str:
    return "" if tries_stepsizes(sweep) else "no method has several stepsizes"


def _lacks_targets(sweep: Sweep) -> str:
    if not sweep.heterogeneity_varies:
        return "L_QM/L_AM is the same on all problems"
    return "" if sweep.runs.target_round.notna().any() else "no run reaches the target"


def _lacks_tightness(sweep: Sweep) -> str:
    return "" if len(tightness_table(sweep)) else NO_THEOREM


class Kind(NamedTuple):
    """One of the figures.

    Attributes:
        draw: of the given problems of a sweep, so wide.
        lacks: what a sweep lacks for it, in words; "" where there is something to draw.
        repeats: whether another figure shows the same, so that it is drawn only if it is asked for.
        paged: whether it has a panel a problem, so that many problems need several pages.
    """

    draw: Callable[[Sweep, list[int], str], Figure]
    lacks: Callable[[Sweep], str]
    repeats: Callable[[Sweep], bool] = _repeats_nothing
    paged: bool = True


def _convergence(metric: str, by: str, lacks: Callable[[Sweep], str] = _lacks_nothing) -> Kind:
    return Kind(partial(draw_convergence, metric_name=metric, by=by), lacks)


def _by_gradients(metric: str) -> Kind:
    return _convergence(metric, "gradients", _lacks_gradients)._replace(repeats=_counts_rounds)


FIGURES: dict[str, Kind] = {
    "gradient-norm-by-rounds": _convergence("gradient-norm", "rounds"),
    "gradient-norm-by-bits": _convergence("gradient-norm", "bits"),
    "gradient-norm-by-gradients": _by_gradients("gradient-norm"),
    "loss-gap-by-rounds": _convergence("loss-gap", "rounds"),
    "loss-gap-by-bits": _convergence("loss-gap", "bits"),
    "loss-gap-by-gradients": _by_gradients("loss-gap"),
    "gradient-norm-by-time": _convergence("gradient-norm", "time", _lacks_clock),
    "loss-gap-by-time": _convergence("loss-gap", "time", _lacks_clock),
    "gradient-norm-by-elapsed": _convergence("gradient-norm", "elapsed", _lacks_elapsed),
    "loss-gap-by-elapsed": _convergence("loss-gap", "elapsed", _lacks_elapsed),
    "lyapunov": _convergence("lyapunov", "rounds", _lacks_lyapunov),
    "slack": Kind(draw_slack, _lacks_slack, paged=False),
    "stepsize-tolerance": Kind(draw_stepsize_tolerance, _lacks_stepsizes),
    "rounds-to-target": Kind(draw_rounds_to_target, _lacks_targets, paged=False),
    "tightness": Kind(draw_tightness, _lacks_tightness, paged=False),
    "bits-breakdown": Kind(draw_bits, _lacks_nothing),
    "certificates": Kind(draw_certificates, lacks_certificates),
}


def draw_figure(results: Results, name: str, width: str = "double", page: int = 1) -> Figure:
    """One figure (of FIGURES), "single" or "double" columns of a paper wide; nine problems a page.

    Raises:
        InvalidInput: there is no such figure, width or page, or the results have nothing for it.
    """
    sweep = Sweep(results.timed())
    _check(sweep, name)
    pages = _pages(sweep, name, width)
    if not 1 <= page <= len(pages):
        raise InvalidInput(f"the figure {name} has no page {page}; it has {len(pages)}")
    return pages[page - 1]()


def _check(sweep: Sweep, name: str) -> None:
    """Raise InvalidInput where there is no such figure, or the sweep has nothing for it."""
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    if sweep.runs.empty:
        raise InvalidInput(f"there is nothing to draw for the figure {name}: no runs were chosen")
    if lacking := FIGURES[name].lacks(sweep):
        raise InvalidInput(f"there is nothing to draw for the figure {name}: {lacking}")


def _pages(sweep: Sweep, name: str, width: str) -> list[Callable[[], Figure]]:
    """What draws the pages of a figure."""
    kind = FIGURES[name]
    pages = sweep.pages if kind.paged else [[panel for page in sweep.pages for panel in page]]
    return [partial(_styled, kind.draw, sweep, panels, width) for panels in pages]


def _styled(draw: Callable[[Sweep, list[int], str], Figure], sweep: Sweep, panels: list[int], width: str) -> Figure:
    with figure_style():
        return draw(sweep, panels, width)


def draw_figures(results: Results, names: Sequence[str] = (), width: str = "double") -> dict[str, Figure]:
    """Figures of a sweep by name, all that it has something for by default; further pages are called NAME-2, ...

    {gradient-norm, loss-gap}-by-{rounds, bits, gradients, time, elapsed}: |grad f(x^t)|^2 and f(x^t) - f*, with bounds.
    lyapunov: V^t with what its theorem promises. slack: the margin of the one-step inequality.
    stepsize-tolerance: how far runs come at multiples of a stepsize. rounds-to-target: against L_QM/L_AM. tightness:
    measured / bound of every theorem. bits-breakdown: what is sent until the target is reached. certificates: the worst
    round of runs, the worst case and the theorem against the stepsize.

    Raises:
        InvalidInput: there is no such figure or width, or the results have nothing for a figure that is named.
    """
    sweep = Sweep(results.timed())
    for name in names:
        _check(sweep, name)
    chosen = names or [name for name, kind in FIGURES.items() if not kind.lacks(sweep) and not kind.repeats(sweep)]
    pages = {
        name if number == 1 else f"{name}-{number}": draw
        for name in chosen
        for number, draw in enumerate(_pages(sweep, name, width), 1)
    }
    return {name: draw() for name, draw in progress_bar(pages.items(), desc="figures", leave=False)}
