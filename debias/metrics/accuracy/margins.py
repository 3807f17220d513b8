"""Margins of a table of (target row, bias, prediction): their size is linear in the classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from debias.types import Groups


class Margins(NamedTuple):
    """What most metrics need of a table of (target row, bias, prediction), whose size does not grow
    with its square.

    Three ``(rows, biases + 1)`` int64 tensors; the last bias slot is for samples of unknown bias.

    Attributes:
        total: samples of each target row.
        correct: those of them that are right.
        chosen: samples that are predicted to be of each target row.
    """

    total: Tensor
    correct: Tensor
    chosen: Tensor


def margins_shape(groups: Groups) -> tuple[int, int, int]:
    """Shape ``(3, rows, biases + 1)`` of the fields of :class:`Margins`, one after the other."""
    return len(Margins._fields), groups.rows, groups.biases + 1


def margins(counts: Tensor | Margins) -> Margins:
    """The margins of a table of ``joint_counts``; those of ``margin_counts`` as they are."""
    if isinstance(counts, Margins):
        return counts
    rows, slots, choices = counts.shape
    chosen = (
        counts.reshape(-1, choices, slots, choices).sum(dim=1).transpose(1, 2).reshape(rows, slots)
    )
    place = torch.arange(rows, device=counts.device)
    # rows alternate absent, present when multi-label; otherwise there are as many choices as rows
    return Margins(counts.sum(dim=2), counts[place, :, place % choices], chosen)
