"""What a report comes to, as lines for a terminal: accuracies, and headlines of families."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from debias.metrics.families import OF_POSITIVE, headlines
from debias.reports.cells import PLURALS, SCALARS, cells, kind_of
from debias.reports.wording import percent

#: Of more groups than these, the worst half of so many are listed.
MOST_GROUPS = 24

Metrics = Mapping[str, Any]


def accuracy_lines(split: str, metrics: Metrics) -> list[str]:
    """Accuracy in percent, interval and count of each group of a split, and then what they come to.

    Where the bias of every image is unknown, each class stands in the place of a group.

    Args:
        split: its name.
        metrics: of the split, as a report holds them.
    """
    groups, kind = cells(metrics), kind_of(metrics)
    known = [group for group in groups if group["count"]]
    listed = (
        groups if len(groups) <= MOST_GROUPS else sorted(known, key=_accuracy)[: MOST_GROUPS // 2]
    )
    width = max(map(len, [*SCALARS[kind], *(group["name"] for group in listed)]))
    lines = [f"{split}: accuracy in percent, 95 % interval, images"]
    lines += [f"  {group['name']:{width}} {_group(group)}" for group in listed]
    if len(listed) < len(groups):
        lines.append(f"  ... {len(groups) - len(listed)} more {PLURALS[kind]}, none of them worse")
    if kind == "class":
        lines.append("  the bias of every image is unknown: these are the classes")
    elif metrics.get("unknown"):
        lines.append(f"  {metrics['unknown']} images of unknown bias are in no group")
    scalars = metrics["scalars"]
    return lines + [
        f"  {name:{width}} {_percent(scalars[name])}" for name in SCALARS[kind] if name in scalars
    ]


def short_line(split: str, metrics: Metrics) -> str:
    """The accuracies of a split in one line."""
    scalars = metrics["scalars"]
    names = [name for name in SCALARS[kind_of(metrics)] if name in scalars]
    return f"{split}: " + ", ".join(f"{name} {percent(scalars[name], '-')}" for name in names)


def measure_lines(
    measures: Metrics, *, whole: Collection[str] = (), positive: str | None = None
) -> list[str]:
    """A line of headlines for each family of measures, and why the others were left out.

    Args:
        measures: ``{"measures": scalars by family, "left_out": reason by family}``.
        whole: families of which every number is listed, each in a line.
        positive: which of two classes is the positive one, on which some families depend.
    """
    lines = []
    width = max(map(len, measures["measures"]), default=0)
    for family, scalars in measures["measures"].items():
        if family in whole:
            keys = max(map(len, scalars), default=0)
            lines += [
                family,
                *(f"  {key:{keys}} {_number(value)}" for key, value in scalars.items()),
            ]
        else:
            numbers = [
                f"{key} {_number(value)}" for key, value in headlines(family, scalars).items()
            ]
            lines.append(f"{family:{width}}  {'  '.join(numbers)}")
    dependent = [name for name in OF_POSITIVE if name in measures["measures"]]
    if positive is not None and dependent:
        lines.append(
            f"positive class: {positive} ({', '.join(dependent)}); positive=NAME sets another"
        )
    for reason in dict.fromkeys(measures["left_out"].values()):
        families = [name for name, given in measures["left_out"].items() if given == reason]
        lines.append(f"left out: {', '.join(families)}, because {reason}")
    return lines


def _group(group: Metrics) -> str:
    if not group["count"]:
        return "    - no image"
    interval = f"[{100 * group['low']:5.1f}, {100 * group['high']:5.1f}]"
    return f"{_percent(group['accuracy'])} {interval} of {group['count']}"


def _accuracy(group: Metrics) -> float:
    return float(group["accuracy"])


def _percent(value: float | None) -> str:
    return f"{percent(value, '-'):>5}"


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"
