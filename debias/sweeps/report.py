"""What came back of a sweep, finished or not: a row for each run, and their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from debias.errors import InputError
from debias.json_files import Json
from debias.reports.comparison import ComparedMethod, Comparison, compare
from debias.reports.record import Report, read_report
from debias.sweeps.files import Files, read_plan
from debias.sweeps.protocol import Protocol, allowed_splits, read_protocol
from debias.sweeps.report_pairs import Paired, compare_pairs

if TYPE_CHECKING:
    import torch

#: What comes with a data set's images, of which it makes no other data set.
COMPANIONS = ("mask", "masks", "fills")
#: In the order in which a summary names them.
STATUSES = ("done", "running", "pruned", "failed", "interrupted", "waiting")


class Row(NamedTuple):
    """A run of the sweep, planned or added to its folder.

    Args:
        name: of its folder.
        settings: its config, and what the sweep varies.
        status: one of ``STATUSES``.
        reason: why it was pruned, or its last attempt failed; empty otherwise.
        report: its record, where it is done.
        added: it is in the folder, finished, and not in the plan.
    """

    name: str
    settings: str
    status: str
    reason: str
    report: Report | None
    added: bool = False

    @property
    def setting(self) -> str:
        """Its settings but for the seed, which a plan names last."""
        return self.settings.rpartition(" seed=")[0] or self.settings


@dataclass(frozen=True)
class Results:
    """What a sweep's folder holds.

    Args:
        out: the folder.
        rows: of every planned run, and of those that were added.
        comparisons: by data set, of the runs that are done.
        paired: by data set, which methods differ.
        protocol: which group labels the sweep allows itself, and how its settings were chosen;
            ``None`` if undeclared.
        left_out: why finished runs of the folder are in no table.
    """

    out: Path
    rows: tuple[Row, ...]
    comparisons: dict[str, Comparison]
    paired: dict[str, Paired]
    protocol: Protocol | None
    left_out: tuple[str, ...] = ()

    def methods(self) -> dict[str, tuple[str, ComparedMethod]]:
        """Data set and method of each run that is done, by the name of its folder."""
        return {
            run.folder.name: (dataset, method)
            for dataset, comparison in self.comparisons.items()
            for method in comparison.methods
            for run in method.runs
        }

    def added(self) -> list[str]:
        """A line for each run that is not in the plan."""
        names = [row.name for row in self.rows if row.added]
        return [f"added to the folder, not in the plan: {name}" for name in names]

    def failures(self) -> list[str]:
        """A line for each run that failed."""
        failed = [row for row in self.rows if row.status == "failed"]
        return [f"failed: {row.settings}: {row.reason}" for row in failed]


def rows(out: Path) -> list[Row]:
    """What the folder of a sweep says of each run that was planned, in the order of the plan.

    Raises:
        ValueError: there is no sweep. A run whose report cannot be read counts as failed.
    """
    return [_row(out, name, settings) for name, settings in read_plan(out)]


def results(out: Path, *, ignore: Collection[str], generator: torch.Generator) -> Results:
    """Read the folder of a sweep, and compare the methods of which runs are done.

    Args:
        out: folder of the sweep.
        ignore: settings that do not change what a run computes.
        generator: source of randomness, of the bootstrap.

    Raises:
        ValueError: there is no sweep.
    """
    protocol = read_protocol(out)
    planned = rows(out)
    added, left_out = added_rows(out, {row.name for row in planned}, protocol)
    found = [*planned, *added]
    done = {row.name: row.report.config["data"] for row in found if row.report is not None}
    folders: dict[str, list[Path]] = {}
    for name, dataset in zip(done, datasets(list(done.values()), ignore), strict=True):
        folders.setdefault(dataset, []).append(out / name)
    comparisons = {dataset: compare(runs, ignore=ignore) for dataset, runs in folders.items()}
    paired = {name: compare_pairs(one.methods, generator) for name, one in comparisons.items()}
    return Results(out, tuple(found), comparisons, paired, protocol, left_out)


def added_rows(
    out: Path, planned: Collection[str], protocol: Protocol | None
) -> tuple[list[Row], tuple[str, ...]]:
    """The finished runs of a folder that are not in its plan, and why some of them are left out.

    Beside a search there are runs of settings that it does not choose any more: none is added.

    Args:
        out: folder of the sweep.
        planned: names of the runs in the plan.
        protocol: that the sweep declares; a run that reads more group labels is left out.
    """
    if protocol and protocol.objectives:
        return [], ()
    allowed = {"none", *allowed_splits(protocol.labels)} if protocol else set()
    found, left_out = [], []
    for name in sorted(path.parent.name for path in out.glob("*/report.json")):
        if name in planned:
            continue
        try:
            report = read_report(out / name)
        except InputError as error:
            left_out.append(str(error))
            continue
        if protocol and (extra := set(report.strategy.group_labels.split("+")) - allowed):
            left_out.append(
                f"{name} reads the group labels of {' and '.join(sorted(extra))}, against "
                f"{protocol.labels}"
            )
        else:
            settings = f"{report.config['name']} (added) seed={report.seed}"
            found.append(Row(name, settings, "done", "", report, added=True))
    return found, tuple(left_out)


def datasets(sections: Sequence[Json], ignore: Collection[str]) -> list[str]:
    """The data set of each run: its name, and what else of the config's ``data`` tells it from
    others of the name.

    Masks and fills, which only some methods need, and settings that are ignored make no other data
    set.

    Args:
        sections: ``data`` of each run's config.
        ignore: settings that do not change what a run computes.

    Example:
        >>> datasets([{"name": "folder", "root": root} for root in ("a", "b", "a")], ())
        ['folder (root=a)', 'folder (root=b)', 'folder (root=a)']
    """
    hidden = {*(f"data.{key}" for key in COMPANIONS), *ignore}
    every = dict.fromkeys(key for data in sections for key in data)
    keys = [key for key in every if not {"data", f"data.{key}"} & hidden]
    found = []
    for data in sections:
        same = [one for one in sections if one["name"] == data["name"]]
        varied = [key for key in keys if any(one.get(key) != data.get(key) for one in same)]
        different = ", ".join(f"{key}={data.get(key, 'default')}" for key in varied)
        found.append(f"{data['name']} ({different})" if different else str(data["name"]))
    return found


def summary(found: Sequence[Row]) -> str:
    """How many runs there are of each status.

    Example:
        >>> summary([Row("a", "erm", "done", "", None), Row("b", "dro", "failed", "OSError", None)])
        '2 planned: 1 done, 1 failed'
    """
    planned = [row for row in found if not row.added]
    counts = Counter(row.status for row in planned)
    parts = [f"{counts[name]} {name}" for name in STATUSES if counts[name]]
    added = f"; {len(found) - len(planned)} added" if len(found) > len(planned) else ""
    return f"{len(planned)} planned: {', '.join(parts)}{added}"


def _row(out: Path, name: str, settings: str) -> Row:
    files = Files(out, name)
    status = files.status()
    try:
        report = read_report(out / name) if status == "done" else None
    except InputError as error:  # the other runs of the table are not lost by it
        return Row(name, settings, "failed", str(error), None)
    reason = files.reason() if status in ("pruned", "failed") else ""
    return Row(name, settings, status, reason, report)
