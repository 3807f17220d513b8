"""How to read each scalar, for ``debias list metrics`` and the report page. Pure Python."""

from __future__ import annotations

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


#: Of numbers whose best value depends on the data, so that their ideal is NaN.
CHANCE = "Chance, the best there is, is 1 / number of bias values."

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
    "class_difference": Description(
        "Difference of classes",
        "Mean over the pairs of classes of how far their accuracies lie apart; zero also where all "
        "fare equally badly.",
        0.0,
        "lower",
    ),
    "gap": Description(
        "Gap between groups", "Best group minus worst group: zero is even treatment.", 0.0, "lower"
    ),
    "robustness_gap": Description(
        "Gap to the average", "Average minus worst group: how much the average hides.", 0.0, "lower"
    ),
    "greatest_deviation": Description(
        "Greatest distance from the average",
        "Of the group farthest from the average, on either side: more than the gap to the average "
        "if it is the best.",
        0.0,
        "lower",
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
