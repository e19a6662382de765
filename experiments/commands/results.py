"""What is told and drawn of results that are there: efsim info, diff, plot, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.commands.completion import complete_figure, complete_results
from experiments.commands.options import results_argument
from experiments.commands.output import Answer, answers
from experiments.commands.verify import Judging, judged, judging_options

__all__ = ["diff", "info", "plot", "report"]


@click.command()
@results_argument
@answers("name, complete, runs_done, runs, clock, repeat (commands), and what provenance.json says")
def info(folder: Path) -> Answer:
    """Print where the results in DIR come from, and the commands that repeat them."""
    from experiments.information import information, render_information

    found = information(folder)
    return Answer(render_information(found), found)


@click.command()
@click.argument("first", metavar="FIRST", type=click.Path(path_type=Path), shell_complete=complete_results)
@click.argument("second", metavar="SECOND", type=click.Path(path_type=Path), shell_complete=complete_results)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=1e-9,
    show_default=True,
    help="Largest deviation, relative to a column's largest value in a run; 0 asks for the same bits.",
)
@answers(
    "status, tolerance, counts (identical, within, different), runs (each with its deviation), only_first, "
    "only_second, columns_only_first, columns_only_second"
)
def diff(first: Path, second: Path, tolerance: float) -> Answer:
    """Compare the results in FIRST and SECOND run by run: the same bits, within a tolerance, or different.

    Exit status: 0 if both have the same runs and these agree, else 1.
    """
    from experiments.difference_table import render_comparison
    from experiments.differences import compare
    from experiments.results import load_results

    ours, theirs = load_results(first), load_results(second)
    comparison = compare(ours, theirs, tolerance)
    counts = {name: len(getattr(comparison, name)) for name in ("identical", "within", "different")}
    lists = ("only_first", "only_second", "columns_only_first", "columns_only_second")
    document = {
        "status": comparison.exit_status,
        "tolerance": tolerance,
        "counts": counts,
        "runs": comparison.runs.rename_axis("run").reset_index().to_dict("records"),
        **{name: getattr(comparison, name) for name in lists},
    }
    return Answer(render_comparison(comparison, ours, theirs), document, comparison.exit_status)


@click.command()
@results_argument
@click.option(
    "--figure",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_figure,
    help="Only this one; every figure by default.",
)
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(["png", "svg", "pdf"]), help="PNG and SVG by default."
)
@click.option(
    "--width",
    type=click.Choice(["single", "double"]),
    default="double",
    show_default=True,
    help="Of a paper's column, or of both.",
)
@answers("a list of paths")
def plot(folder: Path, names: tuple[str, ...], formats: tuple[str, ...], width: str) -> Answer:
    """Draw the figures of the results in DIR, into DIR/figures."""
    from experiments.figures import save_figures
    from experiments.results import load_results

    paths = save_figures(load_results(folder), names, formats or ("png", "svg"), width)
    return Answer("\n".join(map(str, paths)), paths)


@click.command()
@results_argument
@click.option("--out", type=click.Path(path_type=Path), help="The file; DIR/report.html by default.")
@judging_options
@answers("path")
def report(folder: Path, out: Path | None, **judging: Any) -> Answer:
    """Write a report on the results in DIR: one HTML file with verdicts, figures and where they come from."""
    from experiments.report import write_report
    from experiments.results import load_results
    from experiments.store import REPORT

    results = load_results(folder)
    path = write_report(results, judged(results, Judging(**judging)), out or folder / REPORT)
    return Answer(str(path), {"path": path})
