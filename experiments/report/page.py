"""The page: verdicts first, then figures, runs, constants, the config and where the results come from.

It is one file that asks no network for anything: styles, script and data are inside, and its content security policy
allows nothing else. Jinja escapes all text; the data of the figures are JSON that cannot end its element. The same
results and verdicts give the same bytes.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path
from shlex import join
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from experiments.figures.style import COLORS
from experiments.figures.sweep import Sweep
from experiments.files import whole_file
from experiments.information import information
from experiments.report.constants import constants_of_methods, constants_of_problems
from experiments.report.findings import findings
from experiments.report.lines import lines
from experiments.report.runs import problem_names, table_of_runs
from experiments.report.worst_cases import worst_cases
from experiments.results import Results
from experiments.store import CONFIG
from experiments.verdicts import TheoremVerdict

__all__ = ["write_report"]

PACKAGE = "experiments.report"
# In JSON these stand in strings only, where an escape means the same and cannot be markup.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def write_report(results: Results, verdicts: Sequence[TheoremVerdict], out: Path) -> Path:
    """Write the report of a complete results folder as one HTML file; returns its path.

    Raises:
        InvalidInput: the traces are damaged, or the file cannot be written.
    """
    html = _page(results, verdicts)
    with whole_file(out) as path:
        path.write_text(html, encoding="utf-8", newline="\n")
    return out


def _page(results: Results, verdicts: Sequence[TheoremVerdict]) -> str:
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _template("report.css") + _line_colors(), _template("report.js")
    return environment.get_template("report.html.jinja").render(
        _content(results, verdicts),
        style=Markup(style),  # ours, not the results'
        script=Markup(script),
        policy=_policy(style, script),
    )


def _content(results: Results, verdicts: Sequence[TheoremVerdict]) -> dict[str, Any]:
    sweep = Sweep(results.timed())
    problems, drawn = problem_names(sweep), lines(sweep)
    return {
        "config": results.config,
        "folder": results.folder,
        "commands": {
            "controls": join(["efsim", "report", str(results.folder), "--controls"]),
            "plot": join(["efsim", "plot", str(results.folder)]),
        },
        "findings": findings(results, verdicts),
        "worst_cases": worst_cases(results),
        "problems": problems,
        "lines": drawn,
        "data": Markup(_json({"problems": problems, **drawn.data})),
        "runs": table_of_runs(sweep),
        "problem_constants": constants_of_problems(sweep, problems),
        "method_constants": constants_of_methods(sweep),
        "config_text": (results.folder / CONFIG).read_text(encoding="utf-8"),
        "provenance": information(results.folder),
    }


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def _template(name: str) -> str:
    return resources.files(PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


def _line_colors() -> str:
    """A class for every colour of lines; black is that of the text, which is light on dark ground."""
    colors = ["var(--text)" if color == "#000000" else color for color in COLORS]
    return "".join(f".line-{index} {{ --line: {color}; }}\n" for index, color in enumerate(colors))


def _policy(style: str, script: str) -> str:
    """A content security policy that allows this style and this script, and no network at all."""
    style_hash, script_hash = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    sources = f"style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
