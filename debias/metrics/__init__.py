"""Counts to numbers: group accuracies with their uncertainty, and the rules that select an epoch by them.

Names load on first use: ``debias.metrics.functional`` needs torch only, ``debias.metrics.selection`` nothing, and
``GroupCounts`` torchmetrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debias.metrics.descriptions import DESCRIPTIONS, Description
    from debias.metrics.functional import group_report, group_scalars, joint_counts
    from debias.metrics.group_counts import GroupCounts
    from debias.metrics.selection import RULES, best_epoch, best_epochs

_HOMES = {
    "DESCRIPTIONS": "descriptions",
    "Description": "descriptions",
    "GroupCounts": "group_counts",
    "RULES": "selection",
    "best_epoch": "selection",
    "best_epochs": "selection",
    "group_report": "functional",
    "group_scalars": "functional",
    "joint_counts": "functional",
}

__all__ = [
    "DESCRIPTIONS",
    "RULES",
    "Description",
    "GroupCounts",
    "best_epoch",
    "best_epochs",
    "group_report",
    "group_scalars",
    "joint_counts",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
