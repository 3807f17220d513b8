"""Counts as torchmetrics metrics: an exact state, and any function that reads numbers from it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from debias.errors import InputError
from debias.metrics.accuracy.counts import (
    Margins,
    Range,
    Tally,
    add_counts,
    check_frequencies,
    check_range,
    margins_shape,
)
from debias.metrics.accuracy.scalars import group_scalars
from debias.types import Groups


class ExactMetric(Metric):
    """Base of the metrics: integer counts stay integers and float64 sums float64, whatever a model
    is cast to.

    ``set_dtype``, and the ``to(dtype)`` of a module that holds the metric, leave the state as it
    is: float16 counts would be wrong from 2049 on, and float counts are no indices. Moving to a
    device works as always.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self) -> None:
        super().__init__()
        # MetricCollection joins metrics whose states are equal after one batch, for good, also when
        # they watch different biases; NaN equals nothing, so that two of these are never joined
        self.add_state("unjoinable", torch.tensor(torch.nan), dist_reduce_fx="max")

    def _apply(
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ""
    ) -> nn.Module:
        def keep(value: Tensor) -> Tensor:
            """What the function makes of a tensor, but for its number type."""
            found = fn(value)
            return found if found.dtype == value.dtype else value.to(found.device)

        return super()._apply(keep, exclude_state)


class GroupCounts(ExactMetric):
    """Counts of targets, right ones and predictions within each bias value, and the numbers that
    ``read`` makes of them.

    The state is a sum of integers: the result is the same under any order, batching or sharding,
    also where a process saw one group or nothing. Feed each sample once: a sampler that pads its
    last batch counts samples twice.

    Args:
        groups: names and numbering of the groups.
        read: function of the counts and the groups that returns the numbers, by name:
            ``group_scalars``, ``group_report``, ``fairness_scalars``, ``amplification_scalars``,
            ``f1_scalars``, ``discovery_scalars``, or your own.
        train_frequencies: ``(groups.count,)`` integer, training samples of each group, the third
            argument of ``read``. ``group_scalars`` needs them for ``adjusted_average``.

    Raises:
        ValueError: the frequencies are not one per group, or negative, or all zero.

    Differs from the reference: torchmetrics' own ``BinaryGroupStatRates`` and ``BinaryFairness``
    book samples on the wrong groups as soon as a batch lacks one (issue #3489). A fairness
    difference that only one group defines is NaN here, so do not stop a training on it.

    Example:
        >>> metric = GroupCounts(Groups(("landbird", "waterbird"), ("land", "water")))
        >>> prediction, target, bias = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, -1]])
        >>> metric.update(prediction, target, bias)
        >>> scalars = metric.compute()
        >>> tuple(scalars[key].item() for key in ("average", "worst_group", "class_balanced"))
        (0.75, 0.0, 0.75)
    """

    counts: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(
        self,
        groups: Groups,
        read: Callable[..., dict[str, Any]] = group_scalars,
        *,
        train_frequencies: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.groups, self.read = groups, read
        self.train_frequencies = None
        if train_frequencies is not None:
            check_frequencies(train_frequencies, groups)
            self.train_frequencies = train_frequencies.cpu()
        counts = torch.zeros(margins_shape(groups), dtype=torch.long)
        self.add_state("counts", counts, dist_reduce_fx="sum")
        self.add_state("least", torch.zeros(3, dtype=torch.long), dist_reduce_fx="min")
        self.add_state("greatest", torch.zeros(3, dtype=torch.long), dist_reduce_fx="max")

    def update(self, prediction: Tensor, target: Tensor, bias: Tensor) -> None:
        """Add one batch; does not wait for the device.

        Args:
            prediction: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label, as
                ``Groups.predict`` makes them from logits.
            target: of the shape and range of ``prediction``.
            bias: ``(N,)`` integer in [0, biases), or -1 where unknown: such a sample counts in
                averages and class metrics, and in no group.

        Raises:
            ValueError: a shape or dtype is wrong. A value out of range is reported by ``compute``,
                on all processes.
        """
        seen = Range(self.least, self.greatest)
        self.counts, (self.least, self.greatest) = add_counts(
            self.counts, seen, prediction, target, bias, self.groups
        )

    def compute(self) -> dict[str, Any]:
        """What ``read`` returns; float64 scalars on the CPU by default.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        check_range(Range(self.least, self.greatest), self.groups)
        facts = () if self.train_frequencies is None else (self.train_frequencies,)
        return self.read(Margins(*self.counts.cpu()), self.groups, *facts)


class CellCounts(ExactMetric):
    """How many samples are right in each of some cells, and the numbers that ``read`` makes of
    them.

    The state is a sum of integers: the result is the same under any order, batching or sharding.

    Args:
        cells: how many cells there are.
        read: function of the :class:`Tally` of the cells that returns the numbers, by name.
    """

    correct: Tensor
    total: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(self, cells: int, read: Callable[[Tally], dict[str, Any]]) -> None:
        super().__init__()
        self.read = read
        self.add_state("correct", torch.zeros(cells, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(cells, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("least", torch.tensor(-1), dist_reduce_fx="min")
        self.add_state("greatest", torch.tensor(-1), dist_reduce_fx="max")

    def update(self, correct: Tensor, cell: Tensor) -> None:
        """Count bool ``correct`` in integer cells of the same shape; -1 counts nowhere.

        Does not wait for the device; ``compute`` reports a cell that is out of range, on all
        processes.
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

    def compute(self) -> dict[str, Any]:
        """What ``read`` returns.

        Raises:
            ValueError: a cell was out of range, on whichever process.
        """
        return self.read(self.tally())
