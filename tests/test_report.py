"""The report: what it tells, that it stays small and whole, and that a real browser reads it in every way."""

import html
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import browser
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from experiments.config import parse_config
from experiments.execute import run_sweep
from experiments.figures.sweep import Sweep
from experiments.judging import Judgement
from experiments.report import write_report
from experiments.report.constants import constants_of_problems
from experiments.report.lines import FEWEST_POINTS, MOST_NUMBERS, lines
from experiments.report.words import unicode_text
from experiments.results import Results, load_results
from experiments.spec import Spec
from experiments.verdicts import judge, with_controls
from problems import InvalidInput

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>&amp;"
CONFIG = f"""
name = "report"
description = "{HOSTILE}"
rounds = 60
record_every = 10
target = 0.5
[problem]
kind = "quadratic"
workers = 9
dim = 4
smoothness_ratio = [1.5, 2.5]
pl_constant = 0.1
[clock]
uplink = 1e3
downlink = 1e6
pass_seconds = 0.01
[[method]]
kind = "ef21"
compressor = {{ kind = "top-k", k = [1, 2] }}
stepsize = {{ rule = ["quadratic-mean", "arithmetic-mean-pl"], multiple = [1, 1000] }}
[[method]]
kind = "gd"
stepsize = 0.5
[[expect]]
kind = "rounds-ratio"
of = {{ rule = "quadratic-mean", multiple = 1.0, problem.smoothness_ratio = 1.5, method.compressor.k = 1 }}
to = {{ rule = "arithmetic-mean-pl", multiple = 1.0, problem.smoothness_ratio = 1.5, method.compressor.k = 1 }}
equals = 1000.0
tolerance = 0.01
reference = "{HOSTILE}"
[[expect]]
kind = "verdict"
method = "ef21"
theorem = "arithmetic-mean"
verdict = "violated"
[[expect]]
kind = "verdict"
method = "gd"
theorem = "smooth-pl"
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return run_sweep(parse_config(tomllib.loads(CONFIG)), tmp_path_factory.mktemp("report") / "results")


@pytest.fixture(scope="module")
def page(results) -> Path:
    return write_report(results, judge(results), results.folder / "report.html")


def text_of(path: Path) -> str:
    """The page without its markup."""
    body = path.read_text(encoding="utf-8").partition("<body>")[2].partition("<script")[0]
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body).split()))


# What it tells


def test_verdicts_and_claims_come_first_and_everything_is_there(results, page):
    told, headings = text_of(page), re.findall(r"<h[1-3].*?>(.*?)</h", page.read_text(encoding="utf-8"))
    claims, sections = ["What the config claims", "What the theorems claim"], ["Figures", "Runs", "Constants"]
    assert [*headings[:7], *headings[9:12]] == (
        ["report", "Verdicts", *claims, *sections, "Config", "Provenance", "To repeat it"]
    )
    assert all(run in told for run in results.runs.run)
    assert "smoothness_ratio = [ 1.5, 2.5, ]" in told and f"efsim diff {results.folder}" in told


def test_it_says_what_holds_what_is_violated_undecided_and_expected(results, tmp_path):
    verdicts = judge(results)
    found = {(verdict.method, verdict.theorem): verdict for verdict in verdicts}
    found["gd", "smooth"] = replace(found["gd", "smooth"], judgement=Judgement.UNDECIDED, reason="too short a run")
    key = "ef21", "arithmetic-mean"
    found[key] = replace(found[key], judgement=Judgement.VIOLATED, reason="round 7 breaks it")
    told = text_of(write_report(results, list(found.values()), tmp_path / "report.html"))
    counts = Counter(verdict.judgement for verdict in found.values())
    assert counts[Judgement.VIOLATED] == counts[Judgement.UNDECIDED] == 1
    assert f"{counts[Judgement.HOLDS]} holds 1 VIOLATED 1 undecided 0 untested" in told
    assert re.search("VIOLATED as expected ef21 arithmetic-mean [^|]*? round 7 breaks it 8/16", told)
    assert re.search("undecided gd smooth [^|]*? too short a run 2/2", told)
    assert f"Of {len(found) + 1} claims: {len(found) - 1} met, 1 not met, 1 undecided." in told
    plain = text_of(write_report(results, verdicts, tmp_path / "plain.html"))
    assert "as expected" not in plain and "2 not met" in plain  # now the expectation is not met either


def test_controls_are_told_or_how_to_run_them(results, page, tmp_path):
    assert f"efsim report {results.folder} --controls" in text_of(page)
    controlled = [with_controls(verdict, [verdict.method == "gd"] * 3) for verdict in judge(results)]
    told = text_of(write_report(results, controlled, tmp_path / "report.html"))
    assert "--controls" not in told and "negative controls fail as they must" in told and "3/3" in told
    assert "none of 3 negative controls makes its check fail" in told and "untested ef21" in told


def test_a_sweep_without_verdicts_says_so(results, tmp_path):
    told = text_of(write_report(replace(results, config=replace(results.config, expect=[])), [], tmp_path / "x.html"))
    assert "Nothing was claimed" in told and "No theorem applies to any run" in told


def test_the_histogram_counts_the_workers_of_each_problem_once(results, monkeypatch):
    sweep, built, build = Sweep(results), [], Spec.build
    monkeypatch.setattr(Spec, "build", lambda spec: built.append(spec) or build(spec))
    constants = constants_of_problems(sweep, ["a", "b"])
    assert len(built) == 2
    for row in constants:
        assert row.histogram and sum(bar.workers for bar in row.histogram.bars) == 9
        assert max(bar.height for bar in row.histogram.bars) == 1
    assert [row.values["L_QM"] for row in constants] == ["1.5", "2.5"]


def test_constants_do_without_histograms_of_problems_that_are_not_here(results, monkeypatch):
    def absent(spec: Spec) -> None:
        raise InvalidInput("the data are elsewhere")

    monkeypatch.setattr(Spec, "build", absent)
    constants = constants_of_problems(Sweep(results), ["a", "b"])
    assert [(row.histogram, row.obstacle) for row in constants] == [(None, "the data are elsewhere")] * 2


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (r"1 / ($L$ + $L_\mathrm{QM}$ $\xi$)", "1 / (L + L_QM \N{GREEK SMALL LETTER XI})"),
        (r"a\$b", "a$b"),
        ("k = 1", "k = 1"),
    ],
)
def test_labels_of_figures_are_plain_text(label, text):
    assert unicode_text(label) == text


# Small, and the same


def test_equal_results_give_equal_bytes(results, page, tmp_path):
    again = write_report(load_results(results.folder), judge(results), tmp_path / "again.html")
    assert again.read_bytes() == page.read_bytes()


def test_lines_are_the_recorded_values_to_four_digits(results):
    drawn = lines(Sweep(results))
    for run in drawn.data["runs"]:
        trace = results.traces[results.traces.run == run["id"]]
        for name, place in zip(drawn.data["columns"], run["columns"], strict=True):
            if place >= 0:
                told = np.array(drawn.data["pool"][place], float)
                np.testing.assert_allclose(told, trace[name].where(np.isfinite(trace[name])), rtol=5e-4)


def tiled(results: Results, folder: Path, times: int) -> Results:
    """The runs many times, each with long traces of its own."""
    (folder / "traces").mkdir(parents=True)
    for name in ("config.toml", "provenance.json"):
        (folder / name).write_bytes((results.folder / name).read_bytes())
    runs, traces, draws = results.runs, results.traces, np.random.default_rng(0)
    copies = [runs.assign(run=runs.run + f"-{seed}", seed=seed) for seed in range(times)]
    pd.concat(copies, ignore_index=True).to_parquet(folder / "runs.parquet")
    long = pd.concat([traces.assign(round=traces["round"] + 70 * part) for part in range(8)])
    measured = long.select_dtypes("float")
    noisy = [long.assign(run=long.run + f"-{seed}", **measured * draws.uniform(0.5, 1)) for seed in range(times)]
    pd.concat(noisy).to_parquet(folder / "traces" / "all.parquet", compression=None)
    return load_results(folder)


def test_a_thousand_runs_stay_below_five_megabytes(results, tmp_path):
    many = tiled(results, tmp_path / "many", 56)
    assert len(many.runs) > 1000
    report = write_report(many, judge(results), tmp_path / "many.html")
    assert report.stat().st_size < 5_000_000
    drawn = lines(Sweep(many))
    assert FEWEST_POINTS <= drawn.points < drawn.recorded and drawn.omitted
    columns = [column for run in drawn.data["runs"] for column in run["columns"] if column >= 0]
    assert sum(len(drawn.data["pool"][column]) for column in columns) <= MOST_NUMBERS
    rounds = drawn.data["pool"][drawn.data["runs"][0]["columns"][0]]
    assert (rounds[0], rounds[-1]) == (0, 550)
    told = text_of(report)
    assert f"thinned to {drawn.points} of {drawn.recorded}" in told and drawn.omitted[0] in told


# Colours


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_in_light_and_in_dark_mode(page):
    style = page.read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]
    modes = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)]
    assert len(modes) == 2 and modes[0] != modes[1]
    for colors in modes:
        for text in ("text", "muted", "link", "good", "bad", "unsure"):
            for ground in ("ground", "raised"):
                assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground, colors)
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#888888", "#ffffff") < 4.5


# In a browser


@pytest.fixture(scope="module")
def chrome(tmp_path_factory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def report(chrome, page) -> Chrome:
    return opened(chrome, page)


def opened(chrome: Chrome, page: Path, width: int = 1280, scheme: str = "light") -> Chrome:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    emulate(chrome, "screen", scheme)
    chrome.get(page.as_uri())
    return chrome


def emulate(chrome: Chrome, media: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def the(report: Chrome, selector: str) -> WebElement:
    return report.find_element(By.CSS_SELECTOR, selector)


def chosen(report: Chrome, selector: str, text: str) -> None:
    Select(the(report, selector)).select_by_visible_text(text)


def cells(report: Chrome, column: int) -> list[str]:
    """Of the rows that are shown."""
    script = """return [...document.querySelectorAll("#run-table tbody tr:not([hidden])")]
        .map(row => row.cells[arguments[0]].innerText)"""
    return report.execute_script(script, column)


def headers(report: Chrome) -> list[str]:
    texts = [header.text for header in report.find_elements(By.CSS_SELECTOR, "#run-table thead th")]
    return [text.split("\N{NO-BREAK SPACE}")[0].replace("\N{NON-BREAKING HYPHEN}", "-") for text in texts]


def drawn_runs(report: Chrome) -> set[str]:
    """Ids of the runs with a line."""
    script = """const runs = JSON.parse(document.getElementById("data").textContent).runs;
        return [...document.querySelectorAll("#chart .line")].map(line => runs[line.dataset.run].id)"""
    return set(report.execute_script(script))


def test_it_asks_no_network_and_reports_no_error(report):
    assert report.execute_script("return performance.getEntriesByType('resource')") == []
    assert report.get_log("browser") == []
    report.execute_script("fetch('https://example.org').catch(() => {})")  # what the policy must refuse
    assert any("Content Security Policy" in entry["message"] for entry in report.get_log("browser"))


def test_filters_narrow_rows_lines_and_the_count(report, results):
    runs = results.runs
    assert cells(report, 0) == list(runs.run)
    assert the(report, "#count").text == f"{len(runs)} of {len(runs)} runs shown"
    first = runs[runs["problem.smoothness_ratio"] == 1.5]
    assert drawn_runs(report) == set(first.run)
    chosen(report, "[data-filter=status]", "diverged")
    diverged = runs[runs.status == "diverged"]
    assert 0 < len(diverged) < len(runs) and cells(report, 0) == list(diverged.run)
    assert drawn_runs(report) == set(diverged.run) & set(first.run)
    the(report, "#search").send_keys("arithmetic 1.5")
    left = diverged[(diverged.rule == "arithmetic-mean-pl") & (diverged["problem.smoothness_ratio"] == 1.5)]
    assert cells(report, 0) == list(left.run) and drawn_runs(report) == set(left.run)
    assert the(report, "#count").text == f"{len(left)} of {len(runs)} runs shown"
    the(report, "#search").send_keys(" nowhere")
    assert cells(report, 0) == [] and drawn_runs(report) == set()
    assert not [entry for entry in report.get_log("browser") if entry["level"] == "SEVERE"]


def test_columns_sort_by_number_and_by_word_both_ways(report, results):
    for name, key in (("stepsize", float), ("kind", str)):
        column = headers(report).index(name)
        header = report.find_elements(By.CSS_SELECTOR, "#run-table thead th")[column]
        button = header.find_element(By.TAG_NAME, "button")
        button.send_keys(Keys.ENTER)
        assert header.get_attribute("aria-sort") == "ascending"
        ascending = list(map(key, cells(report, column)))
        button.click()
        assert header.get_attribute("aria-sort") == "descending"
        descending = list(map(key, cells(report, column)))
        assert sorted(set(ascending)) == list(dict.fromkeys(ascending)) == list(dict.fromkeys(descending))[::-1]
        assert len(ascending) == len(results.runs) and len(set(ascending)) > 1


def test_what_is_missing_sorts_last_in_both_directions(report):
    column = next(index for index, name in enumerate(headers(report)) if name.startswith("rounds to"))
    for _ in range(2):
        report.find_elements(By.CSS_SELECTOR, "#run-table thead button")[column].click()
        missing = [cell == "-" for cell in cells(report, column)]
        assert missing == sorted(missing) and len(set(missing)) == 2


def test_the_horizontal_axis_switches(report, results):
    paths = [line.get_attribute("d") for line in report.find_elements(By.CSS_SELECTOR, "#chart .line")]
    assert the(report, "#x-label").text == "round t"
    the(report, "[value=bits_per_worker]").click()
    assert the(report, "#x-label").text == "bits sent by each worker"
    assert [line.get_attribute("d") for line in report.find_elements(By.CSS_SELECTOR, "#chart .line")] != paths
    assert "bits sent by each worker" in str(the(report, "#chart").get_attribute("aria-label"))
    if "passes_per_round" in results.runs:
        the(report, "[value=passes]").click()
        assert the(report, "#x-label").text.startswith("passes over the data")
    the(report, "[value=seconds]").click()
    assert the(report, "#x-label").text.startswith("simulated time")


def test_bounds_are_dashed_and_drawn_exactly_where_the_theorem_speaks(report, results):
    assert not report.find_elements(By.CSS_SELECTOR, "#chart .bound")
    options = Select(the(report, "#metric")).options
    (option,) = [each for each in options if str(each.text).endswith("and its bound (quadratic-mean)")]
    option.click()
    runs = results.runs[results.runs["problem.smoothness_ratio"] == 1.5]
    speaking = set(runs.run[runs.applies_quadratic_mean.eq(True)])
    bounds = report.find_elements(By.CSS_SELECTOR, "#chart .bound")
    assert drawn_runs(report) == speaking and len(bounds) == len(speaking) and 0 < len(speaking) < len(runs)
    assert all(bound.value_of_css_property("stroke-dasharray") != "none" for bound in bounds)


def test_the_keyboard_reads_the_value_of_the_trace(report, results):
    run = results.runs[results.runs.status == "finished"].iloc[0]
    Select(the(report, "#line")).select_by_value("0")
    slider = the(report, "#point")
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    trace = results.traces[results.traces.run == run.run].iloc[2]
    assert run.run == results.runs.run[0] and slider.get_attribute("value") == "2"
    expected = f"round {trace['round']}: {as_read(trace.grad_norm_sq)}"
    assert slider.get_attribute("aria-valuetext") == expected
    assert the(report, "#readout").text.endswith(f"({run.run}): {expected}")
    the(report, "[value=bits_per_worker]").click()
    assert f"({trace.bits_per_worker:,.0f} bits)" in the(report, "#readout").text


def test_the_pointer_reads_the_value_of_the_nearest_line(report, results):
    chosen(report, "[data-filter=method]", "gd")
    (run,) = drawn_runs(report)
    chart = the(report, "#chart")
    x, y = report.execute_script(
        """const [chart, line] = arguments, box = chart.getBoundingClientRect();
        const end = line.getPointAtLength(line.getTotalLength()).matrixTransform(line.getScreenCTM());
        return [end.x - box.x - box.width / 2, end.y - box.y - box.height / 2]""",
        chart,
        the(report, "#chart .line"),
    )
    ActionChains(report).move_to_element_with_offset(chart, round(x) - 2, round(y) - 2).perform()
    trace = results.traces[results.traces.run == run].iloc[-1]
    told, _, value = the(report, "#readout").text.rpartition(" ")
    assert told.endswith(f"({run}): round {trace['round']}:") and value == as_read(trace.grad_norm_sq)


def as_read(number: float) -> str:
    """A value as the page writes it."""
    return re.sub(r"e-0", "e-", f"{number:.3e}") if abs(number) < 1e-3 else f"{number:.4g}"


def test_choosing_a_row_shows_its_problem_and_emphasises_its_line(report, results):
    run = results.runs[results.runs["problem.smoothness_ratio"] == 2.5].run.iloc[1]
    button = report.find_element(By.XPATH, f"//button[text()='{run}']")
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "true"
    assert run in drawn_runs(report) and "2.5" in the(report, "#caption").text
    (line,) = report.find_elements(By.CSS_SELECTOR, "#chart .line.on")
    others = report.find_elements(By.CSS_SELECTOR, "#chart .line:not(.on)")
    opacities = {element.value_of_css_property("opacity") for element in others}
    assert line.value_of_css_property("opacity") == "1" and opacities == {"0.25"}
    assert the(report, "#count").text.endswith(f"{run} is emphasised in the figure")
    button.send_keys(Keys.SPACE)
    assert not report.find_elements(By.CSS_SELECTOR, "#chart .on")


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_no_width_scrolls_the_page_sideways(chrome, page, width):
    report = opened(chrome, page, width)
    assert report.execute_script("return document.documentElement.scrollWidth") <= width
    for region in report.find_elements(By.CSS_SELECTOR, ".scroll"):
        assert region.get_attribute("tabindex") == "0" and region.aria_role == "region" and region.accessible_name


def test_dark_mode_turns_the_page_dark_and_printing_light(chrome, page):
    grounds = {scheme: background(opened(chrome, page, scheme=scheme)) for scheme in ("light", "dark")}
    assert grounds["light"] == "rgba(255, 255, 255, 1)" and grounds["dark"] == "rgba(20, 23, 27, 1)"
    emulate(chrome, "print", "dark")
    assert background(chrome) == grounds["light"]
    assert not any(control.is_displayed() for control in chrome.find_elements(By.CSS_SELECTOR, ".controls, nav, .skip"))
    overflows = {region.value_of_css_property("overflow-x") for region in chrome.find_elements(By.CLASS_NAME, "scroll")}
    assert overflows == {"visible"}


def background(chrome: Chrome) -> str:
    return the(chrome, "body").value_of_css_property("background-color")


def test_it_is_told_to_who_cannot_see_it(report):
    headings = report.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")
    levels = [int(heading.tag_name[1]) for heading in headings]
    assert levels.count(1) == 1 and levels[0] == 1 and max(np.diff(levels)) <= 1
    assert the(report, "html").get_attribute("lang") == "en"
    for table in report.find_elements(By.TAG_NAME, "table"):
        columns = table.find_elements(By.CSS_SELECTOR, "thead th[scope=col]")
        rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
        assert columns and all(len(row.find_elements(By.CSS_SELECTOR, "th[scope=row]")) == 1 for row in rows)
    pictures = report.find_elements(By.TAG_NAME, "svg")
    assert len(pictures) == 3 and all(picture.aria_role in ("img", "image") for picture in pictures)
    controls = report.find_elements(By.CSS_SELECTOR, "button, input, select")
    assert all(named.accessible_name for named in [*pictures, *(each for each in controls if each.is_displayed())])


def test_the_first_key_skips_to_the_verdicts(report):
    ActionChains(report).send_keys(Keys.TAB).perform()
    skip = report.switch_to.active_element
    assert skip.text == "Skip to the verdicts" and skip.rect["x"] >= 0
    assert skip.value_of_css_property("outline-style") == "solid"
    skip.send_keys(Keys.ENTER)
    assert report.switch_to.active_element.get_attribute("id") == "verdicts"


def test_text_of_configs_and_data_stays_text(chrome, results, tmp_path):
    runs = results.runs.assign(
        **{"problem.dataset": HOSTILE.replace("/", "") + results.runs["problem.smoothness_ratio"].astype(str)}
    )
    hostile = replace(results, runs=runs, config=replace(results.config, name=HOSTILE))
    report = opened(chrome, write_report(hostile, judge(results), tmp_path / "hostile.html"))
    assert report.get_log("browser") == []
    assert the(report, "h1").text == HOSTILE and HOSTILE in the(report, "header").text.partition("\n")[2]
    assert report.execute_script("return document.images.length + document.scripts.length") == 2
    assert HOSTILE in the(report, "main").text and HOSTILE in the(report, "#config").text
    assert "<img" in the(report, "#caption").text
    assert json.loads(the(report, "#data").get_attribute("textContent") or "")["problems"][0].endswith("1.5")


def test_without_scripts_verdicts_runs_and_constants_are_still_there(chrome, page, results):
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        told = opened(chrome, page).find_element(By.TAG_NAME, "body").text
        assert "These figures need JavaScript" in told and "Vertical axis" not in told and "Search" not in told
        assert all(run in told for run in results.runs.run)
    finally:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
