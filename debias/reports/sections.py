"""What the tables of a run's page list: groups, images and settings."""

from collections.abc import Mapping, Sequence

from debias.merging import Section, Settings
from debias.reports.record import Report
from debias.reports.split import Split

#: Of more groups than these, those that the charts show are listed, and the others once they are
#: asked for.
GROUPS_LISTED = 16


def listed_groups(test: Split) -> list[int]:
    """The groups that are always listed: all, or of very many those that the charts show."""
    groups = len(test.cells)
    return test.shown() if groups > GROUPS_LISTED else list(range(groups))


def data(report: Report) -> list[tuple[str, Sequence[int], float, str]]:
    """Name of each group, its images in each split, its share of train, and the shortcut's verdict.

    Images of unknown bias have a row of their own. Where the bias of every image is unknown, each
    class has a row.
    """
    # brings torch, which reading a report does not need
    from debias.metrics.accuracy.counts import aligned_groups

    data, splits = report.data, ("train", "val", "test")
    known = [data.counts[split] for split in splits]
    every = [(data.class_counts or data.counts)[split] for split in splits]
    unknown = [sum(classes) - sum(groups) for classes, groups in zip(every, known, strict=True)]
    aligned = aligned_groups(report.groups).tolist()
    right = [("right" if value else "wrong") if any(aligned) else "–" for value in aligned]
    rows = list(zip(data.groups, zip(*known, strict=True), right, strict=True))
    if sum(map(sum, known)) == 0:
        classes = zip(data.targets, zip(*every, strict=True), strict=True)
        rows = [(name, counts, "–") for name, counts in classes]
    elif any(unknown):
        rows.append(("unknown bias", tuple(unknown), "–"))
    total = max(1, sum(every[0]))
    return [(name, counts, counts[0] / total, shortcut) for name, counts, shortcut in rows]


def settings(config: Section, prefix: str = "") -> Settings:
    """A nested config as ``{"optimizer.lr": 0.001, ...}``, as the command line takes it.

    Example:
        >>> settings({"seed": 1, "optimizer": {"name": "sgd", "lr": 0.001}})
        {'seed': 1, 'optimizer.name': 'sgd', 'optimizer.lr': 0.001}
    """
    flat: Settings = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and bool(value)
        flat.update(settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat
