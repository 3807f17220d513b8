"""The counts of every group metric: targets, right ones and predictions of each bias."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.types import Groups

#: Rows counted at a time: what lies between them and the table then stays in the processor's cache.
CHUNK = 2**15
#: Cells that a table of (target row, bias, prediction) may have: 268 MB of counts, and several
#: times that to read it.
MOST_CELLS = 2**25


class Tally(NamedTuple):
    """How many samples were right, and how many there are: two int64 tensors of one shape."""

    correct: Tensor
    total: Tensor


class Margins(NamedTuple):
    """What most metrics need of a table of (target row, bias, prediction): its size is linear in
    the classes.

    Three ``(rows, biases + 1)`` int64 tensors; the last bias slot is for samples of unknown bias.

    Attributes:
        total: samples of each target row.
        correct: those of them that are right.
        chosen: samples that are predicted to be of each target row.
    """

    total: Tensor
    correct: Tensor
    chosen: Tensor


class Range(NamedTuple):
    """``(3,)`` int64 least and greatest target, bias and prediction seen."""

    least: Tensor
    greatest: Tensor


def empty_range() -> Range:
    """The range before any batch: zeros, which are always in range."""
    return Range(torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long))


def margins_shape(groups: Groups) -> tuple[int, int, int]:
    """``(3, rows, biases + 1)``: the fields of :class:`Margins` one after the other."""
    return len(Margins._fields), groups.rows, groups.biases + 1


def margin_counts(prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> Margins:
    """Count the targets, right ones and predictions of each bias value, for most metrics.

    Args:
        prediction, target, bias, groups: as in :func:`joint_counts`.

    Raises:
        ValueError: a shape, dtype or value is not as there.

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
    """Count every (target row, bias, prediction) of a set of predictions.

    Args:
        prediction: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label; see
            ``Groups.predict``.
        target: of the shape and range of ``prediction``.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown.
        groups: names and numbering of the groups.

    Returns:
        ``(rows, biases + 1, choices)`` int64. Samples of unknown bias are in the last bias slot:
        averages and class metrics count them, group metrics do not.

    Raises:
        ValueError: a shape, dtype or value is not as above, or the table has more than
            ``MOST_CELLS`` cells.

    Example:
        >>> groups = Groups(("no", "yes"), ("left", "right"))
        >>> prediction, target, bias = torch.tensor([[0, 1], [1, 1], [0, -1]])
        >>> joint_counts(prediction, target, bias, groups)[1].tolist()
        [[1, 0], [0, 0], [0, 1]]
    """
    shape = groups.rows, groups.biases + 1, _choices(groups)
    if (cells := math.prod(shape)) > MOST_CELLS:
        raise InputError(
            f"it counts every prediction of every group, and {groups.rows:,} classes and "
            f"{groups.biases:,} bias values make {cells:,} counts, more than {MOST_CELLS:,}"
        )
    counts = torch.zeros(shape, dtype=torch.long, device=target.device)
    return _counted(counts, prediction, target, bias, groups, joint=True)


def margins(counts: Tensor | Margins) -> Margins:
    """The margins of a table of ``joint_counts``; those of ``margin_counts`` as they are."""
    if isinstance(counts, Margins):
        return counts
    rows, slots, choices = counts.shape
    chosen = counts.reshape(-1, choices, slots, choices).sum(dim=1).transpose(1, 2)
    place = torch.arange(rows, device=counts.device)
    # rows alternate absent, present when multi-label; otherwise there are as many choices as rows
    correct = counts[place, :, place % choices]
    return Margins(counts.sum(dim=2), correct, chosen.reshape(rows, slots))


def add_counts(
    counts: Tensor, seen: Range, prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> tuple[Tensor, Range]:
    """Margins and range with one batch added, without waiting for the device.

    Values out of range are clamped into the table and remembered in the range, so that the one who
    reads the table can refuse it (``check_range``): a check here would stall the device at every
    batch, and would leave the other processes waiting for the one that raised.

    Args:
        counts: int64 of ``margins_shape``.
        seen: range of the batches before; zeros to begin with, which are always in range.
        prediction, target, bias, groups: as in ``joint_counts``.

    Raises:
        ValueError: a shape or dtype is wrong.
    """
    check_batch(prediction, target, bias, groups)
    counts = counts.clone()
    seen = _add(counts, seen, _facts(prediction, target, bias), groups)
    return counts, seen


def add_range(seen: Range, prediction: Tensor, target: Tensor, bias: Tensor) -> Range:
    """The range with one batch added, without a table; does not wait for the device."""
    return _widened(seen, _facts(prediction, target, bias))


def check_batch(prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups) -> None:
    """Refuse a batch whose shapes or dtypes do not fit the groups; looks at no value."""
    for name, tensor in (("target", target), ("prediction", prediction), ("bias", bias)):
        if tensor.is_floating_point() or tensor.is_complex():
            raise InputError(
                f"{name} must hold integers, got {tensor.dtype}; Groups.predict turns logits into "
                "predictions"
            )
    shape = (*bias.shape, groups.outputs) if groups.multi_label else bias.shape
    if bias.ndim != 1 or target.shape != shape or prediction.shape != shape:
        expected = f"(N, {groups.outputs})" if groups.multi_label else "(N,)"
        raise InputError(
            f"prediction and target must be {expected} and bias (N,) for these groups, got "
            f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(bias.shape)}"
        )


def check_facts(target: Tensor, bias: Tensor, groups: Groups) -> None:
    """Refuse wrong targets and biases where nobody predicts any; waits for the device."""
    check_batch(target, target, bias, groups)
    check_range(add_range(empty_range(), target, target, bias), groups)


def check_frequencies(frequencies: Tensor, groups: Groups) -> None:
    """Refuse training samples that are not one count per group, some of them above 0."""
    wrong = frequencies.shape != (groups.count,) or bool((frequencies < 0).any())
    if wrong or not bool((frequencies > 0).any()):
        raise InputError(
            f"train_frequencies must hold the training samples of each of the {groups.count} "
            f"groups {groups.names}; got {frequencies.tolist()}"
        )


def check_range(seen: Range, groups: Groups) -> None:
    """Refuse a table that was fed values out of range; waits for the device once."""
    choices = _choices(groups)
    least, greatest = torch.stack(seen).tolist()
    bounds = (("target", 0, choices), ("bias", -1, groups.biases), ("prediction", 0, choices))
    for (name, low, end), smallest, largest in zip(bounds, least, greatest, strict=True):
        if smallest < low or largest >= end:
            found = smallest if smallest < low else largest
            raise InputError(
                f"{name} {found} is outside [{low}, {end}): these groups have {groups.rows} target "
                f"rows {groups.target_names} and {groups.biases} bias values {groups.bias_names}"
            )


def group_tally(counts: Tensor | Margins) -> Tally:
    """``(groups,)`` right and total of each group, by ``Groups.encode``, of known bias."""
    total, correct, _ = margins(counts)
    return Tally(correct[:, :-1].flatten(), total[:, :-1].flatten())


def class_tally(counts: Tensor | Margins) -> Tally:
    """``(rows,)`` right and total of each target row, over every bias, known or not."""
    total, correct, _ = margins(counts)
    return Tally(correct.sum(dim=1), total.sum(dim=1))


def total_tally(counts: Tensor | Margins) -> Tally:
    """Right and total over everything, two scalars; when multi-label, over (image, label) pairs."""
    total, correct, _ = margins(counts)
    return Tally(correct.sum(), total.sum())


def aligned_groups(groups: Groups) -> Tensor:
    """``(groups.count,)`` bool: the groups of the shortcut; ``aligned`` is (row, bias) pairs."""
    mask = torch.zeros(groups.rows, groups.biases, dtype=torch.bool)
    for row, bias in groups.aligned:
        mask[row, bias] = True
    return mask.flatten()


def _facts(prediction: Tensor, target: Tensor, bias: Tensor) -> Tensor:
    """``(3, N)`` or ``(3, N, L)`` int64 target, bias and prediction."""
    bias = bias.reshape(bias.shape + (1,) * (target.ndim - 1)).expand_as(target)
    return torch.stack((target.long(), bias.long(), prediction.long()))


def _widened(seen: Range, facts: Tensor) -> Range:
    ends = torch.stack(seen, dim=1).to(facts.device)
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
    """The counts, to which the predictions are added in place."""
    seen = empty_range()
    check_batch(prediction, target, bias, groups)
    parts = (torch.split(tensor, CHUNK) for tensor in (prediction, target, bias))
    for part in zip(*parts, strict=True):
        seen = _add(counts, seen, _facts(*part), groups, joint=joint)
    check_range(seen, groups)
    return counts


def _add(
    counts: Tensor, seen: Range, facts: Tensor, groups: Groups, *, joint: bool = False
) -> Range:
    """Add to the counts, in place."""
    target, bias, prediction = facts.unbind()
    slots, choices = groups.biases + 1, _choices(groups)
    # one slot more than there are biases, for the unknown ones, hence not Groups.encode; a
    # remainder is never negative here: it sends -1, the unknown, to the last slot
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
    return _widened(seen, facts)


def _choices(groups: Groups) -> int:
    return 2 if groups.multi_label else groups.rows
