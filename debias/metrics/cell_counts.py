"""Right and total in each of some cells: the state of variants, cues, shortcuts and bands."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Tally
from debias.metrics.exact_metric import ExactMetric


class CellCounts(ExactMetric):
    """Base of the metrics that are read from how many samples are right in each cell.

    The state is a sum of integers: the result is the same under any order, batching or sharding.

    Args:
        cells: how many cells there are.
    """

    correct: Tensor
    total: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.add_state("correct", torch.zeros(cells, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(cells, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("least", torch.tensor(-1), dist_reduce_fx="min")
        self.add_state("greatest", torch.tensor(-1), dist_reduce_fx="max")

    def add(self, correct: Tensor, cell: Tensor) -> None:
        """Count bool ``correct`` in integer cells of the same shape; -1 counts nowhere.

        Does not wait for the device; a cell out of range is reported by ``tally``.
        """
        cell, correct = cell.flatten(), correct.flatten()
        known = (cell >= 0).long()
        place = cell.clamp(0, len(self.total) - 1)
        self.correct = self.correct.index_add(0, place, known * correct.long())
        self.total = self.total.index_add(0, place, known)
        self.least = torch.cat((cell, self.least.view(1))).amin()
        self.greatest = torch.cat((cell, self.greatest.view(1))).amax()

    def tally(self) -> Tally:
        """Right and total in each cell, on the CPU.

        Raises:
            ValueError: a cell was out of range, on whichever process.
        """
        if int(self.least) < -1 or int(self.greatest) >= len(self.total):
            found = int(self.least) if int(self.least) < -1 else int(self.greatest)
            raise InputError(
                f"cell {found} of {type(self).__name__} is outside [-1, {len(self.total)})"
            )
        return Tally(self.correct.cpu(), self.total.cpu())
