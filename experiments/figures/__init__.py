"""Figures of a results folder: every run beside its theorem's bound, and what heterogeneity costs.

A line is a run, its colour and marker say which; runs that differ in the seed only share both. A panel is a problem.
Labels hold what differs between runs, titles what they have in common, so that no figure needs its config to be read.
The same results give the same bytes.
"""

from itertools import product
from pathlib import Path

from matplotlib.figure import Figure

from experiments.figures.convergence import HORIZONTALS, METRICS, draw_convergence
from experiments.figures.rounds_to_target import draw_rounds_to_target
from experiments.figures.style import figure_style
from experiments.figures.sweep import Sweep
from experiments.files import whole_file
from experiments.progress import progress_bar
from experiments.results import Results
from problems import InvalidInput

__all__ = ["draw_figures", "save_figure", "save_figures"]


def draw_figures(results: Results) -> dict[str, Figure]:
    """All figures of a sweep, by name.

    {gradient-norm, loss-gap}-by-{rounds, bits}: |grad f(x^t)|^2 and f(x^t) - f* against rounds and against the bits
    that each worker has sent, a panel a problem; beyond nine problems also ...-2, ...-3. rounds-to-target: where
    L_QM/L_AM varies and the target was reached, the rounds that this took against L_QM/L_AM.
    """
    sweep = Sweep(results)
    figures: dict[str, Figure] = {}
    with figure_style():
        for (name, metric), (by, horizontal) in product(METRICS.items(), HORIZONTALS.items()):
            for number, problems in enumerate(sweep.pages, 1):
                suffix = "" if number == 1 else f"-{number}"
                figures[f"{name}-by-{by}{suffix}"] = draw_convergence(sweep, problems, metric, horizontal)
        if sweep.heterogeneity_varies and sweep.runs.target_round.notna().any():
            figures["rounds-to-target"] = draw_rounds_to_target(sweep)
    return figures


def save_figures(results: Results) -> list[Path]:
    """Draw all figures into the results folder, as figures/NAME.png and figures/NAME.svg; returns their paths.

    Raises:
        InvalidInput: the folder cannot be written to.
    """
    figures = progress_bar(draw_figures(results).items(), desc="figures", leave=False)
    return [path for name, figure in figures for path in save_figure(results.folder, name, figure)]


def save_figure(results_folder: Path, name: str, figure: Figure) -> list[Path]:
    """Write one figure into the results folder, as figures/NAME.png and figures/NAME.svg; returns their paths.

    Raises:
        InvalidInput: the folder cannot be written to.
    """
    folder = results_folder / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot create {folder}: {error.strerror}") from error
    paths = []
    for form, unwanted in (("png", ("Software",)), ("svg", ("Date", "Creator"))):
        paths.append(folder / f"{name}.{form}")
        with whole_file(paths[-1]) as path, figure_style():
            figure.savefig(path, format=form, metadata=dict.fromkeys(unwanted))
    return paths
