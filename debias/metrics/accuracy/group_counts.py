"""The one state from which the group metrics of a split are read, in one process or in many."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Range, add_margins, check_range
from debias.metrics.accuracy.margins import Margins, margins_shape
from debias.metrics.accuracy.scalars import group_report, group_scalars
from debias.metrics.exact_metric import ExactMetric
from debias.types import Groups


class GroupCounts(ExactMetric):
    """Counts of targets, right ones and predictions within each bias value, and the group
    accuracies they give.

    The state is a sum of integers: the result is the same under any order, batching or sharding,
    also where a process saw one group or nothing. Feed each sample once: a sampler that pads its
    last batch counts samples twice.

    Args:
        groups: names and numbering of the groups.
        train_frequencies: ``(groups.count,)`` integer, training samples of each group, the weights
            of ``adjusted_average``; without them that key is absent.

    Raises:
        ValueError: the frequencies are not one per group, or negative, or all zero.

    Differs from the reference: torchmetrics' own ``BinaryGroupStatRates`` books samples on the
    wrong groups as soon as a batch lacks one (issue #3489).

    Example:
        >>> metric = GroupCounts(Groups(("landbird", "waterbird"), ("land", "water")))
        >>> prediction, target, bias = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, -1]])
        >>> metric.update(prediction, target, bias)
        >>> scalars = metric.compute()
        >>> tuple(scalars[key].item() for key in ("average", "worst_group", "class_balanced"))
        (0.75, 0.0, 0.75)
    """

    higher_is_better = True

    #: What is counted, and how a batch is added to it.
    shape = staticmethod(margins_shape)
    add = staticmethod(add_margins)

    counts: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(self, groups: Groups, *, train_frequencies: Tensor | None = None) -> None:
        super().__init__()
        if train_frequencies is not None:
            _check_frequencies(train_frequencies, groups)
        self.groups = groups
        self.train_frequencies = None if train_frequencies is None else train_frequencies.cpu()
        self.add_state(
            "counts", torch.zeros(self.shape(groups), dtype=torch.long), dist_reduce_fx="sum"
        )
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
        self.counts, (self.least, self.greatest) = self.add(
            self.counts, seen, prediction, target, bias, self.groups
        )

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``group_scalars`` defines them.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        return group_scalars(self._table(), self.groups, self.train_frequencies)

    def report(self) -> dict[str, Any]:
        """What ``report.json`` says of this split, as ``group_report`` defines it; every process
        must call it.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        with self.sync_context():
            table = self._table()
        return group_report(table, self.groups, self.train_frequencies)

    def _table(self) -> Tensor | Margins:
        check_range(Range(self.least, self.greatest), self.groups)
        return Margins(*self.counts.cpu())


def _check_frequencies(frequencies: Tensor, groups: Groups) -> None:
    if (
        frequencies.shape != (groups.count,)
        or bool((frequencies < 0).any())
        or not bool((frequencies > 0).any())
    ):
        raise InputError(
            f"train_frequencies must hold the training samples of each of the {groups.count} "
            f"groups {groups.names}; got {frequencies.tolist()}"
        )
