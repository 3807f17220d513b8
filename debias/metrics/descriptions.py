"""How to read each scalar, for ``debias list metrics``. Pure Python."""

from __future__ import annotations

from typing import NamedTuple


class Description(NamedTuple):
    """One sentence, the value of a perfect model, and whether "higher" or "lower" is better."""

    meaning: str
    ideal: float
    better: str


DESCRIPTIONS: dict[str, Description] = {
    "average": Description("Fraction of all samples that are right, unknown bias included.", 1.0, "higher"),
    "adjusted_average": Description(
        "Mean of the group accuracies weighted by the groups' training frequencies, for splits balanced by design.",
        1.0,
        "higher",
    ),
    "worst_group": Description("Least accuracy of the observed groups (target, bias).", 1.0, "higher"),
    "worst_class": Description("Least recall of the observed classes; needs no bias labels.", 1.0, "higher"),
    "group_balanced": Description("Mean of the group accuracies, each group counting the same.", 1.0, "higher"),
    "class_balanced": Description("Mean of the class recalls, each class counting the same.", 1.0, "higher"),
    "gap": Description("Best group's accuracy minus the worst group's.", 0.0, "lower"),
    "robustness_gap": Description(
        "Average minus worst-group accuracy: what the average hides about the worst group.", 0.0, "lower"
    ),
    "bias_aligned": Description("Mean accuracy of the groups where the shortcut gives the target.", 1.0, "higher"),
    "bias_aligned_samples": Description(
        "Fraction right of the samples where the shortcut gives the target.", 1.0, "higher"
    ),
    "bias_conflicting": Description("Mean accuracy of the groups where the shortcut misleads.", 1.0, "higher"),
    "bias_conflicting_samples": Description(
        "Fraction right of the samples where the shortcut misleads.", 1.0, "higher"
    ),
    "accuracy/<group>": Description("Fraction right in one group (target, bias); NaN if empty.", 1.0, "higher"),
}
