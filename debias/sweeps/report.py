"""Read the results of a sweep, finished or not: the status of each run, and the comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from debias.errors import InputError
from debias.json_files import Json
from debias.reports.comparison import ComparedMethod, Comparison, comparison_of, read_summary
from debias.reports.record import Report
from debias.sweeps.files import Files, read_plan
from debias.sweeps.protocol import Protocol, allowed_splits, read_protocol
from debias.sweeps.report_pairs import Paired, compare_pairs
from debias.sweeps.report_trials import Tried, tried

#: Options of ``data`` that do not make two runs belong to different data sets.
COMPANIONS = ("mask", "masks", "fills")
#: The statuses of a run, in the order in which a summary lists them.
STATUSES = ("done", "running", "pruned", "failed", "interrupted", "waiting")


class Row(NamedTuple):
    """One run of a sweep and its status.

    Args:
        name: name of its folder.
        settings: its config and varied settings, as text.
        status: one of ``STATUSES``.
        reason: why it was pruned, or why its last attempt failed; otherwise empty.
        report: its record if it is done, otherwise ``None``.
        added: whether it is a finished run in the folder that is not in the plan.
    """

    name: str
    settings: str
    status: str
    reason: str
    report: Report | None
    added: bool = False

    @property
    def setting(self) -> str:
        """The settings without the seed, which is always the last of them."""
        return self.settings.rpartition(" seed=")[0] or self.settings


@dataclass(frozen=True)
class Results:
    """The results in a sweep's folder.

    Args:
        out: the folder.
        rows: the planned runs, and after them the runs that were added to the folder.
        comparisons: for each data set, the comparison of its finished runs.
        paired: for each data set, the paired comparisons of its methods.
        protocol: which group labels the sweep allows, and how its settings were chosen; ``None`` if
            the sweep declares no protocol.
        left_out: one line for each finished run of the folder that is in no table, with the reason.
        trials: the trials of each config, if the folder is that of a search.
    """

    out: Path
    rows: tuple[Row, ...]
    comparisons: dict[str, Comparison]
    paired: dict[str, Paired]
    protocol: Protocol | None
    left_out: tuple[str, ...] = ()
    trials: tuple[Tried, ...] = ()

    def methods(self) -> dict[str, tuple[str, ComparedMethod]]:
        """Map the folder name of each finished run to its data set and method."""
        return {
            run.folder.name: (dataset, method)
            for dataset, comparison in self.comparisons.items()
            for method in comparison.methods
            for run in method.runs
        }

    def added(self) -> list[str]:
        """Write one line for each run in the folder that is not in the plan."""
        names = [row.name for row in self.rows if row.added]
        return [f"added to the folder, not in the plan: {name}" for name in names]

    def failures(self) -> list[str]:
        """Write one line for each failed run, with the reason."""
        failed = [row for row in self.rows if row.status == "failed"]
        return [f"failed: {row.settings}: {row.reason}" for row in failed]


def rows(out: Path) -> list[Row]:
    """Read the status of each planned run of a sweep, in the order of the plan.

    A run whose report cannot be read counts as failed.

    Raises:
        ValueError: the folder contains no ``plan.json``.
    """
    return [_row(out, name, settings) for name, settings in read_plan(out)]


def results(out: Path, *, ignore: Collection[str], seed: int = 0) -> Results:
    """Read the folder of a sweep, and compare the methods that have finished runs.

    Torch is not imported.

    Args:
        out: folder of the sweep.
        ignore: settings that do not change the result of a run.
        seed: seed of the bootstrap of the paired comparisons.

    Raises:
        ValueError: the folder contains no ``plan.json``.
    """

    protocol = read_protocol(out)
    planned = rows(out)
    added, left_out = added_rows(out, {row.name for row in planned}, protocol)
    every = [*planned, *added]
    done = [row.report for row in every if row.report is not None]
    runs: dict[str, list[Report]] = {}
    sections = [report.config["data"] for report in done]
    for report, dataset in zip(done, datasets(sections, ignore), strict=True):
        runs.setdefault(dataset, []).append(report)
    comparisons = {name: comparison_of(same, ignore=ignore) for name, same in runs.items()}
    paired = {name: compare_pairs(one.methods, seed) for name, one in comparisons.items()}
    trials = tried(out, protocol.objectives if protocol else ())
    found = Results(out, tuple(every), comparisons, paired, protocol, left_out, trials)
    methods = found.methods()
    return replace(found, rows=tuple(_by_method(row, methods) for row in every))


def added_rows(
    out: Path, planned: Collection[str], protocol: Protocol | None
) -> tuple[list[Row], tuple[str, ...]]:
    """Find the finished runs in a folder that are not in its plan.

    In the folder of a search, none are added: they may have settings that the search no longer
    chooses.

    Args:
        out: folder of the sweep.
        planned: names of the runs in the plan.
        protocol: protocol of the sweep. A run that reads more group labels is left out.

    Returns:
        The added runs, and one line for each run that is left out, with the reason.
    """
    if protocol and protocol.objectives:
        return [], ()
    allowed = {"none", *allowed_splits(protocol.labels)} if protocol else set()
    added, left_out = [], []
    for name in sorted(path.parent.name for path in out.glob("*/report.json")):
        if name in planned:
            continue
        try:
            report = read_summary(out / name)
        except InputError as error:
            left_out.append(str(error))
            continue
        if protocol and (extra := set(report.strategy.group_labels.split("+")) - allowed):
            left_out.append(
                f"{name} reads the group labels of {' and '.join(sorted(extra))}, which "
                f"labels={protocol.labels} does not allow"
            )
        else:
            settings = f"{report.config['name']} (added) seed={report.seed}"
            added.append(Row(name, settings, "done", "", report, added=True))
    return added, tuple(left_out)


def _by_method(row: Row, methods: Mapping[str, tuple[str, ComparedMethod]]) -> Row:
    """A row with the method in its settings, if it was added: several methods share a config."""
    if not row.added or row.name not in methods:
        return row
    dataset, method = methods[row.name]
    seed = row.settings.rpartition(" ")[2]
    return row._replace(settings=f"{dataset} {method.label} (added) {seed}")


def datasets(sections: Sequence[Json], ignore: Collection[str]) -> list[str]:
    """Name the data set of each run: ``data.name``, and the options of ``data`` that differ.

    Runs with different options, such as another ``data.root``, belong to different data sets.
    Masks, fills and ignored settings make no difference, because only some methods need them.

    Args:
        sections: the section ``data`` of each run's config.
        ignore: settings that do not change the result of a run.

    Example:
        >>> datasets([{"name": "folder", "root": root} for root in ("a", "b", "a")], ())
        ['folder (root=a)', 'folder (root=b)', 'folder (root=a)']
    """
    hidden = {*(f"data.{key}" for key in COMPANIONS), *ignore}
    every = dict.fromkeys(key for data in sections for key in data)
    keys = [key for key in every if not {"data", f"data.{key}"} & hidden]
    values: dict[tuple[Any, str], list[Any]] = {}
    for data in sections:
        for key in keys:
            known = values.setdefault((data["name"], key), [])
            if data.get(key) not in known:
                known.append(data.get(key))
    names = []
    for data in sections:
        varied = [key for key in keys if len(values[data["name"], key]) > 1]
        different = ", ".join(f"{key}={data.get(key, 'default')}" for key in varied)
        names.append(f"{data['name']} ({different})" if different else str(data["name"]))
    return names


def summary(every: Sequence[Row]) -> str:
    """Count the planned runs by status, and the added ones, in one line.

    Example:
        >>> summary([Row("a", "erm", "done", "", None), Row("b", "dro", "failed", "OSError", None)])
        '2 planned: 1 done, 1 failed'
    """
    planned = [row for row in every if not row.added]
    counts = Counter(row.status for row in planned)
    parts = [f"{counts[name]} {name}" for name in STATUSES if counts[name]]
    added = f"; {len(every) - len(planned)} added" if len(every) > len(planned) else ""
    return f"{len(planned)} planned: {', '.join(parts)}{added}"


def _row(out: Path, name: str, settings: str) -> Row:
    files = Files(out, name)
    status = files.status()
    try:
        report = read_summary(out / name) if status == "done" else None
    except InputError as error:  # the table still shows the other runs
        return Row(name, settings, "failed", str(error), None)
    reason = files.reason() if status in ("pruned", "failed") else ""
    return Row(name, settings, status, reason, report)
