"""What accuracies are listed by: the groups of a split, or classes if no bias is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Metrics = Mapping[str, Any]
Cell = Mapping[str, Any]

#: Scalars of a split that are shown first, by what its accuracies are listed by; the first of them
#: ranks.
SCALARS: Mapping[str, tuple[str, ...]] = {
    "group": ("worst_group", "adjusted_average", "average", "worst_class"),
    "class": ("worst_class", "class_balanced", "average"),
}
#: What the key of an accuracy begins with among the scalars.
PREFIXES: Mapping[str, str] = {"group": "accuracy/", "class": "class_accuracy/"}
#: The plural.
PLURALS: Mapping[str, str] = {"group": "groups", "class": "classes"}
#: More than these could not be told apart in a chart or a gallery.
MOST_SHOWN = 8


def kind_of(metrics: Metrics) -> str:
    """``"group"``, or ``"class"`` where no image of the split has a known bias; reports of before
    have groups only.

    Args:
        metrics: of a split, as a report holds them.
    """
    known = any(group["count"] for group in metrics["groups"])
    return "group" if known or not metrics.get("classes") else "class"


def cells(metrics: Metrics) -> Sequence[Cell]:
    """Name, accuracy, count and interval of each group or class, by :func:`kind_of`."""
    found: Sequence[Cell] = metrics[PLURALS[kind_of(metrics)]]
    return found


def shown(found: Sequence[Cell]) -> list[int]:
    """Places of the cells that charts show: all, or the least accurate, in their order."""
    order = sorted(
        range(len(found)),
        key=lambda i: 2.0 if found[i]["accuracy"] is None else found[i]["accuracy"],
    )
    return sorted(order[:MOST_SHOWN])
