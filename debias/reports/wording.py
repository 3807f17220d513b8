"""What the numbers of a run mean, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from debias.metrics.selection import LAST
from debias.reports.cells import cells, kind_of

Report = Mapping[str, Any]
Group = Mapping[str, Any]


RULES = {
    "worst_group": "worst-group accuracy",
    "worst_class": "worst-class accuracy (needs no group labels)",
    "average": "average accuracy",
    "balanced": "group-balanced accuracy",
    "class_difference": "class difference (less is better; needs no group labels)",
    LAST: "nothing: the last epoch (needs no group labels)",
}

LABELS_SEEN = {
    "none": "No group labels were used, in training or in choosing the epoch.",
    "val": "Group labels were used on the validation split only.",
    "train": "Group labels were used in training, not in choosing the epoch.",
    "train+val": "Group labels were used in training and in choosing the epoch.",
}


def percent(value: float | None, missing: str = "–") -> str:
    """A fraction in percent with one decimal, without the sign.

    Example:
        >>> percent(0.7123), percent(None), percent(-1e-9)
        ('71.2', '–', '0.0')
    """
    # Adding zero turns -0.0, the rounding of a tiny negative gap, into 0.0.
    return missing if value is None else f"{round(100 * value, 1) + 0.0:.1f}"


def number(value: float) -> str:
    """A number of any unit: three decimals, one digit if that is zero, none if it is large.

    Example:
        >>> number(0.71234), number(-0.00002), number(0.00021), number(2255.0), number(28.31)
        ('0.712', '0.000', '0.0002', '2,255', '28.310')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1g}" if 0.0001 <= abs(value) < 0.0005 else f"{round(value, 3) + 0.0:.3f}"


def worst_group(groups: Sequence[Group]) -> Group | None:
    """The group or class with the lowest accuracy, the first of several; or ``None``."""
    defined = [group for group in groups if group["accuracy"] is not None]
    return min(defined, key=lambda group: float(group["accuracy"]), default=None)


def verdict(report: Report) -> list[str]:
    """What a run achieved: a few sentences for somebody who reads nothing else."""
    test = report["metrics"]["test"]
    worst, kind = worst_group(cells(test)), kind_of(test)
    if worst is None:
        sentences = [
            "No group has an accuracy: no image of the test split has a known bias attribute."
        ]
    else:
        unknown = (
            "No test image has a known bias attribute: results are by class."
            if kind == "class"
            else ""
        )
        sentences = [
            _achievement(report, worst, kind),
            _choice(report),
            _doubt(cells(test), worst, kind),
            unknown,
        ]
    return [sentence for sentence in (diverged(report), *sentences) if sentence]


def diverged(report: Report) -> str:
    """A warning where the training loss of some epoch is not finite (earlier versions)."""
    epochs = [
        entry["epoch"] for entry in report["history"] if entry["train"].get("loss", 0.0) is None
    ]
    if not epochs:
        return ""
    return (
        f"Training diverged: the loss of epoch {epochs[0]} is not finite. The figures of this run "
        "mean nothing."
    )


def mistakes_intro(report: Report) -> str:
    """What the pictures below it show."""
    worst = worst_group(cells(report["metrics"]["test"]))
    name = "" if worst is None else worst["name"]
    return f"Test images of {name} that the model gets wrong, most confident first."


def method(report: Report) -> str:
    """Name of the recipe and the strategy, as far as they are not the plain ones."""
    strategy = report["strategy"]
    return str(strategy.get("method", strategy["name"]))


def _achievement(report: Report, worst: Group, kind: str) -> str:
    test = report["metrics"]["test"]
    average = test["scalars"].get("average")
    low, high = test["intervals"].get(f"worst_{kind}", (None, None))
    interval = "" if low is None else f" [{percent(low)}, {percent(high)}]"
    images = "test image" if worst["count"] == 1 else "test images"
    sentence = (
        f"{method(report)} reaches {percent(worst['accuracy'])} %{interval} on its worst {kind}, "
        f"{worst['name']} ({worst['count']} {images})"
    )
    if average is None:
        return f"{sentence}."
    # the average has the images of unknown bias, too, and may lie below every group
    side = "under" if worst["accuracy"] <= average else "above"
    gap = percent(abs(average - worst["accuracy"]))
    return f"{sentence}, {gap} points {side} its average of {percent(average)} %."


def _choice(report: Report) -> str:
    selection = report["selection"]
    rule = RULES.get(selection["rule"], selection["rule"])
    epochs = len(report["history"])
    which = f"epoch {selection['epoch']} was chosen by validation {rule}"
    if epochs == 1:
        which = "its only epoch was used"
    elif selection["rule"] == LAST:
        which = f"epoch {selection['epoch']}, the last, was used"
    labels = LABELS_SEEN.get(report["strategy"].get("group_labels", ""), "")
    return f"{which[0].upper()}{which[1:]}. {labels}".strip()


def _doubt(groups: Sequence[Group], worst: Group, kind: str) -> str:
    """A caution, when the intervals do not settle which group or class is worst."""
    if worst["high"] is None:
        return ""
    rivals = [
        g["name"]
        for g in groups
        if g is not worst and g["low"] is not None and g["low"] < worst["high"]
    ]
    if not rivals:
        return ""
    names = ", ".join(rivals[:3]) + (f" and {len(rivals) - 3} more" if len(rivals) > 3 else "")
    overlap = "the interval of" if len(rivals) == 1 else "the intervals of"
    return (
        f"Which {kind} is worst is not settled by this many images: its interval overlaps "
        f"{overlap} {names}."
    )
