"""torchmetrics metrics with an exact state of counts. A function turns the counts into numbers."""

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
    """Base class of metrics whose state keeps its dtype: integer counts and float64 sums.

    ``set_dtype``, and ``to(dtype)`` of a module that holds the metric, do not change the state.
    Counts in float16 would be wrong from 2049 on, and float counts cannot be indices. Moving the
    metric to another device works as usual.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self) -> None:
        super().__init__()
        # MetricCollection permanently merges metrics whose states are equal after one batch, even
        # if they count different bias attributes; NaN equals nothing and prevents the merge
        self.add_state("unjoinable", torch.tensor(torch.nan), dist_reduce_fx="max")

    def _apply(
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ""
    ) -> nn.Module:
        def same_dtype(value: Tensor) -> Tensor:
            """Apply ``fn``; if it changes the dtype, only move the tensor to the new device."""
            result = fn(value)
            return result if result.dtype == value.dtype else value.to(result.device)

        return super()._apply(same_dtype, exclude_state)


class GroupCounts(ExactMetric):
    """Metric that counts samples, correct samples and predictions per target row and bias value.

    It has the habits of torchmetrics. ``metric(preds, target, groups)`` takes logits or classes,
    counts them, and returns the numbers of this batch. ``plot`` draws the accuracies. It works in a
    ``MetricCollection``. The function ``read`` turns the counts into numbers.

    The state is a sum of integers. The result does not depend on the order, the batches or the
    number of processes, even if a process saw one group or no sample. Pass each sample once: a
    sampler that pads its last batch counts samples twice.

    Args:
        groups: names and numbering of the groups.
        read: function of counts and groups that returns numbers by name: ``group_scalars``,
            ``group_report``, ``fairness_scalars``, ``amplification_scalars``, ``f1_scalars``,
            ``discovery_scalars``, or your own.
        train_frequencies: ``(groups.count,)`` integer, training samples of each group. They become
            the third argument of ``read``. ``group_scalars`` needs them for ``adjusted_average``.

    Raises:
        ValueError: ``train_frequencies`` is not one count per group, or has a negative count, or is
            all zero.

    Differs from the reference: ``BinaryGroupStatRates`` and ``BinaryFairness`` of torchmetrics
    assign samples to wrong groups if a batch lacks a group (issue #3489). Here a fairness
    difference is NaN if only one group defines it, so do not use it for early stopping.

    Example:
        >>> metric = GroupCounts(Groups(("landbird", "waterbird"), ("land", "water")))
        >>> preds, target, bias = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, -1]])
        >>> metric.update(preds, target, bias)
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

    def update(self, preds: Tensor, target: Tensor, groups: Tensor) -> None:
        """Add one batch. Does not synchronise with the device.

        Args:
            preds: ``(N, C)`` float logits or probabilities, or ``(N,)`` integer classes in [0,
                rows). Multi-label: ``(N, L)`` float logits, or 0/1.
            target: true class ``(N,)``, or labels ``(N, L)`` 0/1.
            groups: ``(N,)`` integer value of the bias attribute in [0, biases), or -1 if unknown. A
                sample of unknown bias counts in averages and class metrics, but in no group. The
                name is that of torchmetrics' fairness metrics. If you have numbers of groups, as
                ``Groups.encode`` gives them, pass ``group % groups.biases``.

        Raises:
            ValueError: a shape does not fit the groups, or a dtype is not integer. ``compute``
                reports a value out of range, on all processes.
        """
        value_range = Range(self.least, self.greatest)
        prediction = decisions(preds, self.groups) if preds.is_floating_point() else preds
        self.counts, (self.least, self.greatest) = add_counts(
            self.counts, value_range, prediction, target, groups, self.groups
        )

    def compute(self) -> dict[str, Any]:
        """Return the numbers of ``read``; with the default ``read``, float64 scalars on the CPU.

        Raises:
            ValueError: a target, bias or prediction of some batch was out of range.
        """
        check_range(Range(self.least, self.greatest), self.groups)
        facts = () if self.train_frequencies is None else (self.train_frequencies,)
        return self.read(Margins(*self.counts.cpu()), self.groups, *facts)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot the numbers: of accuracies, the average, the worst group and every group.

        Args:
            val: what ``compute`` or ``forward`` returned, or a list of these, one per step. By
                default it calls ``compute``.
            ax: axes of matplotlib to plot on. By default it makes a figure.

        Returns:
            The figure (``None`` if ``ax`` is given) and the axes.
        """
        values = self.compute() if val is None else val
        return self._plot(
            plotted(values) if isinstance(values, dict) else [plotted(one) for one in values], ax
        )


def decisions(logits: Tensor, groups: Groups) -> Tensor:
    """Predictions from logits, as ``Groups.predict``, after a check of their shape.

    Args:
        logits: ``(N, groups.outputs)`` float.
        groups: names and numbering of the groups.

    Raises:
        InputError: the shape is another one.
    """
    if logits.ndim != 2 or logits.shape[1] != groups.outputs:
        raise InputError(
            f"preds must be integer classes, or logits of shape (N, {groups.outputs}); got "
            f"{logits.dtype} of shape {tuple(logits.shape)}. If the network has one logit for two "
            "classes, pass logits.flatten() > 0"
        )
    return groups.predict(logits)


def plotted(numbers: dict[str, Tensor]) -> dict[str, Tensor]:
    """The numbers that ``GroupCounts.plot`` shows: of accuracies a few, of others all."""
    shown = ("average", "worst_group", "accuracy/")
    return {key: value for key, value in numbers.items() if key.startswith(shown)} or numbers


class CellCounts(ExactMetric):
    """Metric that counts correct and all samples in numbered cells, such as cue values.

    The function ``read`` turns the counts into numbers. The state is a sum of integers. The result
    does not depend on the order, the batches or the number of processes.

    Args:
        cells: number of cells.
        read: function of the :class:`Tally` of the cells that returns numbers by name.
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
        """Add one batch. Does not synchronise with the device.

        If a cell is out of range, ``compute`` raises an error in every process.

        Args:
            correct: bool tensor of any shape, whether each sample is correct.
            cell: integer cell of each sample, of the same shape. Samples with -1 are not counted.
        """
        cell, correct = cell.flatten(), correct.flatten()
        known = (cell >= 0).long()
        place = cell.clamp(0, len(self.total) - 1)
        self.correct = self.correct.index_add(0, place, known * correct.long())
        self.total = self.total.index_add(0, place, known)
        self.least = torch.cat((cell, self.least.view(1))).amin()
        self.greatest = torch.cat((cell, self.greatest.view(1))).amax()

    def tally(self) -> Tally:
        """Correct and total samples of each cell, on the CPU.

        Raises:
            ValueError: a batch of some process held a cell out of range.
        """
        if int(self.least) < -1 or int(self.greatest) >= len(self.total):
            outlier = int(self.least) if int(self.least) < -1 else int(self.greatest)
            raise InputError(
                f"cell of {type(self).__name__} must lie in [-1, {len(self.total)}); got {outlier}"
            )
        return Tally(self.correct.cpu(), self.total.cpu())

    def compute(self) -> dict[str, Any]:
        """Return the numbers that ``read`` computes from the counts of the cells.

        Raises:
            ValueError: a batch of some process held a cell out of range.
        """
        return self.read(self.tally())
