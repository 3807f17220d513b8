"""Estimate the time of a run from finished runs with the same config and components."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable

from debias.config import SECTIONS
from debias.merging import Section
from debias.reports.privacy import without_places
from debias.reports.record import Report, read_report
from debias.sweeps.files import Files, files_of
from debias.sweeps.plan import PlannedRun


class Costs:
    """The durations of finished runs, grouped by config name and component names."""

    def __init__(self) -> None:
        self.seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        self.processors: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)

    def read(self, files: Files) -> Report:
        """Record the duration of a finished run, and return its report."""
        report = read_report(files.report.parent)
        kind = _kind(report.config)
        self.seconds[kind].append(report.seconds.total)
        if (processor := processor_seconds(report)) is not None:
            self.processors[kind].append(processor)
        return report

    def expected(self, run: PlannedRun) -> float | None:
        """Mean seconds of finished runs with the same config name and components as ``run``.

        ``None`` if there are none.
        """
        return self.expected_of(kind_of(run))

    def expected_of(self, kind: tuple[str, ...]) -> float | None:
        """Mean seconds of the finished runs of a kind; ``None`` if there are none."""
        seconds = self.seconds.get(kind)
        return statistics.fmean(seconds) if seconds else None

    def processor(self, run: PlannedRun) -> float | None:
        """Mean processor seconds of the same runs; ``None`` if none has trained on a CPU."""
        seconds = self.processors.get(kind_of(run))
        return statistics.fmean(seconds) if seconds else None


def kind_of(run: PlannedRun) -> tuple[str, ...]:
    """What runs of about the same duration share: config name and component names."""
    return _kind(vars(run.config))


def processor_seconds(report: Report) -> float | None:
    """Seconds of a run times its threads, the most that it used of a CPU; ``None`` elsewhere."""
    threads = re.fullmatch(r"cpu \((\d+) threads\)", report.device)
    return report.seconds.total * int(threads[1]) if threads else None


def costs_of(runs: Iterable[PlannedRun]) -> Costs:
    """Read the durations of the finished runs among ``runs``."""
    costs = Costs()
    for files in map(files_of, runs):
        if files.report.is_file():
            costs.read(files)
    return costs


def _kind(config: Section) -> tuple[str, ...]:
    names = (str(config.get(section, {}).get("name")) for section in SECTIONS)
    return (without_places(config["name"]), *names)
