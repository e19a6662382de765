"""The command line. Imports are inside the commands: `efsim --help` must not wait for JAX."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from experiments.config import Config
    from experiments.plan import Case
    from experiments.verdicts import TheoremVerdict

__all__ = ["main"]

USAGE_ERROR = 2
INTERNAL_ERROR = 70  # never 1, which says that a theorem is violated


class Commands(click.Group):
    """Commands that tell a user's mistake in a message on standard error and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):  # click handles them
            raise
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
    from experiments.config import parse_config
    from experiments.raw_config import apply_overrides, read_raw

    return parse_config(apply_overrides(read_raw(path), overrides))


@main.command()
@config_argument
@click.option("--out", type=click.Path(path_type=Path), help="Results folder; results/NAME by default.")
@set_option
def run(config: Path, out: Path | None, overrides: tuple[str, ...]) -> None:
    """Compute the sweep that CONFIG describes."""
    from experiments.execute import run_sweep
    from experiments.store import Store
    from experiments.summary import summarize

    parsed = _load(config, overrides)
    folder = out or Path("results") / parsed.name
    click.echo(_describe(parsed))
    was_complete = Store(folder).complete
    results = run_sweep(parsed, folder)
    if was_complete:
        click.echo("complete already; to compute it again, choose another folder or remove this one")
    click.echo(f"\n{summarize(results)}\n\n{_plural(len(results.runs), 'run')} in {folder}")
    click.echo(f"next: efsim verify {folder}; efsim plot {folder}")


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
@click.pass_context
def verify(ctx: click.Context, folder: Path) -> None:
    """Judge the runs in DIR by their theorems.

    Exit status: 0 if all theorems hold, 1 if one is violated, 3 if none is violated but one is undecided.
    """
    from experiments.store import load_results
    from experiments.verdicts import Judgement, judge

    verdicts = judge(load_results(folder))
    judgements = {verdict.judgement for verdict in verdicts}
    if not verdicts:
        click.echo(
            "undecided: no theorem applies to any run: its assumptions fail, or the stepsize is too large for it"
        )
        ctx.exit(3)
    click.echo(_verdict_table(verdicts))
    ctx.exit(1 if Judgement.VIOLATED in judgements else 3 if Judgement.UNDECIDED in judgements else 0)


def _verdict_table(verdicts: list[TheoremVerdict]) -> str:
    from experiments.tables import number, render

    header = (
        "method",
        "theorem",
        "applies to",
        "verdict",
        "steps",
        "slack >=",
        "tightness",
        "beyond",
    )
    rows = [
        (
            verdict.method,
            verdict.theorem,
            f"{verdict.applicable} of {verdict.runs} runs",
            str(verdict.judgement),
            str(verdict.steps),
            number(verdict.smallest_slack, 3),
            number(verdict.tightness, 3),
            f"{verdict.beyond_broken} of {verdict.beyond} fail" if verdict.beyond else "-",
        )
        for verdict in verdicts
    ]
    reasons = [f"{v.judgement}: {v.method} {v.theorem}: {v.reason}" for v in verdicts if v.reason]
    legend = (
        "steps: rounds judged.  slack: smallest over them, relative to what changes in a round.\n"
        "tightness: largest measured / bound.  beyond: runs at stepsizes of which the theorem does not speak (larger\n"
        "ones; all others where it speaks of one only), and how many break the inequality.\n"
        "`efsim list theorems` has their references."
    )
    return "\n".join([render(header, rows), "", legend, *reasons])


@main.command()
@results_argument
def plot(folder: Path) -> None:
    """Draw the figures of the results in DIR, into DIR/figures."""
    from experiments.figures import save_figures
    from experiments.store import load_results

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
        wrapped(_one_line(case.problem_spec.flat()), "", "    "),
        wrapped(_one_line(case.method_spec.flat()), "", "    "),
        wrapped("  ".join(f"{name} = {number(value, 6)}" for name, value in values.items()), "", "    "),
        render_noted(("rule", "formula", "stepsize"), rules),
    ]
    return "\n".join(lines)


def _one_line(table: dict[str, Any]) -> str:
    return ", ".join(str(value) if name == "kind" else f"{name} = {value}" for name, value in table.items())


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
