"""How far apart two groups' predictions are as distributions, for every pair of groups."""

from __future__ import annotations

import torch
from torch import Tensor


def prediction_distance(counts: Tensor) -> Tensor:
    r"""Total variation between the predictions of each pair of groups, whatever their targets.

    .. math:: D_{kl} = \frac{1}{2} \sum_p \big|P(\hat y = p \mid k) - P(\hat y = p \mid l)\big|

    Source: the statistical parity of holisticai for several classes.

    Args:
        counts: ``(rows, biases + 1, rows)`` int64 of single-label groups, as ``joint_counts``
            returns it.

    Returns:
        ``(biases, biases)`` float64 in [0, 1], symmetric, 0 for equal treatment; NaN where a group
        is empty.
    """
    return _variation(_shares(counts.sum(dim=0))[:-1])


def conditional_distance(counts: Tensor) -> Tensor:
    r"""Total variation between two groups' predictions for one target, mean over targets.

    .. math:: D_{kl} = \frac{1}{C} \sum_y \frac{1}{2} \sum_p
              \big|P(\hat y = p \mid y, k) - P(\hat y = p \mid y, l)\big|

    Source: the equality of opportunity of holisticai for several classes.

    Args:
        counts: as in ``prediction_distance``.

    Returns:
        ``(biases, biases)`` float64 in [0, 1]; targets that one of the two groups lacks are left
        out, NaN if all are.

    Differs from the reference: holisticai takes what a group lacks for uniform predictions.
    """
    return torch.stack([_variation(row) for row in _shares(counts[:, :-1])]).nanmean(dim=0)


def balanced_distance(counts: Tensor) -> Tensor:
    r"""Total variation between two groups' predictions if every target were equally common in both.

    .. math:: D_{kl} = \frac{1}{2} \sum_p
              \Big|\frac{1}{C} \sum_y P(\hat y = p \mid y, k) - P(\hat y = p \mid y, l)\Big|

    Source: the average odds of holisticai for several classes.

    Args:
        counts: as in ``prediction_distance``.

    Returns:
        ``(biases, biases)`` float64 in [0, 1]; targets that one of the two groups lacks are left
        out, NaN if all are.
    """
    shares = _shares(counts[:, :-1])
    return (shares[:, :, None] - shares[:, None]).nanmean(dim=0).abs().sum(dim=-1) / 2


def recall_distance(counts: Tensor) -> Tensor:
    r"""Mean over the targets of the distance between two groups' recalls.

    .. math:: D_{kl} = \frac{1}{C} \sum_y
              \big|P(\hat y = y \mid y, k) - P(\hat y = y \mid y, l)\big|

    Source: the true rates of holisticai for several classes.

    Args:
        counts: as in ``prediction_distance``.

    Returns:
        ``(biases, biases)`` float64 in [0, 1]; targets that one of the two groups lacks are left
        out, NaN if all are.
    """
    recalls = _shares(counts[:, :-1]).diagonal(dim1=0, dim2=2).T
    return (recalls[:, :, None] - recalls[:, None]).abs().nanmean(dim=0)


def pairs(distances: Tensor) -> Tensor:
    """The entries of a ``(biases, biases)`` distance above its diagonal,
    ``(biases * (biases - 1) / 2,)``.
    """
    row, column = torch.triu_indices(len(distances), len(distances), offset=1)
    return distances[row, column]


def _shares(counts: Tensor) -> Tensor:
    return counts.double() / counts.sum(dim=-1, keepdim=True)


def _variation(shares: Tensor) -> Tensor:
    return (shares[:, None] - shares[None]).abs().sum(dim=-1) / 2
