"""Co-occurrence counts of tasks and attributes. Every measure of bias amplification uses them. A
task is a class, a label, or a set of labels such as {knife, table}.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Margins, margins
from debias.types import Groups


class CoOccurrence(NamedTuple):
    """Co-occurrence counts of T tasks and A attributes, from labels or from predictions.

    Attributes:
        both: ``(T, A)`` number of samples with task t and attribute a.
        task: ``(T,)`` number of samples with task t.
        attribute: ``(A,)`` number of samples with attribute a.
        samples: scalar, number of samples with at least one task or attribute.
    """

    both: Tensor
    task: Tensor
    attribute: Tensor
    samples: Tensor


class CoOccurrences(NamedTuple):
    """Co-occurrence counts of one evaluation set, for true and predicted tasks and attributes.

    Attributes:
        labels: true tasks with true attributes.
        predicted_task: predicted tasks with true attributes.
        predicted_attribute: true tasks with predicted attributes, or ``None`` without predictions
            of the attribute.
        predicted: predicted tasks with predicted attributes, or ``None`` likewise.
    """

    labels: CoOccurrence
    predicted_task: CoOccurrence
    predicted_attribute: CoOccurrence | None = None
    predicted: CoOccurrence | None = None


def co_occurrence(task: Tensor, attribute: Tensor) -> CoOccurrence:
    """Count how often tasks and attributes occur together, from two indicator matrices.

    Args:
        task: ``(N, T)`` integer 0/1. A sample may have any number of tasks.
        attribute: ``(N, A)`` integer 0/1, or -1 if unknown. Samples with an unknown attribute are
            left out.

    Returns:
        int64 counts.

    Raises:
        ValueError: a matrix is not ``(N, columns)``, holds another value or floats, or the numbers
            of rows differ.

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
    """Compute co-occurrence counts from the counts of the group metrics.

    Tasks are the classes; multi-label, they are the present labels. Attributes are the values of
    the bias attribute. Samples of unknown bias are left out.

    Args:
        counts: result of ``margin_counts`` or ``joint_counts``.
        groups: names and numbering of the groups.
        attribute_counts: the same counts with the *predicted* bias attribute in place of the true
            one.
    """
    tables = [counts] if attribute_counts is None else [counts, attribute_counts]
    pairs = []
    for table in tables:
        total, _, chosen = (part[:, :-1] for part in margins(table))
        pairs += [_exclusive(total, total, groups), _exclusive(chosen, total, groups)]
    return CoOccurrences(*pairs)


def frequency_co_occurrence(frequencies: Tensor, groups: Groups) -> CoOccurrence:
    """Co-occurrence counts of true classes and bias values, from the group sizes.

    Args:
        frequencies: ``(groups.count,)`` samples of each group, as ``Groups.frequencies`` returns.
        groups: names and numbering of the groups.
    """
    cells = frequencies.reshape(groups.rows, groups.biases)
    return _exclusive(cells, cells, groups)


def one_hot(value: Tensor, choices: int) -> Tensor:
    """Indicator matrix ``(N, choices)`` of ``(N,)`` integers. The value -1, unknown, gives a row of
    -1.

    Join several attribute columns by ``torch.cat((one_hot(...), one_hot(...)), dim=1)``.

    Raises:
        ValueError: ``value`` is not one-dimensional, or lies outside [-1, choices).
    """
    if value.ndim != 1 or bool(((value < -1) | (value >= choices)).any()):
        raise InputError(
            f"value must be (N,) integers in [-1, {choices}); got shape {tuple(value.shape)}, "
            f"{value}"
        )
    indicators = value[:, None] == torch.arange(choices, device=value.device)
    return torch.where(value[:, None] < 0, -1, indicators.long())


def label_sets(task: Tensor, *, min_size: int = 1, more_than: int = 0) -> Tensor:
    """The distinct label sets of a training set. The label set of an image is all its labels.

    Source: Zhao, Andrews and Xiang, "Men Also Do Laundry: Multi-Attribute Bias Amplification", ICML
    2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        task: ``(N, T)`` 0/1 training labels.
        min_size: smallest number of labels in a set, at least 1.
        more_than: a set is kept if its number of samples is greater than this. Only samples with
            exactly these labels count.

    Returns:
        ``(M, T)`` 0/1 int64, one row per set, in a fixed order.

    Raises:
        ValueError: ``min_size`` is below 1. Every image would contain the empty set.

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
    frequent: Tensor = sets[(sets.sum(dim=1) >= min_size) & (occurrences > more_than)]
    return frequent


def contains(task: Tensor, sets: Tensor) -> Tensor:
    """Whether each image has all labels of each set: ``(N, M)`` 0/1 int64.

    Args:
        task: ``(N, T)`` 0/1 labels of the images.
        sets: ``(M, T)`` 0/1 label sets.
    """
    # integers have no matrix product on a GPU; float64 is exact
    shared_labels = task.double() @ sets.double().T
    return (shared_labels == sets.sum(dim=1)).long()


def set_co_occurrence(task: Tensor, attribute: Tensor, sets: Tensor) -> CoOccurrence:
    """Co-occurrence counts of label sets, as tasks, with attributes.

    Args:
        task: ``(N, T)`` 0/1 labels. An image counts for each set whose labels it all has.
        attribute: as in ``co_occurrence``.
        sets: ``(M, T)`` 0/1 label sets.

    Returns:
        Counts for M tasks. ``samples`` counts images with any label or attribute.
    """
    samples = co_occurrence(task, attribute).samples
    return _count(contains(task, sets), attribute)._replace(samples=samples)


def observed_sets(sets: Tensor, task: Tensor, attribute: Tensor, *, more_than: int = 0) -> Tensor:
    """The label sets that more than ``more_than`` images with known attributes contain."""
    co_occurrence(task, attribute)  # raises an error for values other than 0 and 1
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
    """Co-occurrence counts from ``(rows, biases)`` cells. Each sample has one bias value."""
    both = cells[1::2] if groups.multi_label else cells
    # multi-label: the absent and present rows of the first label together hold every image
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
            f"1{', or -1 for unknown' if least else ''}; got {matrix.dtype} of shape "
            f"{tuple(matrix.shape)}. one_hot converts a column of classes"
        )
