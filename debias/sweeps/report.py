"""What came back of a sweep, finished or not: a row for each planned run, and a table of those that are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from debias.reports.comparison import compare
from debias.reports.run_folder import read_report
from debias.sweeps.files import Files, read_plan

#: In the order in which a summary names them.
STATUSES = ("done", "running", "failed", "interrupted", "waiting")


class Row(NamedTuple):
    """A planned run.

    Args:
        name: of its folder.
        settings: its config, and what the sweep varies.
        status: one of ``STATUSES``.
        reason: why its last attempt failed; empty otherwise.
        report: its record, where it is done.
    """

    name: str
    settings: str
    status: str
    reason: str
    report: dict[str, Any] | None


def rows(out: Path) -> list[Row]:
    """What the folder of a sweep says of each run that was planned, in the order of the plan.

    Raises:
        ValueError: there is no sweep, or a report that this version cannot read.
    """
    return [_row(out, planned.name, planned.settings) for planned in read_plan(out)]


def summary(found: Sequence[Row]) -> str:
    """How many runs there are of each status.

    Example:
        >>> summary([Row("a", "erm", "done", "", {}), Row("b", "dro", "failed", "OSError", None)])
        '2 planned: 1 done, 1 failed'
    """
    counts = Counter(row.status for row in found)
    return f"{len(found)} planned: " + ", ".join(f"{counts[name]} {name}" for name in STATUSES if counts[name])


def markdown(out: Path, *, ignore: Collection[str]) -> str:
    """The comparison of the runs that are done, the counts, and why runs failed.

    Args:
        out: folder of the sweep.
        ignore: settings that do not change what a run computes.
    """
    found = rows(out)
    done = [out / row.name for row in found if row.status == "done"]
    failed = [f"- failed: {row.settings}: {row.reason}" for row in found if row.status == "failed"]
    table = compare(done, ignore=ignore).table("markdown")
    return "\n".join([table, "", summary(found), *failed])


def _row(out: Path, name: str, settings: str) -> Row:
    files = Files(out, name)
    status = files.status()
    report = read_report(out / name) if status == "done" else None
    return Row(name, settings, status, files.reason() if status == "failed" else "", report)
