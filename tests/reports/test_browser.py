"""Every page in a real browser: no console error, tables sort and filter, pictures open large.

The tests run where chromium is installed, and are skipped elsewhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports.browser import CHROMIUM, Browser
from tests.reports.sample_runs import html_of, sample_predictions, sample_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

ODD = "</script><script>throw 1</script><img src=x onerror=alert(1)>"
#: Rows of the table whose number is %d that are visible, by the text of their first cell.
ROWS = """[...document.querySelectorAll("table")[%d].tBodies[0].rows]
  .filter((row) => !row.hidden).map((row) => row.cells[0].textContent.trim())"""


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
    wide = 'document.querySelector("dialog img").getBoundingClientRect().width'
    assert browser.run(wide) > 800
    assert browser.run('document.querySelector("dialog img").naturalWidth') == 400
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
