"""Counts in, numbers out: float64 functions of count tensors. Loads torch and nothing else."""

from debias.metrics.functional.accuracy import (
    accuracy,
    accuracy_gap,
    accuracy_ratio,
    class_difference,
    expected_worst,
    mean_accuracy,
    mean_class_difference,
    worst_accuracy,
)
from debias.metrics.functional.amplification_report import amplification_report
from debias.metrics.functional.attention_summary import attention_report
from debias.metrics.functional.counts import (
    Tally,
    aligned_groups,
    class_tally,
    group_tally,
    joint_counts,
    margin_counts,
    total_tally,
)
from debias.metrics.functional.discovery import discovery_report
from debias.metrics.functional.fairness_scalars import fairness_report
from debias.metrics.functional.information import information_report
from debias.metrics.functional.intervals import (
    Interval,
    corrected_wilson_interval,
    normal_interval,
    percentile_interval,
    resampled_worst_group,
    wilson_interval,
    worst_group_interval,
)
from debias.metrics.functional.paired import (
    holm,
    resampled_worst_group_difference,
    two_sided_p_value,
    worst_group_difference,
)
from debias.metrics.functional.scalars import group_report, group_scalars
from debias.metrics.functional.scores_report import scores_report
from debias.metrics.functional.shortcuts import shortcut_report

__all__ = [
    "Interval",
    "Tally",
    "accuracy",
    "accuracy_gap",
    "accuracy_ratio",
    "aligned_groups",
    "amplification_report",
    "attention_report",
    "class_difference",
    "class_tally",
    "corrected_wilson_interval",
    "discovery_report",
    "expected_worst",
    "fairness_report",
    "group_report",
    "group_scalars",
    "group_tally",
    "holm",
    "information_report",
    "joint_counts",
    "margin_counts",
    "mean_accuracy",
    "mean_class_difference",
    "normal_interval",
    "percentile_interval",
    "resampled_worst_group",
    "resampled_worst_group_difference",
    "scores_report",
    "shortcut_report",
    "total_tally",
    "two_sided_p_value",
    "wilson_interval",
    "worst_accuracy",
    "worst_group_difference",
    "worst_group_interval",
]
