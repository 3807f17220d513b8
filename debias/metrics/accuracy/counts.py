"""The counts of every group metric: targets, right ones and predictions of each bias."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.margins import Margins, margins, margins_shape
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


class Range(NamedTuple):
    """``(3,)`` int64 least and greatest target, bias and prediction seen."""

    least: Tensor
    greatest: Tensor


def empty_range() -> Range:
    """The range before any batch: zeros, which are always in range."""
    return Range(torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long))


def table_shape(groups: Groups) -> tuple[int, int, int]:
    """Shape ``(rows, biases + 1, choices)`` of the table; the last bias slot is "unknown".

    Raises:
        ValueError: it has more than ``MOST_CELLS`` cells.
    """
    shape = groups.rows, groups.biases + 1, _choices(groups)
    if (cells := math.prod(shape)) > MOST_CELLS:
        raise InputError(
            f"it counts every prediction of every group, and {groups.rows:,} classes and "
            f"{groups.biases:,} bias values make {cells:,} counts, more than {MOST_CELLS:,}"
        )
    return shape


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
    seen = empty_range()
    counts = torch.zeros(margins_shape(groups), dtype=torch.long, device=target.device)
    check_batch(prediction, target, bias, groups)
    parts = (torch.split(tensor, CHUNK) for tensor in (prediction, target, bias))
    for part in zip(*parts, strict=True):
        facts = _facts(*part)
        counts.view(-1).index_add_(0, *_margin_cells(facts, groups))
        seen = _widened(seen, facts)
    check_range(seen, groups)
    return Margins(*counts)


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
        ValueError: a shape, dtype or value is not as above, or there are too many cells
            (``table_shape``).

    Example:
        >>> groups = Groups(("no", "yes"), ("left", "right"))
        >>> prediction, target, bias = torch.tensor([[0, 1], [1, 1], [0, -1]])
        >>> joint_counts(prediction, target, bias, groups)[1].tolist()
        [[1, 0], [0, 0], [0, 1]]
    """
    seen = empty_range()
    counts = torch.zeros(table_shape(groups), dtype=torch.long, device=target.device)
    check_batch(prediction, target, bias, groups)
    parts = (torch.split(tensor, CHUNK) for tensor in (prediction, target, bias))
    for part in zip(*parts, strict=True):
        facts = _facts(*part)
        cells = _cells(facts, groups)
        counts.view(-1).index_add_(0, cells, torch.ones_like(cells))
        seen = _widened(seen, facts)
    check_range(seen, groups)
    return counts


def add_counts(
    counts: Tensor, seen: Range, prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> tuple[Tensor, Range]:
    """Counts and range with one batch added, without waiting for the device.

    Values out of range are clamped into the table and remembered in the range, so that the one who
    reads the table can refuse it (``check_range``): a check here would stall the device at every
    batch, and would leave the other processes waiting for the one that raised.

    Args:
        counts: ``(rows, biases + 1, choices)`` int64, as ``joint_counts`` returns it.
        seen: range of the batches before; zeros to begin with, which are always in range.
        prediction, target, bias, groups: as in ``joint_counts``.

    Raises:
        ValueError: a shape or dtype is wrong.
    """
    check_batch(prediction, target, bias, groups)
    facts = _facts(prediction, target, bias)
    cells = _cells(facts, groups)
    added = counts.flatten().index_add(0, cells, torch.ones_like(cells)).view_as(counts)
    return added, _widened(seen, facts)


def add_margins(
    counts: Tensor, seen: Range, prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> tuple[Tensor, Range]:
    """As :func:`add_counts`, for ``(3, rows, biases + 1)`` int64 counts of :class:`Margins`."""
    check_batch(prediction, target, bias, groups)
    facts = _facts(prediction, target, bias)
    added = counts.flatten().index_add(0, *_margin_cells(facts, groups)).view_as(counts)
    return added, _widened(seen, facts)


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


def _cells(facts: Tensor, groups: Groups) -> Tensor:
    """Position in the flat table of each (target, bias, prediction), clamped into it; flat."""
    target, bias, prediction = facts.unbind()
    _, slots, choices = table_shape(groups)
    # a remainder is never negative here: it sends -1, the unknown, to the last slot
    slot = bias.clamp(-1, groups.biases - 1).remainder(slots)
    # one slot more than there are biases, for the unknown ones, hence not Groups.encode
    cell = groups.row(target.clamp(0, choices - 1)) * slots + slot
    return (cell * choices + prediction.clamp(0, choices - 1)).flatten()


def _margin_cells(facts: Tensor, groups: Groups) -> tuple[Tensor, Tensor]:
    """Position in the flat margins of each count of the table, and what is added there."""
    target, bias, prediction = facts.unbind()
    _, rows, slots = margins_shape(groups)
    slot = bias.clamp(-1, groups.biases - 1).remainder(slots)
    last = _choices(groups) - 1
    place, chosen = (
        groups.row(value.clamp(0, last)) * slots + slot for value in (target, prediction)
    )
    right = (prediction == target).long()
    one = torch.ones_like(right)
    cells = torch.stack((place, place + rows * slots, chosen + 2 * rows * slots))
    return cells.flatten(), torch.stack((one, right, one)).flatten()


def _choices(groups: Groups) -> int:
    return 2 if groups.multi_label else groups.rows
