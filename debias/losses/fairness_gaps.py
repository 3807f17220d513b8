"""Differentiable fairness gaps: differences of mean probabilities between bias values."""

import torch
from torch import Tensor

from debias.losses.group_means import group_means


def demographic_parity_gap(probability: Tensor, bias: Tensor, *, biases: int) -> Tensor:
    r"""Gap between bias values in the mean probability of each outcome.

    .. math:: \max_b \bar p_{b} - \min_b \bar p_{b}

    For probabilities of 0 and 1, this is the demographic parity difference.

    Source: Dwork et al., "Fairness Through Awareness", ITCS 2012.

    Args:
        probability: ``(N, C)`` float in [0, 1], of each outcome.
        bias: ``(N,)`` int64 in [0, biases); -1 leaves the sample out.
        biases: number of bias values.

    Returns:
        ``(C,)`` in [0, 1], over the joined batch of all processes. Absent bias values are ignored;
        the gap is 0 if fewer than two are present.

    Example:
        >>> probability = torch.tensor([[0.9], [0.7], [0.2]])
        >>> round(demographic_parity_gap(probability, torch.tensor([0, 0, 1]), biases=2).item(), 4)
        0.6
    """
    return _gap(probability, torch.ones_like(probability, dtype=torch.bool), bias, biases)


def equal_opportunity_gap(
    probability: Tensor, present: Tensor, bias: Tensor, *, biases: int
) -> Tensor:
    r"""Gap between bias values in the true positive rate of each outcome.

    This is :func:`demographic_parity_gap` over the samples that have the outcome.

    Source: Hardt et al., "Equality of Opportunity in Supervised Learning", NeurIPS 2016.

    Args:
        probability: ``(N, C)`` float in [0, 1], of each outcome.
        present: ``(N, C)`` 0/1 or bool, whether the sample has the outcome.
        bias: ``(N,)`` int64 in [0, biases); -1 leaves the sample out.
        biases: number of bias values.

    Returns:
        ``(C,)`` in [0, 1], over the joined batch of all processes.
    """
    return _gap(probability, present.bool(), bias, biases)


def equalized_odds_gap(
    probability: Tensor, present: Tensor, bias: Tensor, *, biases: int
) -> Tensor:
    r"""Mean of two gaps between bias values: in the true and in the false positive rate.

    Evaluation also reports the larger of the two gaps. As a loss, that would leave the smaller gap
    without gradient.

    Source: Hardt et al., NeurIPS 2016.

    Args:
        probability: ``(N, C)`` float in [0, 1], of each outcome.
        present: ``(N, C)`` 0/1 or bool, whether the sample has the outcome.
        bias: ``(N,)`` int64 in [0, biases); -1 leaves the sample out.
        biases: number of bias values.

    Returns:
        ``(C,)`` in [0, 1], over the joined batch of all processes.
    """
    present = present.bool()
    true_positive = _gap(probability, present, bias, biases)
    false_positive = _gap(probability, ~present, bias, biases)
    return (true_positive + false_positive) / 2


def _gap(probability: Tensor, counted: Tensor, bias: Tensor, biases: int) -> Tensor:
    outcomes = probability.shape[1]
    cell = torch.arange(outcomes, device=bias.device) * biases + bias[:, None]
    cell = torch.where(counted & (bias >= 0)[:, None], cell, -1)
    means, counts = group_means(probability.flatten(), cell.flatten(), outcomes * biases)
    rates, absent = means.view(outcomes, biases), counts.view(outcomes, biases) == 0
    gaps = rates.masked_fill(absent, 0.0).amax(dim=1) - rates.masked_fill(absent, 1.0).amin(dim=1)
    # below 0 if no bias value is present
    return gaps.clamp(min=0)
