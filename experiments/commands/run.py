"""efsim run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.commands.options import config_argument, out_option, plural, set_option
from experiments.commands.output import Answer, answers, say

if TYPE_CHECKING:
    from experiments.config import Config
    from experiments.execute import Executor, SweepFailed

__all__ = ["run"]

OWN_CLUSTER = "own"  # --dask without an address


@click.command()
@config_argument
@out_option
@set_option
@click.option(
    "--reduced", is_flag=True, help="Run CONFIG as its table [reduced] says, before --set; into results/NAME-reduced."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and what it will take; compute and write nothing.")
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
@answers(
    "name, folder, status (complete, failed or interrupted), runs (a row each, as in runs.parquet), failures; with "
    "--dry-run runs, runs_done, batches, seconds, compile_seconds, memory_bytes, disk_bytes, accuracy"
)
def run(
    config: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    reduced: bool,
    dry_run: bool,
    dask: str | None,
    dask_host: str | None,
    dask_tls: tuple[str, str, str] | None,
    **how: bool,
) -> Answer:
    """Compute the sweep that CONFIG describes, as far as its folder lacks it.

    A sweep that was interrupted goes on where it was; one to whose config stepsizes, seeds, methods or problems were
    added computes those. Exit status: 1 if batches failed, 130 after Ctrl-C, which finishes what is being computed.
    """
    from experiments.run_config import default_folder, read_config

    executor = _executor(dask, dask_host, dask_tls)
    wanted = read_config(config, *overrides, reduced=reduced)
    folder = out or default_folder(wanted, reduced)
    say(_describe(wanted))
    return _planned(wanted, folder) if dry_run else _computed(wanted, folder, executor=executor, **how)


def _planned(wanted: Config, folder: Path) -> Answer:
    from experiments.dry_run import forecast, render_forecast

    found = forecast(wanted, folder)
    return Answer(render_forecast(found), found)


def _computed(wanted: Config, folder: Path, **how: Any) -> Answer:
    from experiments.execute import SweepFailed, run_sweep
    from experiments.interrupts import Interrupted
    from experiments.summary import summarize

    document: dict[str, Any] = {"name": wanted.name, "folder": folder, "status": "complete", "runs": [], "failures": []}
    try:
        results = run_sweep(wanted, folder, tell=say, **how)
    except Interrupted as error:
        click.echo(
            f"efsim: {error}; what is done is kept in {folder}, and the same command goes on from there", err=True
        )
        return Answer("", document | {"status": "interrupted"}, error.status)
    except SweepFailed as error:
        click.echo(_failed(error), err=True)
        return Answer("", document | {"status": "failed", "failures": error.failures}, 1)
    lines = [
        f"\n{summarize(results)}",
        f"\n{plural(len(results.runs), 'run')} in {folder}",
        f"next: efsim verify {folder}; efsim plot {folder}",
    ]
    return Answer("\n".join(lines), document | {"runs": results.runs.to_dict("records")})


def _executor(dask: str | None, host: str | None, tls: tuple[str, str, str] | None) -> Executor | None:
    """The Dask cluster that the options describe, or None."""
    if dask is None:
        if host or tls:
            raise click.UsageError("--dask-host and --dask-tls are for --dask")
        return None
    if host and dask != OWN_CLUSTER:
        raise click.UsageError("--dask-host is for a cluster of this machine, not for one that is there")
    from experiments.dask_executor import LOOPBACK, Cluster, Dask

    return Dask(Cluster(None if dask == OWN_CLUSTER else dask, host or LOOPBACK, tls), say)


def _failed(error: SweepFailed) -> str:
    details = [failure.details for failure in error.failures if failure.details]
    return "\n".join([*details, f"efsim: {error}"])


def _describe(config: Config) -> str:
    stepsizes = sum(len(stepsizes) for *_, stepsizes in config.methods)
    problems, seeds = plural(len(config.problems), "problem"), plural(len(config.seeds), "seed")
    drawing = " for methods that draw" if len(config.seeds) > 1 else ""
    choices = plural(stepsizes, "choice") + " of method, compressor and stepsize"
    runs = plural(config.num_runs, "run")
    return f"{config.name}: {runs} of {config.rounds} rounds = {problems} x {choices} x {seeds}{drawing}"
