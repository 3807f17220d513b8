"""How often tasks and attributes occur together: the counts that every measure of bias
amplification is read from. A task may be a set of labels, such as {knife, table}.
"""

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
    return _count(task, attribute)


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
    tables = [counts] if attribute_counts is None else [counts, attribute_counts]
    found = []
    for table in tables:
        total, _, chosen = (part[:, :-1] for part in margins(table))
        found += [_exclusive(total, total, groups), _exclusive(chosen, total, groups)]
    return CoOccurrences(*found)


def frequency_co_occurrence(frequencies: Tensor, groups: Groups) -> CoOccurrence:
    """Counts of the labels, from the ``(groups.count,)`` samples of ``Groups.frequencies``."""
    cells = frequencies.reshape(groups.rows, groups.biases)
    return _exclusive(cells, cells, groups)


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


def label_sets(task: Tensor, *, min_size: int = 1, more_than: int = 0) -> Tensor:
    """The distinct exact label sets of a training set.

    Source: Zhao, Andrews and Xiang, "Men Also Do Laundry: Multi-Attribute Bias Amplification", ICML
    2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        task: ``(N, T)`` 0/1 training labels.
        min_size: least number of labels in a set.
        more_than: a set is kept if more than so many samples have exactly it.

    Returns:
        ``(M, T)`` 0/1 int64, one row per set, in a fixed order.

    Raises:
        ValueError: ``min_size`` below 1: the empty set would be in every image.

    Example:
        >>> labels = torch.tensor([[1, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]])
        >>> label_sets(labels, min_size=2).tolist()
        [[1, 1, 0]]
    """
    if min_size < 1:
        raise InputError(
            f"min_size must be at least 1, since every image contains the empty set; got {min_size}"
        )
    sets, occurrences = torch.unique(task.long(), dim=0, return_counts=True)
    kept: Tensor = sets[(sets.sum(dim=1) >= min_size) & (occurrences > more_than)]
    return kept


def contains(task: Tensor, sets: Tensor) -> Tensor:
    """``(N, M)`` 0/1 int64: whether each of ``(N, T)`` images has all of each label set."""
    # integers have no matrix product on a GPU; float64 is exact
    held = task.double() @ sets.double().T
    return (held == sets.sum(dim=1)).long()


def set_co_occurrence(task: Tensor, attribute: Tensor, sets: Tensor) -> CoOccurrence:
    """As ``co_occurrence``, with label sets as tasks; ``samples`` have any label at all."""
    samples = co_occurrence(task, attribute).samples
    return _count(contains(task, sets), attribute)._replace(samples=samples)


def observed_sets(sets: Tensor, task: Tensor, attribute: Tensor, *, more_than: int = 0) -> Tensor:
    """The label sets that more than so many images of known attribute have."""
    co_occurrence(task, attribute)  # refuses what is not 0/1
    known = (attribute >= 0).all(dim=1)
    return sets[contains(task[known], sets).sum(dim=0) > more_than]


def _count(task: Tensor, attribute: Tensor) -> CoOccurrence:
    known = (attribute >= 0).all(dim=1, keepdim=True)
    task, attribute = task * known, attribute * known
    # integers have no matrix product on a GPU; float64 is exact up to 2**53
    both = (task.double().T @ attribute.double()).long()
    samples = (task.any(dim=1) | attribute.any(dim=1)).sum()
    return CoOccurrence(both, task.sum(dim=0), attribute.sum(dim=0), samples)


def _exclusive(cells: Tensor, total: Tensor, groups: Groups) -> CoOccurrence:
    """Counts of ``(rows, biases)`` cells, where each sample has one attribute."""
    both = cells[1::2] if groups.multi_label else cells
    # every label sees every image: absent and present of the first are all of them
    attribute = (total[:2] if groups.multi_label else total).sum(dim=0)
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
