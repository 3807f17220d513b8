"""The tables of a run's page: which epoch, every number, the data, and the circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from debias.metrics.descriptions import DESCRIPTIONS, Description
from debias.metrics.selection import LAST, RULES
from debias.reports import wording
from debias.reports.record import Circumstances, Report
from debias.reports.split import Split

#: The scalar of validation by which a rule chooses; the last epoch is taken by none.
CRITERIA = {rule: scalar for rule, scalar in RULES.items() if rule != LAST}
#: Of more groups than these, those that the charts show are listed, and the others once they are
#: asked for.
GROUPS_LISTED = 16


def listed_groups(test: Split) -> list[int]:
    """The groups that are always listed: all, or of very many those that the charts show."""
    groups = len(test.cells)
    return test.shown() if groups > GROUPS_LISTED else list(range(groups))


def selection(report: Report) -> list[tuple[str, int, bool, list[tuple[bool, float | None]]]]:
    """What each selection rule would have chosen: its title, the epoch, and whether it was used.

    Then the validation metrics of that epoch, each with whether the rule chooses by it.
    """
    return [
        (
            wording.RULES.get(row.rule, row.rule),
            row.epoch,
            row.rule == report.selection.rule,
            [(key == CRITERIA.get(row.rule), row.val.get(key)) for key in CRITERIA.values()],
        )
        for row in report.selection.table
    ]


def metrics(report: Report) -> list[tuple[Description, float | None, float | None]]:
    """Every explained metric that is defined on test or validation, and its value on each."""
    test, val = report.test.scalars, report.val.scalars
    return [
        (text, test.get(key), val.get(key))
        for key, text in DESCRIPTIONS.items()
        if test.get(key) is not None or val.get(key) is not None
    ]


def data(report: Report) -> list[tuple[str, Sequence[int], float, str]]:
    """Name of each group, its images in each split, its share of train, and the shortcut's verdict.

    Images of unknown bias have a row of their own. Where the bias of every image is unknown, each
    class has a row.
    """
    from debias.metrics.accuracy.counts import (
        aligned_groups,
    )  # brings torch, which reading a report does not need

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


def facts(report: Report) -> dict[str, str]:
    """The circumstances of the run, in words."""
    model, seconds, strategy = report.model, report.seconds, report.strategy
    memory = report.peak_memory_mb
    parts = "; then on ".join(
        f"{one.device}, torch {one.torch}, {_code(one)}" for one in report.parts
    )
    found = {
        "Data": report.data.name,
        "Model": f"{model.name}, {model.parameters:,} parameters, weights: {model.weights}",
        "Strategy": (
            f"{strategy.name}, requires "
            f"{', '.join(strategy.requires) or 'nothing beyond the class'}"
        ),
        "Chosen": wording.choice_line(report.choice) if report.choice else "",
        "Epochs": f"{len(report.history)}, numbered from 0",
        "Seed": str(report.seed),
        "Device": f"{report.device}, precision {report.precision}",
        "Time": (
            f"{seconds.total:,.0f} s, training {seconds.train:,.0f} s; "
            f"{seconds.epoch:,.1f} s an epoch"
        ),
        "Peak memory": "unknown" if memory is None else f"{memory:,} MB",
        "Code": _code(report),
        "Versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        "Resumed": f"begun on {parts}" if report.circumstances else "",
    }
    return {title: fact for title, fact in found.items() if fact}


def _code(made: Circumstances | Report) -> str:
    commit = made.git.commit
    state = ", with changes that were not committed" if made.git.dirty else ""
    return f"commit {commit}{state}" if commit else "not under version control"


def settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as ``{"optimizer.lr": 0.001, ...}``, as the command line takes it.

    Example:
        >>> settings({"seed": 1, "optimizer": {"name": "sgd", "lr": 0.001}})
        {'seed': 1, 'optimizer.name': 'sgd', 'optimizer.lr': 0.001}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and bool(value)
        flat.update(settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat
