"""Counts to numbers: accuracy, fairness, amplification, leakage and attention by group, and rules
to select by them.

Names load on first use: functions need torch only, ``debias.metrics.selection`` nothing, and
the classes torchmetrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debias.metrics.accuracy.counts import joint_counts, margin_counts
    from debias.metrics.accuracy.group_counts import GroupCounts
    from debias.metrics.accuracy.scalars import group_report, group_scalars
    from debias.metrics.amplification.indicators import (
        IndicatorAmplification,
        MultiAttributeAmplification,
    )
    from debias.metrics.amplification.single import BiasAmplification
    from debias.metrics.attention.scores import AttentionScores
    from debias.metrics.descriptions import DESCRIPTIONS, Description
    from debias.metrics.discovery.bias_information import BiasInformation, ErrorDiscovery
    from debias.metrics.fairness.group_fairness import GroupFairness
    from debias.metrics.frequency.band_accuracy import BandPassAccuracy, CriticalBand
    from debias.metrics.leakage.amplification import leakage_amplification
    from debias.metrics.leakage.features import feature_leakage
    from debias.metrics.scores.group_scores import GroupCalibration, GroupF1, GroupRanking
    from debias.metrics.selection import RULES, best_epoch, best_epochs
    from debias.metrics.shortcuts.cue_counts import (
        BackgroundChallenge,
        CuePreference,
        ErrorConsistencyScore,
        ShapeBias,
        ShortcutGaps,
        VariantAccuracy,
    )

_HOMES = {
    "DESCRIPTIONS": "descriptions",
    "RULES": "selection",
    "AttentionScores": "attention.scores",
    "BackgroundChallenge": "shortcuts.cue_counts",
    "BandPassAccuracy": "frequency.band_accuracy",
    "BiasAmplification": "amplification.single",
    "BiasInformation": "discovery.bias_information",
    "CriticalBand": "frequency.band_accuracy",
    "CuePreference": "shortcuts.cue_counts",
    "Description": "descriptions",
    "ErrorConsistencyScore": "shortcuts.cue_counts",
    "ErrorDiscovery": "discovery.bias_information",
    "GroupCalibration": "scores.group_scores",
    "GroupCounts": "accuracy.group_counts",
    "GroupF1": "scores.group_scores",
    "GroupFairness": "fairness.group_fairness",
    "GroupRanking": "scores.group_scores",
    "IndicatorAmplification": "amplification.indicators",
    "MultiAttributeAmplification": "amplification.indicators",
    "ShapeBias": "shortcuts.cue_counts",
    "ShortcutGaps": "shortcuts.cue_counts",
    "VariantAccuracy": "shortcuts.cue_counts",
    "best_epoch": "selection",
    "best_epochs": "selection",
    "feature_leakage": "leakage.features",
    "margin_counts": "accuracy.counts",
    "group_report": "accuracy.scalars",
    "group_scalars": "accuracy.scalars",
    "joint_counts": "accuracy.counts",
    "leakage_amplification": "leakage.amplification",
}

__all__ = [
    "DESCRIPTIONS",
    "RULES",
    "AttentionScores",
    "BackgroundChallenge",
    "BandPassAccuracy",
    "BiasAmplification",
    "BiasInformation",
    "CriticalBand",
    "CuePreference",
    "Description",
    "ErrorConsistencyScore",
    "ErrorDiscovery",
    "GroupCalibration",
    "GroupCounts",
    "GroupF1",
    "GroupFairness",
    "GroupRanking",
    "IndicatorAmplification",
    "MultiAttributeAmplification",
    "ShapeBias",
    "ShortcutGaps",
    "VariantAccuracy",
    "best_epoch",
    "best_epochs",
    "feature_leakage",
    "group_report",
    "group_scalars",
    "joint_counts",
    "leakage_amplification",
    "margin_counts",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
