"""Metrics from counts: accuracy, fairness, bias amplification, leakage and attention per group, and
rules that select an epoch by them.

The names in ``__all__`` load on first use. The functions need torch only; the classes also need
torchmetrics. Import every other name from its module. ``debias.metrics.selection`` needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debias.metrics.accuracy.counts import joint_counts, margin_counts
    from debias.metrics.accuracy.scalars import group_report, group_scalars
    from debias.metrics.amplification.report import amplification_scalars
    from debias.metrics.exact_metrics import CellCounts, GroupCounts
    from debias.metrics.fairness.rates import fairness_scalars

__all__ = [
    "CellCounts",
    "GroupCounts",
    "amplification_scalars",
    "fairness_scalars",
    "group_report",
    "group_scalars",
    "joint_counts",
    "margin_counts",
]

_HOMES = {
    "CellCounts": "exact_metrics",
    "GroupCounts": "exact_metrics",
    "amplification_scalars": "amplification.report",
    "fairness_scalars": "fairness.rates",
    "group_report": "accuracy.scalars",
    "group_scalars": "accuracy.scalars",
    "joint_counts": "accuracy.counts",
    "margin_counts": "accuracy.counts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
