"""The contents of tables on a run's page: groups, numbers of images, and settings."""

from collections.abc import Mapping, Sequence

from debias.merging import Section, Settings
from debias.reports.record import Report
from debias.reports.split import Split

#: With more groups than this, the page lists those of the charts, and folds the others.
GROUPS_LISTED = 16
#: With more groups than this, the page lists only those of the charts, and a CSV file beside the
#: page lists all.
GROUPS_FOLDED = 1000


def listed_groups(test: Split) -> list[int]:
    """Numbers of the groups that the page lists unfolded.

    These are all groups, or those of the charts if there are more than ``GROUPS_LISTED``.
    """
    groups = len(test.cells)
    return test.shown() if groups > GROUPS_LISTED else list(range(groups))


def other_groups(test: Split) -> list[int]:
    """Numbers of the groups that the page lists folded; none if there are too many."""
    groups, listed = len(test.cells), set(listed_groups(test))
    return [number for number in range(groups) if number not in listed and groups <= GROUPS_FOLDED]


def data(report: Report) -> list[tuple[str, Sequence[int], float, str]]:
    """List the images per group, for the table of the data.

    Images of unknown bias have a row of their own. If the bias of every image is unknown, there is
    one row per class.

    Returns:
        For each group: its name, its number of images in each split, and its share of the training
        split. The last entry is whether the shortcut is "right" or "wrong" for it, or "–". If some
        of several shortcuts are wrong, it names these. Of more than ``GROUPS_FOLDED`` groups, only
        the row of unknown bias is there.
    """
    # imports torch, which reading a report does not need
    from debias.metrics.accuracy.counts import aligned_groups
    from debias.metrics.shortcuts.preferences import misleading

    data, splits = report.data, ("train", "val", "test")
    labelled = [data.counts[split] for split in splits]
    every = [(data.class_counts or data.counts)[split] for split in splits]
    unknown = [sum(classes) - sum(groups) for classes, groups in zip(every, labelled, strict=True)]
    aligned = aligned_groups(report.groups).tolist()
    known = any(aligned)
    right = [("right" if value else "wrong") if known else "–" for value in aligned]
    shortcuts = [one.name for one in report.data.attributes if one.aligned]
    if len(shortcuts) > 1:
        right = [_wrong(shortcuts, row) for row in misleading(report.groups).tolist()]
    rows = list(zip(data.groups, zip(*labelled, strict=True), right, strict=True))
    if sum(map(sum, labelled)) == 0:
        classes = zip(data.targets, zip(*every, strict=True), strict=True)
        rows = [(name, counts, "–") for name, counts in classes]
    if len(rows) > GROUPS_FOLDED:
        rows = []
    if sum(map(sum, labelled)) and any(unknown):
        rows.append(("unknown bias", tuple(unknown), "–"))
    total = max(1, sum(every[0]))
    return [(name, counts, counts[0] / total, shortcut) for name, counts, shortcut in rows]


def _wrong(shortcuts: Sequence[str], misleads: Sequence[int]) -> str:
    """Which of several shortcuts are wrong for a group."""
    wrong = [name for name, misled in zip(shortcuts, misleads, strict=True) if misled]
    return f"wrong: {', '.join(wrong)}" if wrong else "right"


def settings(config: Section, prefix: str = "") -> Settings:
    """Flatten a nested config to dotted keys, as on the command line.

    Example:
        >>> settings({"seed": 1, "optimizer": {"name": "sgd", "lr": 0.001}})
        {'seed': 1, 'optimizer.name': 'sgd', 'optimizer.lr': 0.001}
    """
    flat: Settings = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and bool(value)
        flat.update(settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat
