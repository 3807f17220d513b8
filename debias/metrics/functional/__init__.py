"""Counts in, numbers out: float64 functions of count tensors. Loads torch and nothing else."""

from debias.metrics.functional.accuracy import accuracy, accuracy_gap, mean_accuracy, worst_accuracy
from debias.metrics.functional.counts import (
    Tally,
    aligned_groups,
    class_tally,
    group_tally,
    joint_counts,
    total_tally,
)
from debias.metrics.functional.intervals import (
    Interval,
    percentile_interval,
    resampled_worst_group,
    wilson_interval,
    worst_group_interval,
)
from debias.metrics.functional.scalars import group_report, group_scalars

__all__ = [
    "Interval",
    "Tally",
    "accuracy",
    "accuracy_gap",
    "aligned_groups",
    "class_tally",
    "group_report",
    "group_scalars",
    "group_tally",
    "joint_counts",
    "mean_accuracy",
    "percentile_interval",
    "resampled_worst_group",
    "total_tally",
    "wilson_interval",
    "worst_accuracy",
    "worst_group_interval",
]
