"""The group accuracy family. Empty groups are NaN, and aggregates leave them out."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracy(correct: Tensor, total: Tensor) -> Tensor:
    r"""Fraction right, elementwise.

    .. math:: \mathrm{acc}_g = \frac{1}{n_g} \sum_{i: g_i = g} 1[\hat y_i = y_i]

    Args:
        correct: any shape, integer, how many were right.
        total: the same shape, how many there are.

    Returns:
        float64 in [0, 1], NaN where ``total`` is 0.

    Differs from the reference: WILDS, torchmetrics and Group DRO report an empty group as 0 (and
    Group DRO counts it as the worst).
    """
    return correct.double() / total.double()


def mean_accuracy(accuracies: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Weighted mean of group accuracies over the groups that are defined.

    .. math:: \frac{\sum_{g: n_g > 0} w_g\, \mathrm{acc}_g}{\sum_{g: n_g > 0} w_g}

    Equal weights over groups give the group-balanced ("unbiased") accuracy, over classes the
    class-balanced one; training frequencies give the adjusted average; a mask gives the
    bias-aligned or bias-conflicting group mean.

    Source: adjusted average: Sagawa et al., ICLR 2020 (Waterbirds, whose test split is balanced by
    design); group-balanced: Nam et al., "Learning from Failure", NeurIPS 2020.

    Args:
        accuracies: ``(G,)`` float64, NaN where undefined.
        weights: ``(G,)``, not negative, or ``None`` for equal weights.

    Returns:
        Scalar float64; NaN where no defined group has weight.

    Differs from the reference: WILDS keeps the weight of an empty group and counts it as accuracy
    0; Learning from Failure lets it turn the mean into NaN.

    Example:
        >>> mean_accuracy(torch.tensor([0.75, 0.25, torch.nan]), torch.tensor([3, 1, 6])).item()
        0.625
    """
    defined = ~accuracies.isnan()
    weights = defined.double() if weights is None else torch.where(defined, weights.double(), 0.0)
    return (weights * accuracies.double().nan_to_num()).sum() / weights.sum()


def worst_accuracy(accuracies: Tensor) -> Tensor:
    """Least accuracy of the defined groups (or classes): scalar, NaN if none is defined.

    It is biased downwards, most for small groups: four groups of 20 samples, each with true
    accuracy 0.9, have an expected minimum of 0.83. Read it with ``worst_group_interval``.
    """
    defined = ~accuracies.isnan()
    least = torch.where(defined, accuracies, torch.inf).amin()
    return torch.where(defined.any(), least, torch.nan)


def accuracy_gap(accuracies: Tensor) -> Tensor:
    """Greatest minus least accuracy of the defined groups: scalar, NaN if none is defined."""
    return -worst_accuracy(-accuracies) - worst_accuracy(accuracies)


def accuracy_ratio(accuracies: Tensor) -> Tensor:
    """Least over greatest accuracy of the defined groups: scalar in [0, 1], ideal 1; NaN if none is
    defined, or all 0.

    Example:
        >>> accuracy_ratio(torch.tensor([0.5, 0.8, torch.nan])).item()
        0.625
    """
    return worst_accuracy(accuracies) / -worst_accuracy(-accuracies)


def class_difference(recalls: Tensor) -> Tensor:
    r"""Mean over the pairs of classes of how far their recalls lie apart; in [0, 1], ideal 0.

    .. math:: \frac{2}{C (C - 1)} \sum_{i<j} |r_i - r_j|

    Classes that fare equally badly are as near as classes that fare equally well.

    Source: Li, Liu, Hu, "Bias Amplification Enhances Minority Group Performance" (ClassDiff), TMLR
    2024, which selects an epoch by it without bias labels; reference code motivationss/BAM.

    Args:
        recalls: ``(C,)`` float, NaN where undefined: such a class is in no pair.

    Returns:
        Scalar float64; 0 if one recall is defined, NaN if none is.

    Differs from the reference: Yang et al., "Change is Hard", ICML 2023 (SubpopBench), take the sum
    over the pairs.

    Example:
        >>> recalls = torch.tensor([0.9, 0.5, 0.6])
        >>> round(class_difference(recalls).item(), 6)  # (0.4 + 0.3 + 0.1) / 3
        0.266667
    """
    known = recalls[~recalls.isnan()].double()
    # one block up to 2,048 classes; ten thousand in one would take more than a gigabyte
    blocks = [(block[:, None] - known).abs().sum() for block in torch.split(known, 2048)]
    pairs = len(known) * (len(known) - 1) // 2
    apart = torch.stack(blocks).sum() / 2 / max(1, pairs)
    return apart if len(known) else known.new_tensor(torch.nan)
