"""Amplification of one bias attribute as a metric, under any order, batching or sharding."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Range, add_margins, check_range
from debias.metrics.accuracy.margins import Margins, margins_shape
from debias.metrics.amplification.counts import (
    co_occurrences,
    frequency_co_occurrence,
)
from debias.metrics.amplification.report import amplification_scalars
from debias.metrics.exact_metric import ExactMetric
from debias.types import Groups


class BiasAmplification(ExactMetric):
    """Amplification of one bias attribute, for classes or several labels.

    Args:
        groups: names and numbering of the groups.
        train_frequencies: ``(groups.count,)`` integer, training samples of each group, which say
            what goes together; without them the labels of the evaluation set do.
        attribute_predictions: whether ``update`` is also given what a model predicts the bias
            attribute to be.

    Raises:
        ValueError: the frequencies are not one per group.

    Example:
        >>> metric = BiasAmplification(Groups(("cook", "drive"), ("woman", "man")))
        >>> target = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
        >>> bias = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
        >>> metric.update(bias, target, bias)  # predicts the class from nothing but the bias
        >>> metric.compute()["amplification/attribute_to_task"].item()
        0.25
    """

    higher_is_better = False

    tables: Tensor
    least: Tensor
    greatest: Tensor

    def __init__(
        self,
        groups: Groups,
        *,
        train_frequencies: Tensor | None = None,
        attribute_predictions: bool = False,
    ) -> None:
        super().__init__()
        if train_frequencies is not None and train_frequencies.shape != (groups.count,):
            raise InputError(
                f"train_frequencies must hold the training samples of each of the {groups.count} "
                f"groups {groups.names}; got shape {tuple(train_frequencies.shape)}"
            )
        self.groups = groups
        self.train_counts = (
            None
            if train_frequencies is None
            else frequency_co_occurrence(train_frequencies.cpu(), groups)
        )
        self.attribute_predictions = attribute_predictions
        # the counts by true bias, and if it is predicted those by predicted bias
        shape = (1 + attribute_predictions, *margins_shape(groups))
        self.add_state("tables", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("least", torch.zeros(3, dtype=torch.long), dist_reduce_fx="min")
        self.add_state("greatest", torch.zeros(3, dtype=torch.long), dist_reduce_fx="max")

    def update(
        self, prediction: Tensor, target: Tensor, bias: Tensor, predicted_bias: Tensor | None = None
    ) -> None:
        """Add one batch; does not wait for the device.

        Args:
            prediction, target, bias: as in ``GroupCounts.update``; samples of unknown bias count
                nowhere.
            predicted_bias: ``(N,)`` integer in [0, biases), if the metric was made for it.

        Raises:
            ValueError: a shape or dtype is wrong, or ``predicted_bias`` is missing or not expected.
                A value out of range is reported by ``compute``, on all processes.
        """
        if (predicted_bias is not None) != self.attribute_predictions:
            raise InputError(
                f"predicted_bias is {'missing' if self.attribute_predictions else 'not expected'}: "
                f"this metric was made with attribute_predictions={self.attribute_predictions}"
            )
        columns = (
            [bias] if predicted_bias is None else [bias, torch.where(bias < 0, -1, predicted_bias)]
        )
        seen, tables = Range(self.least, self.greatest), []
        for table, column in zip(self.tables, columns, strict=True):
            added, seen = add_margins(table, seen, prediction, target, column, self.groups)
            tables.append(added)
        self.tables, (self.least, self.greatest) = torch.stack(tables), seen

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars on the CPU, as ``amplification_scalars`` defines them.

        Raises:
            ValueError: a target, bias or prediction was out of range.
        """
        check_range(Range(self.least, self.greatest), self.groups)
        true, *predicted = (Margins(*table) for table in self.tables.cpu())
        test = co_occurrences(true, self.groups, *predicted)
        return amplification_scalars(test, self.train_counts)
