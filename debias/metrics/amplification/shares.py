"""Bias amplification by shares: how the samples of one task divide among the attributes."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.metrics.amplification.counts import CoOccurrence


def attribute_shares(counts: CoOccurrence) -> Tensor:
    r"""``(T, A)`` float64 :math:`b(t, a) = c(t, a) / \sum_{a'} c(t, a')`; NaN without task t."""
    both = counts.both.double()
    return both / both.sum(dim=1, keepdim=True)


def mals(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""Growth of the shares that are more than even in the data ("Men also like shopping").

    .. math:: 1[b_{\mathrm{base}}(t, a) > 1 / A]
              \left( b_{\mathrm{pred}}(t, a) - b_{\mathrm{base}}(t, a) \right)

    Source: Zhao et al., "Men Also Like Shopping", EMNLP 2017 (github.com/uclanlp/reducingbias),
    which keeps only tasks with more than 50 training images; the components are those of Wang and
    Russakovsky, ICML 2021.

    Args:
        predicted: counts of predicted tasks with predicted attributes; with true attributes for the
            component from attributes to tasks, of true tasks with predicted attributes for the
            component from tasks to attributes.
        baseline: counts of the labels, those of the training set (or of the test set).

    Returns:
        ``(T, A)`` float64 in [-1, 1): 0 for no change and for pairs that are not more than even;
        NaN where the task of a more than even pair is never predicted, and throughout if no task
        occurs in labels and predictions both. ``mals_mean`` is the published number.

    Differs from the reference: its value is 0 where nothing is predicted. ``bias-amplification``
    0.2.1 takes differences of joint probabilities with the true attribute.

    Example:
        >>> labels = CoOccurrence(*map(torch.tensor, ([[3, 1], [1, 3]], [4, 4], [4, 4], 8)))
        >>> model = CoOccurrence(*map(torch.tensor, ([[4, 0], [0, 4]], [4, 4], [4, 4], 8)))
        >>> mals_mean(mals(model, labels)).item()
        0.25
    """
    before, after = attribute_shares(baseline), attribute_shares(predicted)
    more_than_even = baseline.both * baseline.both.shape[1] > baseline.both.sum(dim=1, keepdim=True)
    table = torch.where(more_than_even, after - before, 0.0)
    return torch.where((after + before).isfinite().any(), table, torch.nan)


def mals_mean(table: Tensor) -> Tensor:
    """Sum of a table of ``mals`` over its number of tasks, scalar: a task never predicted adds 0,
    and is counted.

    Range [-1, 1), ideal 0; NaN if the whole table is.
    """
    return torch.where(table.isnan().all(), torch.nan, table.nansum() / len(table))


def share_bias(predicted: CoOccurrence) -> Tensor:
    r"""How far predicted classes are from an even mix of domains.

    .. math:: \frac{1}{TA} \sum_{t, a} \left| b_{\mathrm{pred}}(t, a) - 1 / A \right|

    Source: Wang et al., "Towards Fairness in Visual Recognition", CVPR 2020 (CIFAR-10S; for its two
    domains the mean over them is the one that it takes of the first).

    Args:
        predicted: counts of predicted classes with true domains, on a test set in which domains are
            balanced.

    Returns:
        Scalar float64 in [0, 1/2], ideal 0. A class never predicted has shares 0, so adds 1 / A;
        NaN if nothing is predicted.
    """
    table = (_shares_or_zero(predicted) - 1 / predicted.both.shape[1]).abs()
    return torch.where(predicted.both.sum() > 0, table.mean(), torch.nan)


def share_amplification(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""How far predicted classes are from the mix of domains in the labels.

    .. math:: \frac{1}{TA} \sum_{t, a}
              \left| b_{\mathrm{pred}}(t, a) - b_{\mathrm{base}}(t, a) \right|

    Source: Wang et al., "Towards Fairness in Visual Recognition", CVPR 2020 (CelebA, "mean bias
    amplification").

    Args:
        predicted: counts of predicted classes with true domains, on the test set.
        baseline: counts of true classes with true domains, on the training set (or the test set).

    Returns:
        Scalar float64 in [0, 1], ideal 0. A class never predicted, or never labelled, has shares 0
        there; NaN if nothing is predicted or nothing labelled.
    """
    table = (_shares_or_zero(predicted) - _shares_or_zero(baseline)).abs()
    observed = (predicted.both.sum() > 0) & (baseline.both.sum() > 0)
    return torch.where(observed, table.mean(), torch.nan)


def _shares_or_zero(counts: CoOccurrence) -> Tensor:
    return attribute_shares(counts).nan_to_num(nan=0.0)
