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
    from debias.metrics.accuracy.scalars import group_report, group_scalars
    from debias.metrics.amplification.report import amplification_scalars
    from debias.metrics.attention.scores import AttentionScores
    from debias.metrics.descriptions import DESCRIPTIONS, Description
    from debias.metrics.discovery.bias_information import BiasInformation, ErrorDiscovery
    from debias.metrics.exact_metrics import CellCounts, GroupCounts
    from debias.metrics.fairness.scalars import fairness_scalars
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
    "BiasInformation": "discovery.bias_information",
    "CellCounts": "exact_metrics",
    "CriticalBand": "frequency.band_accuracy",
    "CuePreference": "shortcuts.cue_counts",
    "Description": "descriptions",
    "ErrorConsistencyScore": "shortcuts.cue_counts",
    "ErrorDiscovery": "discovery.bias_information",
    "GroupCalibration": "scores.group_scores",
    "GroupCounts": "exact_metrics",
    "GroupF1": "scores.group_scores",
    "GroupRanking": "scores.group_scores",
    "ShapeBias": "shortcuts.cue_counts",
    "ShortcutGaps": "shortcuts.cue_counts",
    "VariantAccuracy": "shortcuts.cue_counts",
    "amplification_scalars": "amplification.report",
    "best_epoch": "selection",
    "best_epochs": "selection",
    "fairness_scalars": "fairness.scalars",
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
    "BiasInformation",
    "CellCounts",
    "CriticalBand",
    "CuePreference",
    "Description",
    "ErrorConsistencyScore",
    "ErrorDiscovery",
    "GroupCalibration",
    "GroupCounts",
    "GroupF1",
    "GroupRanking",
    "ShapeBias",
    "ShortcutGaps",
    "VariantAccuracy",
    "amplification_scalars",
    "best_epoch",
    "best_epochs",
    "fairness_scalars",
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
