"""Every page in a real browser: no console error, tables sort and filter, pictures open large.

The tests run where chromium is installed, and are skipped elsewhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from debias.audits.lines import Section, Strip, ValueBar
from debias.audits.page import write_page
from debias.config import EXECUTION
from debias.reports.comparison import compare
from debias.reports.index import index, write_index
from debias.reports.method_views import write_comparison
from debias.sweeps.files import write_plan
from debias.sweeps.plan import plan
from debias.sweeps.report import results
from debias.sweeps.report_formats import page
from tests.audits.test_page import audited, line, report
from tests.reports.browser import CHROMIUM, Browser
from tests.reports.sample_runs import (
    finished_run,
    html_of,
    sample_predictions,
    sample_report,
    started_run,
)
from tests.sweeps.finished_runs import finish

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

ODD = "</script><script>throw 1</script><img src=x onerror=alert(1)>"
#: Rows of the table whose number is %d that are visible, by the text of their first cell.
ROWS = """[...document.querySelectorAll("table")[%d].tBodies[0].rows]
  .filter((row) => !row.hidden).map((row) => row.cells[0].textContent.trim())"""
#: Width of the enlarged picture in its file, once it is decoded.
ENLARGED = """(() => { const picture = document.querySelector("dialog img");
  return picture.decode().then(() => picture.naturalWidth); })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


def picture(row: int) -> tuple[np.ndarray[Any, Any], None]:
    return np.full((300, 400, 3), 10 * row, np.uint8), None


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose class names try to run a script, with pictures and maps."""
    report = sample_report(targets=("landbird", ODD))
    html = html_of(report, sample_predictions(), picture, overlays=lambda row: picture(row)[0])
    path = tmp_path_factory.mktemp("run") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def overviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of eight methods with odd names, their comparison, index and sweep."""
    folder = tmp_path_factory.mktemp("overviews")
    for number in range(8):
        report = sample_report(
            strategy=f"{ODD}{number}" if number else "erm",
            targets=("landbird", f"w {ODD}"),
            accuracies=(0.9, 0.8, 0.1 * number, 0.85),
        )
        finished_run(folder / "runs" / f"run {number}", report)
    started_run(folder / "runs" / ODD.replace("/", ""))
    write_comparison(folder / "comparison.html", compare([folder / "runs"]))
    (folder / "sweep.yaml").write_text(
        f"out: {folder / 'planned'}\nconfigs: [drawn_birds, drawn_birds/irm]\nseeds: [0, 1]"
    )
    planned = plan(folder / "sweep.yaml")
    write_plan(planned)
    for run, worst in zip(planned.runs, (0.5, 0.3, 0.4, 0.6), strict=True):
        finish(run, worst=worst, right=[1] * 8)
    found = results(planned.out, ignore=EXECUTION)
    (folder / "sweep.html").write_text(page(found, folder, EXECUTION), encoding="utf-8")
    write_index(index(folder))
    return folder


@pytest.fixture(scope="module")
def audit_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an audit whose names try to run a script, with bars, a table and pictures."""
    folder = tmp_path_factory.mktemp("audit")
    bars = (ValueBar(ODD, 0.9, 0.85, 0.95, beside=0.4), ValueBar("layout", 0.6, 0.55, 0.65))
    table = (("red", "> 0.3 in 90 % of cats", "0.9"), ("blue " + 30 * "long ", "", "0.5"))
    strip = Strip("lowest", (0, 1, 2), ("one", ODD, "three"))
    section = Section(ODD, ("What it is.",), 0.5, bars, ("name", "rule", "value"), table, (strip,))
    write_page(report(line("offered", ODD, "strong"), sections=(section,)), audited(folder), folder)
    return folder / "audit.html"


def visible(browser: Browser, selector: str) -> bool:
    """Whether the first such element lies wholly in the window, without scrolling."""
    inside = browser.run(f"""(() => {{
      const box = document.querySelector({selector!r}).getBoundingClientRect();
      return box.width > 0 && box.left >= 0 && box.top >= 0
        && box.right <= innerWidth && box.bottom <= innerHeight;
    }})()""")
    return bool(inside)


def click(browser: Browser, selector: str, place: int = 0) -> None:
    browser.run(f"document.querySelectorAll({selector!r})[{place}].click()")


def test_page_of_a_run_shows_its_worst_group_and_no_error(browser: Browser, run_page: Path) -> None:
    browser.open(run_page)
    assert visible(browser, ".headline dd")
    assert visible(browser, ".bars .worst")
    assert browser.run("document.title").startswith("waterbirds-group_dro-seed0")
    assert browser.errors == []


def test_the_browser_reports_errors_and_runs_no_other_script(
    browser: Browser, run_page: Path
) -> None:
    """A script that a template had let through would not run, and would be reported."""
    text = run_page.read_text(encoding="utf-8")
    injected = run_page.with_name("injected.html")
    injected.write_text(text.replace("<main>", "<main><script>document.title = 1</script>"))
    browser.open(injected)
    assert browser.run("document.title") != "1"
    assert "Content Security Policy" in browser.errors[0]


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_a_run_without_scrolling_sideways(
    browser: Browser, run_page: Path, dark: bool
) -> None:
    browser.open(run_page, width=400, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")


def test_a_table_sorts_up_and_down_and_filters(browser: Browser, run_page: Path) -> None:
    """The selection table: epochs 3, 0, 0, 3, 0. Equal rows keep their order."""
    browser.open(run_page)
    before = browser.run(ROWS % 0)
    for order in ([0, 3, 1, 2, 4], [1, 2, 4, 0, 3]):
        click(browser, "table .sort", 1)
        assert browser.run(ROWS % 0) == [before[place] for place in order]
    click(browser, "table .sort", 0)
    assert browser.run(ROWS % 0) == sorted(before, key=str.lower)
    assert browser.run('document.querySelectorAll("[aria-sort]").length') == 1
    browser.run("""(() => {
      const input = document.querySelector(".filter input");
      input.value = "group ADJ"; input.dispatchEvent(new Event("input"));
    })()""")
    assert browser.run(ROWS % 1) == ["Adjusted average"]
    assert browser.run('document.querySelector(".filter output").textContent').startswith("1 of ")
    assert browser.errors == []


def test_pictures_open_large_by_keyboard_and_close(browser: Browser, run_page: Path) -> None:
    """The first mistake is 100 px wide in the grid, and 400 px are in the page."""
    browser.open(run_page)
    browser.run('document.querySelector(".enlarge").focus()')
    browser.press("Enter")
    assert browser.run('document.querySelector("dialog").open')
    assert browser.run(ENLARGED) == 400
    wide = 'document.querySelector("dialog img").getBoundingClientRect().width'
    assert browser.run(wide) > 800
    caption = 'document.querySelector("dialog p").textContent'
    assert "birds/16.jpg" in browser.run(caption)
    browser.press("ArrowRight")
    assert "birds/13.jpg" in browser.run(caption)
    browser.press("Escape")
    assert not browser.run('document.querySelector("dialog").open')
    assert browser.errors == []


def test_maps_of_the_mistakes_are_shown_on_demand(browser: Browser, run_page: Path) -> None:
    browser.open(run_page)
    shown = """[".plain", ".overlay"].map(
      (name) => document.querySelector(name).checkVisibility())"""
    assert browser.run(shown) == [True, False]
    click(browser, ".maps")
    assert browser.run(shown) == [False, True]


def test_without_javascript_the_facts_and_maps_are_there(browser: Browser, run_page: Path) -> None:
    """The page has no dead control: its only one, for the maps, works by CSS."""
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(run_page)
        assert browser.run('document.querySelectorAll("button, input").length') == 1
        assert visible(browser, ".bars .worst")
        click(browser, ".maps")
        assert browser.run('document.querySelector(".overlay").checkVisibility()')
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("dark", [False, True])
def test_an_audit_fits_a_phone_and_its_pictures_open(
    browser: Browser, audit_page: Path, dark: bool
) -> None:
    browser.open(audit_page, width=400, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert browser.run('document.querySelectorAll(".bars .fill").length') == 3
    assert browser.run('document.querySelectorAll(".bars .whisker").length') == 2
    assert browser.run('document.querySelectorAll(".bars .average").length') == 3
    browser.run('document.querySelector(".enlarge").focus()')
    browser.press("Enter")
    assert browser.run(ENLARGED) == 96
    browser.press("Escape")
    assert browser.errors == []


@pytest.mark.parametrize("name", ["comparison", "index", "sweep"])
def test_overviews_show_the_worst_group_without_scrolling(
    browser: Browser, overviews: Path, name: str
) -> None:
    browser.open(overviews / f"{name}.html")
    assert visible(browser, "tbody tr:first-child td.own")
    assert browser.errors == []
    browser.open(overviews / f"{name}.html", width=400)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert browser.errors == []


@pytest.mark.parametrize("name", ["comparison", "index", "sweep"])
def test_overviews_sort_by_worst_group(browser: Browser, overviews: Path, name: str) -> None:
    """The first click puts the best first, the second the worst; an unfinished run stays last."""
    browser.open(overviews / f"{name}.html")
    column = 1 if name == "index" else 3
    cells = f"""[...document.querySelector("table").tBodies[0].rows]
      .map((row) => parseFloat(row.cells[{column}].textContent))"""
    click(browser, "table .sort", 0)  # by name, which moves the unfinished run away from the end
    for reverse in (True, False):
        click(browser, "table .sort", column)
        found = [value for value in browser.run(cells) if value is not None]
        assert len(found) > 1
        assert found == sorted(found, reverse=reverse)
        if name == "index":
            assert browser.run(cells)[-1] is None
    assert browser.errors == []


def test_a_search_over_runs_needs_every_word(browser: Browser, overviews: Path) -> None:
    browser.open(overviews / "index.html")

    def found(words: str) -> list[str]:
        browser.run(f"""(() => {{
          const input = document.querySelector("input");
          input.value = {words!r}; input.dispatchEvent(new Event("input"));
        }})()""")
        rows: list[str] = browser.run(ROWS % 0)
        return rows

    assert len(found("")) == 13
    assert found("ERM waterbirds") == ["runs/run 0"]
    assert sorted(found("drawn_birds irm seed")) == sorted(
        run for run in found("irm") if run.startswith("planned/")
    )
    assert len(found("irm")) == 2
    assert found("nothing like it") == []


def test_a_legend_hides_bars_and_curves_of_a_method(browser: Browser, overviews: Path) -> None:
    """The bars of method 2 are six: the worst group, the average, and four groups. Its curve has a
    line and a mark. Each section has a legend of its own.
    """
    browser.open(overviews / "comparison.html")
    hidden = """[...document.querySelectorAll("section")]
      .map((section) => [...section.querySelectorAll("[data-series]")])
      .map((parts) => parts.filter((part) => part.style.display === "none").length)
      .filter((count) => count > 0)"""
    assert browser.run(hidden) == []
    click(browser, ".series button", 2)
    assert browser.run(hidden) == [6]
    click(browser, ".series button", 9 + 2)  # after "all or none"
    assert browser.run(hidden) == [6, 2]
    click(browser, ".series button", 2)
    assert browser.run(hidden) == [2]
    for expected in ([], [8 * 2]):
        click(browser, ".series button", 9 + 8)
        assert browser.run(hidden) == expected
    assert browser.errors == []


@pytest.mark.parametrize("name", ["comparison", "sweep"])
def test_charts_open_large(browser: Browser, overviews: Path, name: str) -> None:
    browser.open(overviews / f"{name}.html")
    click(browser, ".enlarge")
    wide = 'document.querySelector("dialog svg").getBoundingClientRect().width'
    assert browser.run(wide) > 800
    browser.press("Escape")
    assert not browser.run('document.querySelector("dialog").open')
    assert browser.errors == []


def test_a_heat_map_has_readable_text_in_both_modes(browser: Browser, overviews: Path) -> None:
    """The strongest cell keeps a contrast of 4.5 to its text, by the definition of WCAG."""
    contrast = """(() => {
      const context = document.createElement("canvas").getContext("2d");
      const luminance = (colour) => {
        context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
        const parts = [...context.getImageData(0, 0, 1, 1).data].map((part) => part / 255)
          .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
      };
      const style = getComputedStyle(document.querySelector(".heat td.worst"));
      const both = [luminance(style.color), luminance(style.backgroundColor)];
      return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    })()"""
    for dark in (False, True):
        browser.open(overviews / "comparison.html", dark=dark)
        click(browser, ".heat .sort", 3)
        click(browser, ".heat .sort", 3)
        assert browser.run(contrast) >= 4.5
