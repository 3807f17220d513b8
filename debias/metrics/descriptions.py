"""How to read each number, for ``debias list metrics``, the page and the docs. Pure Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple


class Description(NamedTuple):
    """A title, how to read it, the value of a perfect model, and "higher" or "lower" for better.

    Where the best value depends on the data it is NaN; where neither direction is better,
    ``better`` is empty.
    """

    title: str
    meaning: str
    ideal: float = 1.0
    better: str = "higher"


class Family(NamedTuple):
    """A family of measures, which a report holds under ``measures``.

    Attributes:
        title, meaning: its name, and the question it answers.
        numbers: how to read each number. A key with ``<names>`` stands for one number of each
            group, bias value and so on.
        headlines: the few numbers that are shown where there is no room for all.
        needs: conditions of the measurement, by their names in ``debias.evaluation.families``.
        quick: it takes no model and next to no time, so that every training reports it.
        curve: name of what a report holds of it under ``curves``, if anything.
        of_positive: it depends on which of two classes is the positive one.
    """

    title: str
    meaning: str
    numbers: Mapping[str, Description]
    headlines: tuple[str, ...]
    needs: tuple[str, ...]
    quick: bool = True
    curve: str = ""
    of_positive: bool = False


def lower(title: str, meaning: str, ideal: float = 0.0) -> Description:
    """A number that is better the lower it is."""
    return Description(title, meaning, ideal, "lower")


def against_chance(title: str, meaning: str) -> Description:
    """A number that is best at chance, which depends on the data: its ideal is NaN."""
    chance = "Chance, the best there is, is 1 / number of bias values."
    return lower(title, f"{meaning} {chance}", math.nan)


def unranked(title: str, meaning: str) -> Description:
    """A number of which neither direction is better: its ideal is NaN."""
    return Description(title, meaning, math.nan, "")


DESCRIPTIONS: dict[str, Description] = {
    "worst_group": Description(
        "Worst group",
        "Accuracy of the group that fares worst: what a shortcut costs those whom it fails.",
    ),
    "adjusted_average": Description(
        "Adjusted average",
        "Group accuracies weighted by how common each group is in training: the average that "
        "papers report.",
    ),
    "average": Description(
        "Average", "Share of the split's images that are right; it depends on the split's own mix."
    ),
    "group_balanced": Description(
        "Group-balanced", "Plain mean over the groups: every group counts the same, however rare."
    ),
    "class_balanced": Description(
        "Class-balanced", "Plain mean over the classes, whatever the bias attribute."
    ),
    "worst_class": Description(
        "Worst class",
        "Accuracy of the worst class: all that can be watched where there are no group labels.",
    ),
    "class_difference": lower(
        "Difference of classes",
        "Mean over the pairs of classes of how far their accuracies lie apart; zero also where all "
        "fare equally badly.",
    ),
    "gap": lower("Gap between groups", "Best group minus worst group: zero is even treatment."),
    "robustness_gap": lower(
        "Gap to the average", "Average minus worst group: how much the average hides."
    ),
    "greatest_deviation": lower(
        "Greatest distance from the average",
        "Of the group farthest from the average, on either side: more than the gap to the average "
        "if it is the best.",
    ),
    "group_ratio": Description(
        "Ratio of groups",
        "Worst group over best group: one is even treatment, zero a group that is never right.",
    ),
    "bias_aligned": Description(
        "Shortcut right", "Mean over the groups in which the shortcut leads to the right class."
    ),
    "bias_conflicting": Description(
        "Shortcut wrong",
        "Mean over the groups in which the shortcut misleads; far below the other means reliance "
        "on it.",
    ),
    "bias_aligned_samples": Description(
        "Shortcut right, by image", "The same images pooled, so that large groups count for more."
    ),
    "bias_conflicting_samples": Description(
        "Shortcut wrong, by image", "The misled images pooled, so that large groups count for more."
    ),
    "accuracy/<group>": Description(
        "Accuracy of a group",
        "Share of one group's images that are right; undefined where it has none.",
    ),
    "class_accuracy/<class>": Description(
        "Accuracy of a class",
        "Share of one class's images that are right, whatever their bias; known or not.",
    ),
}
