"""Recorded results of published tables: written by the command, read by the pages."""

from pathlib import Path

import pytest

from debias.__main__ import main
from debias.sweeps import reproduce
from debias.sweeps.published import BENCHMARKS, FACTS, Setting
from debias.sweeps.reproduce import reproduction
from debias.sweeps.reproducing import results as results_of_tables
from debias.sweeps.reproducing.results import (
    UNKNOWN,
    Result,
    benchmark_rows,
    figure_rows,
    key_of,
    method_of,
    read_results,
    record_results,
    reproduced_by,
)
from tests.sweeps.finished_runs import finish

#: Figures of two settings of Waterbirds: 86.7 and 84.6 as printed, and a range that holds 60.
ROWS = [
    Setting("waterbirds/jtt", "86.7", "a", seeds=2),
    Setting("waterbirds/jtt", "99.0", "a", "average", seeds=2, accept="10-20"),
    Setting("waterbirds/group_dro_strong", "84.6", "b", seeds=1),
]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waterbirds alone, with ROWS."""
    for module in (reproduce, results_of_tables):
        monkeypatch.setattr(module, "BENCHMARKS", {"waterbirds": ROWS})


@pytest.mark.usefixtures("few")
def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    """JTT with 85.0 and 87.0 of 95 seconds and two threads each: 86.0 +- 1.41, 0.11 CPU-hours. Its
    average is that of the sample. Nothing of Group DRO, then 60.0 of one seed.
    """
    table = tmp_path / "results.csv"
    _, found = reproduction("waterbirds", [f"out={tmp_path}/runs", "data.root=birds"])
    for run, worst in zip(found[0].runs, (0.85, 0.87), strict=True):
        finish(run, worst=worst)
    record_results(table, "waterbirds", found)
    results = read_results(table)
    jtt, average, dro = (key_of("waterbirds", row) for row in ROWS)
    assert jtt == ("waterbirds", "jtt", "", "worst_group")
    assert list(results) == [jtt, average]
    assert results[jtt] == Result("86.00", "1.41", "2", "0.11", "cpu (2 threads)", "abc1234+")
    (row,) = benchmark_rows(results)
    assert row[2:5] == ["0.1 CPU-hours", "1 of 2 pass", "1"]
    cells = [(*line[4:6], line[-1]) for line in figure_rows("waterbirds", results)]
    assert cells[0] == ("86.0 ± 1.4", "2 of 2", "PASS")
    assert cells[1][-1].startswith("-")
    assert cells[2] == ("-", "0 of 1", UNKNOWN)
    assert reproduced_by(results) == {("recipe", "jtt"): ["`waterbirds` (1 of 2)"]}
    finish(found[2].runs[0], worst=0.6)
    record_results(table, "waterbirds", found[2:])
    assert list(read_results(table)) == [jtt, average, dro]
    assert reproduced_by(read_results(table))[("strategy", "group_dro")] == []


@pytest.mark.usefixtures("few")
def test_results_of_some_seeds_reproduce_nothing(tmp_path: Path) -> None:
    """One of two seeds passes, and counts in the table of figures only."""
    _, found = reproduction("waterbirds", [f"out={tmp_path}/runs", "data.root=birds"])
    finish(found[0].runs[1], worst=0.867)
    record_results(tmp_path / "results.csv", "waterbirds", found)
    results = read_results(tmp_path / "results.csv")
    assert next(figure_rows("waterbirds", results))[-1] == "PASS"
    assert results[key_of("waterbirds", ROWS[0])].deviation == ""
    assert reproduced_by(results) == {}
    (row,) = benchmark_rows(results)
    assert row[3:5] == ["1 of 2 pass", "3"]


def test_a_table_without_results_is_not_run_yet() -> None:
    rows = list(benchmark_rows({}))
    assert [row[0] for row in rows] == [facts.title for facts in FACTS.values()]
    assert {(row[2], row[3]) for row in rows} == {(UNKNOWN, UNKNOWN)}
    assert rows[0][4] == str(len(BENCHMARKS["waterbirds"]))


@pytest.mark.parametrize(
    ("setting", "method"),
    [
        (Setting("waterbirds/jtt", "1", ""), ("recipe", "jtt")),
        (Setting("irm_coloured_mnist/vrex", "1", ""), ("strategy", "vrex")),
        (Setting("irm_coloured_mnist/grey", "1", ""), ("strategy", "erm")),
        (
            Setting("waterbirds", "1", "", varied={"sampler.name": "group_balanced"}),
            ("sampler", "group_balanced"),
        ),
    ],
)
def test_the_method_of_a_setting(setting: Setting, method: tuple[str, str]) -> None:
    assert method_of(setting) == method


@pytest.mark.usefixtures("few")
def test_a_report_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the results of the one finished run, and leaves the others."""
    _, found = reproduction("waterbirds", [f"out={tmp_path}/runs", "data.root=birds"])
    finish(found[2].runs[0], worst=0.84)
    command = ["reproduce", "waterbirds", "--report", f"out={tmp_path}/runs", "data.root=birds"]
    assert main([*command, f"results={tmp_path}/results.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("not run")
    assert lines[4].endswith("PASS")
    assert list(read_results(tmp_path / "results.csv")) == [key_of("waterbirds", ROWS[2])]
    assert not (tmp_path / "runs" / "plan.json").exists()
