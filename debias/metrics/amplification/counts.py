"""How often tasks and attributes occur together: the counts that every measure of bias
amplification is read from.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Margins, margins
from debias.types import Groups


class CoOccurrence(NamedTuple):
    """How often each of T tasks meets each of A attributes, as labelled or as predicted.

    Attributes:
        both: ``(T, A)`` samples with task t and attribute a.
        task: ``(T,)`` samples with task t.
        attribute: ``(A,)`` samples with attribute a.
        samples: scalar, samples with any task or attribute at all.
    """

    both: Tensor
    task: Tensor
    attribute: Tensor
    samples: Tensor


class CoOccurrences(NamedTuple):
    """What is known of one evaluation set; two are ``None`` without predicted attributes.

    Attributes:
        labels: true task, true attribute.
        predicted_task: predicted task, true attribute.
        predicted_attribute: true task, predicted attribute.
        predicted: predicted task, predicted attribute.
    """

    labels: CoOccurrence
    predicted_task: CoOccurrence
    predicted_attribute: CoOccurrence | None = None
    predicted: CoOccurrence | None = None


def co_occurrence(task: Tensor, attribute: Tensor) -> CoOccurrence:
    """Count two matrices of indicators.

    Args:
        task: ``(N, T)`` 0/1; several may be 1, or none.
        attribute: ``(N, A)`` 0/1, -1 where unknown: a row with an unknown attribute is left out.

    Returns:
        Counts, int64.

    Raises:
        ValueError: a shape or value is not as above.

    Example:
        >>> task, attribute = torch.tensor([[1], [1], [0]]), torch.tensor([[1, 0], [0, 1], [0, 0]])
        >>> counts = co_occurrence(task, attribute)
        >>> counts.both.tolist(), counts.task.tolist(), counts.samples.item()
        ([[1, 1]], [2], 2)
    """
    _check_indicators("task", task, 0)
    _check_indicators("attribute", attribute, -1)
    if len(task) != len(attribute):
        raise InputError(
            f"task and attribute must have one row per sample; got {len(task)} and "
            f"{len(attribute)} rows"
        )
    return count_indicators(task, attribute)


def count_indicators(task: Tensor, attribute: Tensor) -> CoOccurrence:
    """As ``co_occurrence``, without looking at the values, so without waiting for the device."""
    known = (attribute >= 0).all(dim=1, keepdim=True)
    task, attribute = task * known, attribute * known
    # integers have no matrix product on a GPU; float64 is exact up to 2**53
    both = (task.double().T @ attribute.double()).long()
    samples = (task.any(dim=1) | attribute.any(dim=1)).sum()
    return CoOccurrence(both, task.sum(dim=0), attribute.sum(dim=0), samples)


def co_occurrences(
    counts: Tensor | Margins, groups: Groups, attribute_counts: Tensor | Margins | None = None
) -> CoOccurrences:
    """Read the counts from the table that the group metrics share.

    Tasks are the classes, or, with several labels, the labels that are present; attributes are the
    values of the bias attribute. Samples of unknown bias are left out.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them.
        groups: names and numbering of the groups.
        attribute_counts: the same table with the *predicted* bias attribute in place of the true
            one.
    """
    pair = _read(counts, groups)
    return (
        CoOccurrences(*pair)
        if attribute_counts is None
        else CoOccurrences(*pair, *_read(attribute_counts, groups))
    )


def frequency_co_occurrence(frequencies: Tensor, groups: Groups) -> CoOccurrence:
    """Counts of the labels, from the ``(groups.count,)`` samples of ``Groups.frequencies``."""
    cells = frequencies.reshape(groups.rows, groups.biases)
    return _exclusive(
        cells[1::2] if groups.multi_label else cells, cells[:2] if groups.multi_label else cells
    )


def one_hot(value: Tensor, choices: int) -> Tensor:
    """``(N,)`` integers in [-1, choices) as ``(N, choices)`` indicators, a row of -1 where unknown.

    Several attribute columns are joined by ``torch.cat((one_hot(...), one_hot(...)), dim=1)``.

    Raises:
        ValueError: a value is out of range.
    """
    if value.ndim != 1 or bool(((value < -1) | (value >= choices)).any()):
        raise InputError(
            f"value must be (N,) integers in [-1, {choices}); got shape {tuple(value.shape)}, "
            f"{value}"
        )
    indicators = value[:, None] == torch.arange(choices, device=value.device)
    return torch.where(value[:, None] < 0, -1, indicators.long())


def _read(counts: Tensor | Margins, groups: Groups) -> tuple[CoOccurrence, CoOccurrence]:
    """True and predicted tasks with the attribute of the table."""
    total, _, chosen = (part[:, :-1] for part in margins(counts))
    if not groups.multi_label:
        return _exclusive(total), _exclusive(chosen)
    # every label sees every image: absent and present of the first are all of them
    return _exclusive(total[1::2], total[:2]), _exclusive(chosen[1::2], total[:2])


def _exclusive(both: Tensor, images: Tensor | None = None) -> CoOccurrence:
    """Counts where each sample has one attribute; ``images`` adds up to the samples of each."""
    attribute = (both if images is None else images).sum(dim=0)
    return CoOccurrence(both, both.sum(dim=1), attribute, attribute.sum())


def _check_indicators(name: str, matrix: Tensor, least: int) -> None:
    if (
        matrix.ndim != 2
        or matrix.is_floating_point()
        or bool(((matrix.long() < least) | (matrix > 1)).any())
    ):
        raise InputError(
            f"{name} must be an integer matrix (N, {name}s) of 0 and "
            f"1{', -1 for unknown' if least else ''}; got {matrix.dtype} of shape "
            f"{tuple(matrix.shape)}: see one_hot for a column of classes"
        )
