"""The few numbers of each family of measures that are shown where there is no room for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

#: Of a family that is not listed here, or reports none of these, the first ones are shown.
MOST = 4

#: The families that depend on which of two classes is the positive one.
OF_POSITIVE = ("fairness", "scores")

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "fairness": (
        "demographic_parity_difference",
        "equalized_odds_difference",
        "accuracy_difference",
    ),
    "amplification": (
        "amplification/attribute_to_task",
        "amplification/share_amplification",
        "amplification/multi_attribute_to_task",
    ),
    "thresholds": (
        "amplification/attribute_to_task",
        "amplification/share_amplification",
        "amplification/multi_attribute_to_task",
    ),
    "scores": ("auroc", "auroc_gap", "ece", "ece_gap"),
    "information": (
        "information/prediction_given_target",
        "information/cramers_v",
        "information/target_cramers_v",
    ),
    "errors": ("discovery/error_precision", "discovery/error_recall", "discovery/error_lift"),
    "shortcuts": ("target_preference", "target_fraction", "shortcut_fraction"),
    "context": ("contextual_bias", "context_gap"),
    "leakage": ("leakage/model", "leakage/dataset_at_f1", "leakage/amplification"),
    "features": ("leakage/features", "leakage/features_given_target", "probe/balanced_accuracy"),
    "background": ("background_robustness", "background_gap"),
    "placement": ("centre_bias", "size_bias/0.5", "size_bias/2"),
    "attention": ("attention_iou", "background_attention", "pointing_game"),
    "frequency": ("accuracy/clean", "low_pass/area", "high_pass/area"),
}


def headlines(family: str, scalars: Mapping[str, Value]) -> dict[str, Value]:
    """The numbers that stand for a family, in the order of ``HEADLINES``.

    Example:
        >>> scalars = {"accuracy_all_backgrounds": 0.5, "background_robustness": 0.75}
        >>> headlines("background", scalars)
        {'background_robustness': 0.75}
    """
    chosen = [key for key in HEADLINES.get(family, ()) if key in scalars]
    return {key: scalars[key] for key in chosen or list(scalars)[:MOST]}
