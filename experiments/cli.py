"""The command line. Imports are inside the commands: `efsim --help` must not wait for JAX."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from experiments.claims import Status
    from experiments.config import Config
    from experiments.execute import Executor, SweepFailed
    from experiments.plan import Case

__all__ = ["main"]

USAGE_ERROR = 2
INTERNAL_ERROR = 70  # never 1, which says that a theorem is violated, or that a batch failed
OWN_CLUSTER = "own"  # --dask without an address
INTERRUPTED = 130  # what shells expect after Ctrl-C


class Commands(click.Group):
    """Commands that tell a user's mistake in a message on standard error and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):  # click handles them
            raise
        except KeyboardInterrupt:
            click.echo("efsim: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:  # a name that is too long, a folder that may not be read
            click.echo(f"efsim: {error}", err=True)
            ctx.exit(USAGE_ERROR)
        except MemoryError as error:
            click.echo(f"efsim: not enough memory: {error}", err=True)
            ctx.exit(USAGE_ERROR)
        except Exception as error:
            from problems.errors import InvalidInput

            if not isinstance(error, InvalidInput):
                traceback.print_exc()
                ctx.exit(INTERNAL_ERROR)
            click.echo(_told(str(error).splitlines()), err=True)
            ctx.exit(USAGE_ERROR)


def _told(lines: list[str]) -> str:
    return f"efsim: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"efsim: {len(lines)} errors:", *lines])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="efsim")
def main() -> None:
    """Simulate error feedback methods and judge every round by their theorems.

    A config describes a sweep: `efsim run configs/NAME.toml`, then `efsim verify` and `efsim plot` on its results.
    """


config_argument = click.argument("config", type=click.Path(path_type=Path))
results_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a field, e.g. --set problem.workers=50.",
)


def _load(path: Path, overrides: tuple[str, ...]) -> Config:
    from experiments.raw_config import read_raw

    return _parsed(read_raw(path), overrides)


def _parsed(raw: dict[str, Any], overrides: tuple[str, ...]) -> Config:
    from experiments.config import parse_config
    from experiments.raw_config import apply_overrides

    return parse_config(apply_overrides(raw, overrides))


@main.command()
@config_argument
@click.option("--out", type=click.Path(path_type=Path), help="Results folder; results/NAME by default.")
@set_option
@click.option("--reduced", is_flag=True, help="Run CONFIG as its table [reduced] says, before --set.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first batch of runs that fails.")
@click.option("--wait", is_flag=True, help="Wait for another process that computes into the folder.")
@click.option(
    "--dask",
    is_flag=False,
    flag_value=OWN_CLUSTER,
    metavar="[ADDRESS]",
    help="Compute on the Dask cluster with this scheduler (tcp://HOST:PORT), or on one of this machine's cores.",
)
@click.option("--dask-host", metavar="HOST", help="Where a cluster of this machine listens; 127.0.0.1 by default.")
@click.option(
    "--dask-tls",
    nargs=3,
    metavar="CA CERT KEY",
    help="Files (PEM) by which scheduler, workers and this process know each other and encrypt.",
)
@click.pass_context
def run(
    ctx: click.Context,
    config: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    reduced: bool,
    fail_fast: bool,
    wait: bool,
    dask: str | None,
    dask_host: str | None,
    dask_tls: tuple[str, str, str] | None,
) -> None:
    """Compute the sweep that CONFIG describes, as far as its folder lacks it.

    A sweep that was interrupted goes on where it was; one to whose config stepsizes, seeds, methods or problems were
    added computes those. Exit status: 1 if batches failed, 130 after Ctrl-C, which finishes what is being computed.
    """
    from experiments import raw_config
    from experiments.execute import SweepFailed, run_sweep
    from experiments.interrupts import Interrupted
    from experiments.summary import summarize

    executor = _executor(dask, dask_host, dask_tls)
    raw = raw_config.read_raw(config)
    parsed = _parsed(raw_config.reduced(raw) if reduced else raw, overrides)
    folder = out or Path("results") / parsed.name
    click.echo(_describe(parsed))
    try:
        results = run_sweep(parsed, folder, executor=executor, wait=wait, fail_fast=fail_fast, tell=click.echo)
    except Interrupted as error:
        click.echo(
            f"efsim: {error}; what is done is kept in {folder}, and the same command goes on from there", err=True
        )
        ctx.exit(error.status)
    except SweepFailed as error:
        click.echo(_failed(error), err=True)
        ctx.exit(1)
    click.echo(f"\n{summarize(results)}\n\n{_plural(len(results.runs), 'run')} in {folder}")
    click.echo(f"next: efsim verify {folder}; efsim plot {folder}")


def _executor(dask: str | None, host: str | None, tls: tuple[str, str, str] | None) -> Executor | None:
    """The Dask cluster that the options describe, or None."""
    if dask is None:
        if host or tls:
            raise click.UsageError("--dask-host and --dask-tls are for --dask")
        return None
    if host and dask != OWN_CLUSTER:
        raise click.UsageError("--dask-host is for a cluster of this machine, not for one that is there")
    from experiments.dask_executor import LOOPBACK, Cluster, Dask

    return Dask(Cluster(None if dask == OWN_CLUSTER else dask, host or LOOPBACK, tls), click.echo)


def _failed(error: SweepFailed) -> str:
    details = [failure.details for failure in error.failures if failure.details]
    return "\n".join([*details, f"efsim: {error}"])


def _describe(config: Config) -> str:
    stepsizes = sum(len(stepsizes) for *_, stepsizes in config.methods)
    problems, seeds = _plural(len(config.problems), "problem"), _plural(len(config.seeds), "seed")
    drawing = " for methods that draw" if len(config.seeds) > 1 else ""
    choices = _plural(stepsizes, "choice") + " of method, compressor and stepsize"
    runs = _plural(config.num_runs, "run")
    return f"{config.name}: {runs} of {config.rounds} rounds = {problems} x {choices} x {seeds}{drawing}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


@main.command()
@results_argument
@click.option("--controls", is_flag=True, help="Rerun every claim where it must be false; its check must fail there.")
@click.option("--by", multiple=True, metavar="COLUMN", help="A verdict for each value, e.g. --by problem.kind.")
@click.option(
    "--false-alarm",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=1e-3,
    show_default=True,
    help="Probability that any check of random runs calls a true theorem violated.",
)
@click.option(
    "--excess",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Relative excess over a bound that the seeds must be able to show.",
)
@click.option("--allow-undecided", is_flag=True, help="Exit with 0 where nothing is violated.")
@click.pass_context
def verify(
    ctx: click.Context,
    folder: Path,
    controls: bool,
    by: tuple[str, ...],
    false_alarm: float,
    excess: float,
    allow_undecided: bool,
) -> None:
    """Judge the runs in DIR by their theorems, and by what their config expects.

    Exit status: 0 if all claims hold, 1 if one does not, 3 if one is undecided, or untested because no negative control
    of it fails. A verdict that the config expects, [[expect]], is no failure.
    """
    from experiments.claims import render_outcomes, report
    from experiments.controls import control_verdicts
    from experiments.evidence import Standard
    from experiments.results import load_results
    from experiments.verdict_table import text_table, totals
    from experiments.verdicts import judge

    if not math.isfinite(excess):
        raise click.BadParameter(f"{excess} is not a finite number", param_hint="--excess")
    results, standard = load_results(folder), Standard(false_alarm, excess)
    verdicts = judge(results, by, standard)
    if controls:
        verdicts = control_verdicts(verdicts, results.config, standard)
    if verdicts:
        click.echo(text_table(verdicts))
        click.echo(f"\n{totals(verdicts)}")
    else:
        click.echo("no theorem applies to any run: its assumptions fail, or the stepsize is too large for it")
    outcomes = report(results, verdicts)
    if results.config.expect:
        click.echo(f"\n{render_outcomes(outcomes, results.config)}")
    ctx.exit(_status({outcome.status for outcome in outcomes}, allow_undecided))


def _status(found: set[Status], allow_undecided: bool) -> int:
    from experiments.claims import Status

    if Status.NOT_MET in found:
        return 1
    return 0 if allow_undecided or found == {Status.MET} else 3


@main.command()
@results_argument
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def info(folder: Path, as_json: bool) -> None:
    """Print where the results in DIR come from, and the commands that repeat them."""
    from experiments.information import information, render_information

    found = information(folder)
    click.echo(json.dumps(found, indent=2) if as_json else render_information(found))


@main.command()
@click.argument("first", metavar="FIRST", type=click.Path(path_type=Path))
@click.argument("second", metavar="SECOND", type=click.Path(path_type=Path))
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=1e-9,
    show_default=True,
    help="Largest deviation, relative to a column's largest value in a run; 0 asks for the same bits.",
)
@click.pass_context
def diff(ctx: click.Context, first: Path, second: Path, tolerance: float) -> None:
    """Compare the results in FIRST and SECOND run by run: the same bits, within a tolerance, or different.

    Exit status: 0 if both have the same runs and these agree, else 1.
    """
    from experiments.difference_table import render_comparison
    from experiments.differences import compare
    from experiments.results import load_results

    ours, theirs = load_results(first), load_results(second)
    comparison = compare(ours, theirs, tolerance)
    click.echo(render_comparison(comparison, ours, theirs))
    ctx.exit(comparison.exit_status)


@main.command()
@results_argument
def plot(folder: Path) -> None:
    """Draw the figures of the results in DIR, into DIR/figures."""
    from experiments.figures import save_figures
    from experiments.results import load_results

    for path in save_figures(load_results(folder)):
        click.echo(str(path))


@main.command()
@config_argument
@set_option
def constants(config: Path, overrides: tuple[str, ...]) -> None:
    """Print n, d, the smoothness constants, mu, alpha and the stepsize of every rule, for every case of CONFIG.

    c and r are printed for sparse problems: a coordinate belongs to c workers at most, a worker uses r at most.
    """
    from experiments.plan import make_cases

    for case in make_cases(_load(config, overrides)):
        click.echo(_case_constants(case) + "\n")


def _case_constants(case: Case) -> str:
    from experiments.descriptions import stepsize_bound
    from experiments.tables import number, render_noted, wrapped

    c, n, d = case.constants, case.problem.num_workers, case.problem.dim
    values = {
        "n": n,
        "d": d,
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
    values |= case.resolved
    rules = [
        (
            theorem.name,
            stepsize_bound(theorem),
            "-" if (obstacle := theorem.obstacle(c)) else number(float(theorem.max_stepsize(c)), 8),
            f"does not apply: {obstacle}" if obstacle else theorem.reference,
        )
        for theorem in case.method.theorems
    ]
    lines = [
        wrapped(_one_line(case.pair.problem_spec.flat()), "", "    "),
        wrapped(_one_line(case.pair.method_spec.flat()), "", "    "),
        wrapped("  ".join(f"{name} = {number(value, 6)}" for name, value in values.items()), "", "    "),
        render_noted(("rule", "formula", "stepsize"), rules),
    ]
    return "\n".join(lines)


def _one_line(table: dict[str, Any]) -> str:
    return ", ".join(str(value) if name == "kind" else f"{name} = {value}" for name, value in table.items())


@main.command()
@config_argument
@click.option("--out", type=click.Path(path_type=Path), help="Results folder; results/NAME by default.")
@set_option
def critical(config: Path, out: Path | None, overrides: tuple[str, ...]) -> None:
    """Measure how large a stepsize may be: until runs fail to converge, and until a theorem's inequality breaks.

    For every case of CONFIG, searching upwards from the stepsizes of the theorems that its rules name. Prints how they
    follow L_QM / L_AM, and writes critical.parquet and a figure.
    """
    from experiments.critical import critical_table
    from experiments.critical_exponents import render_exponents
    from experiments.figures import save_figure
    from experiments.figures.critical import draw_critical

    parsed = _load(config, overrides)
    folder = out or Path("results") / parsed.name
    table = critical_table(parsed, folder)
    click.echo(render_exponents(table) + "\n")
    for path in save_figure(folder, "critical-stepsizes", draw_critical(table)):
        click.echo(str(path))


@main.group(name="list")
def list_() -> None:
    """List what configs may name."""


LISTS = {
    "methods": "Methods: what they do, where they come from, their theorems.",
    "theorems": "Theorems: stepsize, assumptions, reference.",
    "compressors": "Compressors and their fields.",
    "oracles": "Gradient oracles and their fields.",
    "participations": "Ways in which workers take part, and their fields.",
    "regularizers": "Regularisers of proximal methods, and their fields.",
    "problems": "Problems and the fields that describe them.",
    "datasets": "Data sets and where they are found.",
}


def _lists() -> dict[str, Callable[[], str]]:
    import simulator
    from experiments import listings
    from simulator import ProximalRegularizer

    return {
        "methods": listings.list_methods,
        "theorems": listings.list_theorems,
        "compressors": lambda: listings.list_components(simulator.Compressor),
        "oracles": lambda: listings.list_components(simulator.GradientOracle),
        "participations": lambda: listings.list_components(simulator.Participation),
        "regularizers": lambda: listings.list_components(ProximalRegularizer),
        "problems": listings.list_problems,
        "datasets": listings.list_datasets,
    }


def _add_list(name: str, text: str) -> None:
    @list_.command(name=name, help=text)
    def show() -> None:
        from problems.registry import load_entry_points

        load_entry_points()
        click.echo(_lists()[name]())


for _name, _text in LISTS.items():
    _add_list(_name, _text)


if __name__ == "__main__":
    main()
