"""Multi-attribute bias amplification: a task is a set of labels, such as {knife, table}."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.amplification.counts import CoOccurrence, CoOccurrences, count_indicators
from debias.metrics.amplification.formulas import (
    association,
    attribute_change,
    summarise,
    task_change,
)
from debias.metrics.amplification.shares import mals, mals_mean


class SetAmplification(NamedTuple):
    """Three float64 scalars: mean magnitude (as published), signed mean, variance."""

    magnitude: Tensor
    signed: Tensor
    variance: Tensor


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
    samples = count_indicators(task, attribute).samples
    return count_indicators(contains(task, sets), attribute)._replace(samples=samples)


def observed_sets(
    counts: CoOccurrences, train: CoOccurrence, more_than: int = 0
) -> tuple[CoOccurrences, CoOccurrence]:
    """The counts of the label sets that more than so many test images have."""
    keep = counts.labels.task > more_than
    kept = [None if part is None else _kept(part, keep) for part in counts]
    return CoOccurrences(*kept), _kept(train, keep)  # type: ignore[arg-type]


def multi_mals(predicted: CoOccurrence, baseline: CoOccurrence) -> SetAmplification:
    r"""Undirected multi-attribute amplification.

    .. math:: \frac{1}{M} \sum_{m, g} 1[b_{\mathrm{base}}(m, g) > 1 / G]
        \left| b_{\mathrm{pred}}(m, g) - b_{\mathrm{base}}(m, g) \right|

    Source: Zhao, Andrews and Xiang, ICML 2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        predicted: counts of predicted label sets with predicted groups.
        baseline: counts of the training labels; or of the test labels.

    Returns:
        Magnitude in [0, 2), ideal 0; the variance counts the zeros of pairs that are not more than
        even. NaN as in ``mals``, also without any set.

    Differs from the reference: its threshold is 1 / (G - 1), so that with two groups no pair passes
    and the value is always 0; here it is the paper's 1 / G.
    """
    table = mals(predicted, baseline)
    return SetAmplification(mals_mean(table.abs()), mals_mean(table), summarise(table).variance)


def group_to_sets(
    predicted: CoOccurrence, baseline: CoOccurrence, indicator: CoOccurrence | None = None
) -> SetAmplification:
    r"""Directional multi-attribute amplification from groups to label sets.

    .. math:: \mathrm{mean}_{m, g} \left| P(\hat m \mid g) - P(m \mid g) \right|

    Source: Zhao, Andrews and Xiang, ICML 2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        predicted: counts of predicted label sets with true groups, on the test set.
        baseline: counts of true label sets with true groups: those of the test set, as in the
            released code, or of the training set, as on the project's page.
        indicator: counts that give the sign of ``signed``, those of the training set; ``None`` is
            ``baseline``.

    Returns:
        Magnitude in [0, 1], ideal 0, and the variance of the differences without sign; over the
        pairs whose condition occurs, NaN if none does.
    """
    return _directed(task_change(predicted, baseline), baseline if indicator is None else indicator)


def sets_to_group(
    predicted: CoOccurrence, baseline: CoOccurrence, indicator: CoOccurrence | None = None
) -> SetAmplification:
    r"""Directional multi-attribute amplification from label sets to groups.

    .. math:: \mathrm{mean}_{m, g} \left| P(\hat g \mid m) - P(g \mid m) \right|

    As ``group_to_sets``; ``predicted`` counts true label sets with *predicted* groups.
    """
    return _directed(
        attribute_change(predicted, baseline), baseline if indicator is None else indicator
    )


def _directed(change: Tensor, indicator: CoOccurrence) -> SetAmplification:
    plain = summarise(change)
    return SetAmplification(
        plain.magnitude, (association(indicator) * change).nanmean(), plain.variance
    )


def _kept(counts: CoOccurrence, keep: Tensor) -> CoOccurrence:
    return counts._replace(both=counts.both[keep], task=counts.task[keep])
