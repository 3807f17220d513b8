"""The index of all runs in a folder: their order, what distinguishes them, and odd names."""

import os
from pathlib import Path

import pytest

from debias.__main__ import main
from debias.reports.index import index, write_index
from tests.reports.sample_runs import finished_run, sample_report, started_run
from tests.reports.test_page import Page

TIME = 1_790_000_000


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four finished runs, each a minute newer than the one before, and an unfinished one."""
    for number, rate in enumerate((0.1, 0.1, 0.1, 0.5)):
        config = {"strategy": {"name": "erm"}, "optimizer": {"lr": rate}, "workers": number}
        report = sample_report(strategy="erm", seed=number, config=config)
        finished_run(tmp_path / f"sweep/{number}", report)
        os.utime(tmp_path / f"sweep/{number}/report.json", (TIME + 60 * number,) * 2)
    started_run(tmp_path / "begun")
    (tmp_path / "sweep" / "sweep.html").touch()
    return tmp_path


def test_the_newest_is_first_and_the_unfinished_last(runs: Path) -> None:
    found = index(runs, ignore=["workers"])
    names = [run.name for run in found.runs]
    assert names == ["sweep/3", "sweep/2", "sweep/1", "sweep/0", "begun"]
    assert found.summary == "5 runs, 1 not finished"
    assert found.runs[-1].problem.startswith(f"{runs / 'begun'} has not finished")


def test_only_settings_that_most_runs_do_not_share_are_listed(runs: Path) -> None:
    """Three runs have the learning rate 0.1; the number of workers is ignored."""
    found = {run.name: run.differences for run in index(runs, ignore=["workers"]).runs}
    assert found == dict.fromkeys(found, ()) | {"sweep/3": ("optimizer.lr=0.5",)}


def test_page_links_to_runs_and_overviews(runs: Path) -> None:
    page = Page(write_index(index(runs)).read_text(encoding="utf-8"))
    assert page.addresses == [
        "sweep/sweep.html", *(f"sweep/{number}/report.html" for number in (3, 2, 1, 0))
    ]  # fmt: skip
    assert "sweep/371.2waterbird-land88.2ermwaterbirdstf_efficientnet_lite03" in page.text
    assert "not finished" in page.text


def test_odd_names_stay_text(tmp_path: Path) -> None:
    odd = '"><script>alert(1)<'
    finished_run(tmp_path / odd, sample_report(strategy=odd, targets=(odd, "b")))
    html = write_index(index(tmp_path)).read_text(encoding="utf-8")
    assert Page(html).tags.count("script") == 1
    assert odd not in html


def test_command_prints_the_page_or_one_line(
    runs: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(runs)]) == 0
    assert capsys.readouterr().out == f"5 runs, 1 not finished\n{runs}/index.html\n"
    assert (runs / "index.html").is_file()
    empty = tmp_path_factory.mktemp("empty")
    assert main(["index", str(empty)]) == 2
    assert capsys.readouterr().err == f"debias: no run in {empty}: give a folder of runs\n"
