"""Make ``index.html``, the page of all runs in a folder, finished or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError
from debias.files import write_atomically
from debias.reports.record import Report, read_report
from debias.reports.run_labels import MARKS
from debias.reports.sections import settings
from debias.reports.split import SCALARS
from debias.reports.templates import render

PAGE = "index.html"
#: Pages about several runs, which the index links to.
OVERVIEWS = ("comparison.html", "sweep.html")
#: Settings with a column of their own, or without meaning for the result.
NAMED = ("name", "seed", "data.name", "strategy.name", "model.name")


class IndexedRun(NamedTuple):
    """A run in the index.

    Attributes:
        folder: its folder.
        name: the folder's path from the folder of the index.
        written: when its last report was written, as "2026-11-30 04:12"; empty if unfinished.
        report: its record; ``None`` if it has not finished, or if the record cannot be read.
        problem: why there is no record.
        differences: its settings that most runs of the same data do not share.
    """

    folder: Path
    name: str
    written: str
    report: Report | None
    problem: str = ""
    differences: tuple[str, ...] = ()

    @property
    def worst(self) -> float | None:
        """Test accuracy of the worst group, or of the worst class without groups."""
        assert self.report is not None
        return self.report.test.scalars.get(SCALARS[self.report.test.kind][0])


class Index(NamedTuple):
    """The runs in a folder: finished ones first, newest first, and the paths of overview pages."""

    folder: Path
    runs: tuple[IndexedRun, ...]
    overviews: tuple[Path, ...]

    @property
    def unfinished(self) -> int:
        """Number of runs without a record."""
        return sum(run.report is None for run in self.runs)

    @property
    def summary(self) -> str:
        """The number of runs in one line."""
        runs = f"{len(self.runs):,} {'run' if len(self.runs) == 1 else 'runs'}"
        return f"{runs}, {self.unfinished:,} not finished" if self.unfinished else runs


def index(folder: Path, *, ignore: Collection[str] = ()) -> Index:
    """Read the runs in a folder, at any depth.

    Args:
        folder: the folder.
        ignore: settings that do not change the result of a run.

    Raises:
        ValueError: the folder does not exist, or contains no run.
    """
    found = sorted({file.parent for mark in MARKS for file in folder.rglob(mark)})
    if not found:
        raise InputError(f"no run in {folder}: give a folder of runs")
    runs = [_read(run, folder) for run in found]
    differences = _differences([run.report for run in runs if run.report], ignore)
    described = [run._replace(differences=differences.get(run.folder, ())) for run in runs]
    order = sorted(described, key=lambda run: run.written, reverse=True)
    pages = sorted(page for name in OVERVIEWS for page in folder.rglob(name))
    return Index(folder, tuple(order), tuple(page.relative_to(folder) for page in pages))


def write_index(found: Index) -> Path:
    """Write the page into the folder of the index, and return its path."""
    page = found.folder / PAGE
    write_atomically(page, render("index.html", {"index": found, "folder": found.folder.resolve()}))
    return page


def _read(run: Path, folder: Path) -> IndexedRun:
    name = run.relative_to(folder).as_posix()
    try:
        report = read_report(run)
        _ = report.test  # raises if there are no test metrics
    except InputError as error:
        return IndexedRun(run, name, "", None, str(error))
    written = datetime.fromtimestamp((run / "report.json").stat().st_mtime)
    return IndexedRun(run, name, f"{written:%Y-%m-%d %H:%M}", report)


def _differences(
    reports: Sequence[Report], ignore: Collection[str]
) -> Mapping[Path, tuple[str, ...]]:
    """The settings of each run that differ from the most frequent ones of runs on its data."""
    hidden = {*NAMED, *ignore}
    flat = {
        report.folder: {
            key: str(value)
            for key, value in settings(report.config).items()
            if key not in hidden and key.partition(".")[0] not in hidden
        }
        for report in reports
    }
    counts: dict[tuple[str, str], Counter[str]] = {}
    for report in reports:
        for key, value in flat[report.folder].items():
            counts.setdefault((report.data.name, key), Counter())[value] += 1
    usual = {key: values.most_common(1)[0][0] for key, values in counts.items()}
    return {
        report.folder: tuple(
            f"{key}={value}"
            for key, value in flat[report.folder].items()
            if value != usual[report.data.name, key]
        )
        for report in reports
    }
