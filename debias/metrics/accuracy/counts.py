"""Counts that group metrics are computed from, per target row and bias value.

A target row is a class. With several labels, each label has two target rows, absent and present.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.types import Groups

#: Samples counted at a time. The intermediate tensors then fit into the processor's cache.
CHUNK = 2**15
#: Largest number of cells of a (target row, bias, prediction) table: 268 MB of counts. Reading the
#: table takes several times as much memory.
MOST_CELLS = 2**25


class Tally(NamedTuple):
    """Numbers of correct samples and of all samples: two int64 tensors of the same shape."""

    correct: Tensor
    total: Tensor


class Margins(NamedTuple):
    """Sums of the (target row, bias, prediction) table, enough for most metrics. Their size grows
    linearly with the number of classes.

    Three ``(rows, biases + 1)`` int64 tensors. The last column counts samples of unknown bias.

    Attributes:
        total: samples of each target row.
        correct: correctly predicted samples of each target row.
        chosen: samples whose prediction is this target row.
    """

    total: Tensor
    correct: Tensor
    chosen: Tensor


class Range(NamedTuple):
    """Smallest and greatest target, bias and prediction counted: two ``(3,)`` int64 tensors."""

    least: Tensor
    greatest: Tensor


def empty_range() -> Range:
    """The range before the first batch: all zeros, which are valid values in every data set."""
    return Range(torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long))


def margins_shape(groups: Groups) -> tuple[int, int, int]:
    """Shape of the three fields of :class:`Margins` in one tensor: ``(3, rows, biases + 1)``."""
    return len(Margins._fields), groups.rows, groups.biases + 1


def margin_counts(prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> Margins:
    """Count samples, correct samples and predictions per target row and bias value.

    Most metrics need only these counts.

    Args:
        prediction, target, bias, groups: as in :func:`joint_counts`.

    Raises:
        ValueError: a shape, dtype or value is not as :func:`joint_counts` describes it.

    Example:
        >>> groups = Groups(("no", "yes"), ("left", "right"))
        >>> prediction, target, bias = torch.tensor([[0, 1], [1, 1], [0, -1]])
        >>> counts = margin_counts(prediction, target, bias, groups)
        >>> counts.total.tolist(), counts.correct.tolist(), counts.chosen.tolist()
        ([[0, 0, 0], [1, 0, 1]], [[0, 0, 0], [0, 0, 1]], [[1, 0, 0], [0, 0, 1]])
    """
    counts = torch.zeros(margins_shape(groups), dtype=torch.long, device=target.device)
    return Margins(*_counted(counts, prediction, target, bias, groups))


def joint_counts(prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> Tensor:
    """Count the samples of each combination of target row, bias value and prediction.

    Args:
        prediction: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label; see
            ``Groups.predict``.
        target: the true class or labels, with the shape and range of ``prediction``.
        bias: ``(N,)`` integer in [0, biases), or -1 if unknown.
        groups: names and numbering of the groups.

    Returns:
        ``(rows, biases + 1, choices)`` int64. The last bias slot counts samples of unknown bias:
        averages and class metrics include them, group metrics do not.

    Raises:
        ValueError: a shape or dtype is not as above, a value is out of range, or the table has more
            than ``MOST_CELLS`` cells.

    Example:
        >>> groups = Groups(("no", "yes"), ("left", "right"))
        >>> prediction, target, bias = torch.tensor([[0, 1], [1, 1], [0, -1]])
        >>> joint_counts(prediction, target, bias, groups)[1].tolist()
        [[1, 0], [0, 0], [0, 1]]
    """
    shape = groups.rows, groups.biases + 1, _choices(groups)
    if (cells := math.prod(shape)) > MOST_CELLS:
        raise InputError(
            f"it needs one count per target row, bias value and prediction; got {groups.rows:,} "
            f"target rows and {groups.biases:,} bias values, which make {cells:,} counts, more "
            f"than {MOST_CELLS:,}"
        )
    counts = torch.zeros(shape, dtype=torch.long, device=target.device)
    return _counted(counts, prediction, target, bias, groups, joint=True)


def margins(counts: Tensor | Margins) -> Margins:
    """Reduce the table of ``joint_counts`` to margins. ``Margins`` are returned unchanged."""
    if isinstance(counts, Margins):
        return counts
    rows, slots, choices = counts.shape
    chosen = counts.reshape(-1, choices, slots, choices).sum(dim=1).transpose(1, 2)
    place = torch.arange(rows, device=counts.device)
    # multi-label rows alternate absent, present; otherwise choices and rows are equally many
    correct = counts[place, :, place % choices]
    return Margins(counts.sum(dim=2), correct, chosen.reshape(rows, slots))


def add_counts(
    counts: Tensor,
    value_range: Range,
    prediction: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
) -> tuple[Tensor, Range]:
    """Add one batch to margins and range. Does not synchronise with the device.

    Values out of range are clamped into the table and recorded in the range. Call ``check_range``
    before you read the table. A check here would stall the device at every batch. The other
    processes would also wait forever for the process that raised the error.

    Args:
        counts: int64 tensor of shape ``margins_shape``.
        value_range: range of the previous batches; ``empty_range()`` before the first.
        prediction, target, bias, groups: as in ``joint_counts``.

    Raises:
        ValueError: a shape or dtype is not as in ``joint_counts``.
    """
    check_batch(prediction, target, bias, groups)
    counts = counts.clone()
    value_range = _add(counts, value_range, _facts(prediction, target, bias), groups)
    return counts, value_range


def add_range(value_range: Range, prediction: Tensor, target: Tensor, bias: Tensor) -> Range:
    """Extend the range by one batch. Does not synchronise with the device.

    For callers that keep no table of counts; the others call :func:`add_counts`.
    """
    return _widened(value_range, _facts(prediction, target, bias))


def check_batch(prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> None:
    """Check the shapes and dtypes of a batch, not its values.

    Raises:
        ValueError: a tensor is not of integers, or does not have the shape ``(N,)``; with several
            labels ``(N, L)`` for prediction and target.
    """
    for name, tensor in (("target", target), ("prediction", prediction), ("bias", bias)):
        if tensor.is_floating_point() or tensor.is_complex():
            raise InputError(
                f"{name} must hold integers; got {tensor.dtype}. Groups.predict turns logits into "
                "predictions"
            )
    shape = (*bias.shape, groups.outputs) if groups.multi_label else bias.shape
    if bias.ndim != 1 or target.shape != shape or prediction.shape != shape:
        expected = f"(N, {groups.outputs})" if groups.multi_label else "(N,)"
        raise InputError(
            f"prediction and target must be {expected} and bias (N,) for these groups; got "
            f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(bias.shape)}"
        )


def check_facts(target: Tensor, bias: Tensor, groups: Groups) -> None:
    """Raise an error if targets or bias values do not fit the groups. For data without predictions;
    synchronises with the device.
    """
    check_batch(target, target, bias, groups)
    check_range(add_range(empty_range(), target, target, bias), groups)


def check_frequencies(frequencies: Tensor, groups: Groups) -> None:
    """Raise an error unless there is one count per group, none negative and at least one positive.

    Args:
        frequencies: ``(groups.count,)`` training samples of each group.
        groups: names and numbering of the groups.

    Raises:
        InputError: the shape is wrong, a count is negative, or all counts are 0.
    """
    wrong = frequencies.shape != (groups.count,) or bool((frequencies < 0).any())
    if wrong or not bool((frequencies > 0).any()):
        raise InputError(
            "train_frequencies must hold the number of training samples of each of the "
            f"{groups.count} groups {groups.names}; got {frequencies.tolist()}"
        )


def check_range(value_range: Range, groups: Groups) -> None:
    """Raise an error if a batch held a value out of range. Synchronises with the device once."""
    choices = _choices(groups)
    least, greatest = torch.stack(value_range).tolist()
    bounds = (("target", 0, choices), ("bias", -1, groups.biases), ("prediction", 0, choices))
    for (name, low, end), smallest, largest in zip(bounds, least, greatest, strict=True):
        if smallest < low or largest >= end:
            outlier = smallest if smallest < low else largest
            numbered = name == "bias" and end <= outlier < groups.count
            hint = f". For numbers of groups, pass group % {groups.biases}" if numbered else ""
            raise InputError(
                f"{name} must lie in [{low}, {end}); got {outlier}: these groups have {groups.rows}"
                f" target rows {groups.target_names} and {groups.biases} bias values "
                f"{groups.bias_names}{hint}"
            )


def group_tally(counts: Tensor | Margins) -> Tally:
    """``(groups,)`` correct and total samples per group, in the order of ``Groups.encode``. Samples
    of unknown bias are left out.
    """
    total, correct, _ = margins(counts)
    return Tally(correct[:, :-1].flatten(), total[:, :-1].flatten())


def class_tally(counts: Tensor | Margins) -> Tally:
    """``(rows,)`` correct and total samples per target row, including those of unknown bias."""
    total, correct, _ = margins(counts)
    return Tally(correct.sum(dim=1), total.sum(dim=1))


def total_tally(counts: Tensor | Margins) -> Tally:
    """Correct and total over all samples: two scalars. Multi-label: over (image, label) pairs."""
    total, correct, _ = margins(counts)
    return Tally(correct.sum(), total.sum())


def aligned_groups(groups: Groups) -> Tensor:
    """``(groups.count,)`` bool: whether each group is bias-aligned, by ``groups.aligned``."""
    mask = torch.zeros(groups.rows, groups.biases, dtype=torch.bool)
    for row, bias in groups.aligned:
        mask[row, bias] = True
    return mask.flatten()


def _facts(prediction: Tensor, target: Tensor, bias: Tensor) -> Tensor:
    """Target, bias and prediction in one int64 tensor: ``(3, N)``, multi-label ``(3, N, L)``."""
    bias = bias.reshape(bias.shape + (1,) * (target.ndim - 1)).expand_as(target)
    return torch.stack((target.long(), bias.long(), prediction.long()))


def _widened(value_range: Range, facts: Tensor) -> Range:
    ends = torch.stack(value_range, dim=1).to(facts.device)
    return Range(*torch.cat((facts.flatten(1), ends), dim=1).aminmax(dim=1))


def _counted(
    counts: Tensor,
    prediction: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    joint: bool = False,
) -> Tensor:
    """Add predictions to the counts in place, check their range, and return the counts."""
    value_range = empty_range()
    check_batch(prediction, target, bias, groups)
    parts = (torch.split(tensor, CHUNK) for tensor in (prediction, target, bias))
    for part in zip(*parts, strict=True):
        value_range = _add(counts, value_range, _facts(*part), groups, joint=joint)
    check_range(value_range, groups)
    return counts


def _add(
    counts: Tensor, value_range: Range, facts: Tensor, groups: Groups, *, joint: bool = False
) -> Range:
    """Add samples to the counts in place, and return the extended range."""
    target, bias, prediction = facts.unbind()
    slots, choices = groups.biases + 1, _choices(groups)
    # not Groups.encode, since the table has an extra slot for unknown bias; torch's remainder is
    # never negative, so it sends -1, the unknown bias, to the last slot
    slot = bias.clamp(-1, groups.biases - 1).remainder(slots)
    answer = prediction.clamp(0, choices - 1)
    place = groups.row(target.clamp(0, choices - 1)) * slots + slot
    one = torch.ones_like(place)
    if joint:
        cells, added = place * choices + answer, one
    else:
        right = (prediction == target).long()
        size, chosen = groups.rows * slots, groups.row(answer) * slots + slot
        cells = torch.stack((place, place + size, chosen + 2 * size))
        added = torch.stack((one, right, one))
    counts.view(-1).index_add_(0, cells.flatten(), added.flatten())
    return _widened(value_range, facts)


def _choices(groups: Groups) -> int:
    return 2 if groups.multi_label else groups.rows
