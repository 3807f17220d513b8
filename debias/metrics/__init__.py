"""Counts to numbers: accuracy, fairness, amplification, leakage and attention by group, and rules to select by them.

Names load on first use: ``debias.metrics.functional`` needs torch only, ``debias.metrics.selection`` nothing, and the
classes torchmetrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debias.metrics.amplification import BiasAmplification
    from debias.metrics.amplification_indicators import IndicatorAmplification, MultiAttributeAmplification
    from debias.metrics.attention_scores import AttentionScores
    from debias.metrics.bias_information import BiasInformation, ErrorDiscovery
    from debias.metrics.cues import (
        BackgroundChallenge,
        CuePreference,
        ErrorConsistencyScore,
        ShapeBias,
        ShortcutGaps,
        VariantAccuracy,
    )
    from debias.metrics.descriptions import DESCRIPTIONS, Description
    from debias.metrics.fairness import GroupFairness
    from debias.metrics.frequency import BandPassAccuracy, CriticalBand
    from debias.metrics.functional import group_report, group_scalars, joint_counts, margin_counts
    from debias.metrics.group_counts import GroupCounts
    from debias.metrics.leakage import feature_leakage
    from debias.metrics.leakage_amplification import leakage_amplification
    from debias.metrics.scores import GroupCalibration, GroupF1, GroupRanking
    from debias.metrics.selection import RULES, best_epoch, best_epochs

_HOMES = {
    "DESCRIPTIONS": "descriptions",
    "RULES": "selection",
    "AttentionScores": "attention_scores",
    "BackgroundChallenge": "cues",
    "BandPassAccuracy": "frequency",
    "BiasAmplification": "amplification",
    "BiasInformation": "bias_information",
    "CriticalBand": "frequency",
    "CuePreference": "cues",
    "Description": "descriptions",
    "ErrorConsistencyScore": "cues",
    "ErrorDiscovery": "bias_information",
    "GroupCalibration": "scores",
    "GroupCounts": "group_counts",
    "GroupF1": "scores",
    "GroupFairness": "fairness",
    "GroupRanking": "scores",
    "IndicatorAmplification": "amplification_indicators",
    "MultiAttributeAmplification": "amplification_indicators",
    "ShapeBias": "cues",
    "ShortcutGaps": "cues",
    "VariantAccuracy": "cues",
    "best_epoch": "selection",
    "best_epochs": "selection",
    "feature_leakage": "leakage",
    "margin_counts": "functional",
    "group_report": "functional",
    "group_scalars": "functional",
    "joint_counts": "functional",
    "leakage_amplification": "leakage_amplification",
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
