"""efsim critical."""

from pathlib import Path

import click

from experiments.commands.options import config_argument, out_option, set_option
from experiments.commands.output import Answer, answers

__all__ = ["critical"]


@click.command()
@config_argument
@out_option
@set_option
@answers("table (the rows of critical.parquet) and figures (paths)")
def critical(config: Path, out: Path | None, overrides: tuple[str, ...]) -> Answer:
    """Measure how large a stepsize may be: until runs fail to converge, and until a theorem's inequality breaks.

    For every case of CONFIG, searching upwards from the stepsizes of the theorems that its rules name. Prints how they
    follow L_QM / L_AM, and writes critical.parquet and a figure.
    """
    from experiments.critical import critical_table
    from experiments.critical_exponents import render_exponents
    from experiments.figures import save_figure
    from experiments.figures.critical import draw_critical
    from experiments.run_config import default_folder, read_config

    parsed = read_config(config, *overrides)
    folder = out or default_folder(parsed)
    table = critical_table(parsed, folder)
    paths = save_figure(folder, "critical-stepsizes", draw_critical(table))
    text = "\n".join([render_exponents(table), "", *map(str, paths)])
    return Answer(text, {"table": table.to_dict("records"), "figures": paths})
