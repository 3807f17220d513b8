"""What is said of a sweep that is not finished."""

from __future__ import annotations

import json

import pytest

from debias.config import EXECUTION
from debias.reports.run_folder import plain
from debias.sweeps.files import Files, write_plan
from debias.sweeps.plan import plan
from debias.sweeps.report import markdown, rows
from tests.reports.sample_runs import sample_report


def test_half_finished(sweep):
    """Of four planned runs two are done, one failed, one is still to come: 2 rows of the table, and the counts."""
    planned = plan(sweep("configs: [drawn_birds/erm, drawn_birds/group_dro]\nseeds: [0, 1]"))
    write_plan(planned)
    erm, dro, failed, _ = planned.runs
    reports = [plain(sample_report(strategy=name)) for name in ("erm", "group_dro")]
    for run, report in zip((erm, dro), reports, strict=True):
        run.folder.mkdir()
        (run.folder / "report.json").write_text(json.dumps(report))
    error = Files(planned.out, failed.name).error
    error.parent.mkdir()
    error.write_text("OSError: disk full\n\nTraceback (most recent call last): ...")
    found = rows(planned.out)
    assert [(row.name, row.settings) for row in found] == [(run.name, run.settings) for run in planned.runs]
    assert [(row.status, row.reason) for row in found] == [
        ("done", ""),
        ("done", ""),
        ("failed", "OSError: disk full"),
        ("waiting", ""),
    ]
    assert [row.report for row in found] == [*reports, None, None]
    lines = markdown(planned.out, ignore=EXECUTION).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| erm", "| group_dro"]
    assert lines[-2:] == [
        "4 planned: 2 done, 1 failed, 1 waiting",
        "- failed: drawn_birds/erm seed=1: OSError: disk full",
    ]


def test_nothing_done(sweep):
    planned = plan(sweep("configs: [drawn_birds/erm]"))
    write_plan(planned)
    assert markdown(planned.out, ignore=()).splitlines() == ["no finished run", "", "1 planned: 1 waiting"]


def test_no_sweep(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} holds no sweep"):
        rows(tmp_path)
