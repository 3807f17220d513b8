"""A threshold of its own for each label, chosen on the validation split."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.errors import InputError


def label_thresholds(scores: Tensor, target: Tensor) -> Tensor:
    r"""The least threshold of each label at which no more images are given the label than have it.

    .. math:: \theta_l = s_{(n_l + 1), l}, \qquad n_l = \sum_i y_{il},
              \qquad \hat y_{il} = 1[s_{il} > \theta_l]

    where :math:`s_{(k), l}` is the k-th greatest score of label l. Where no scores are equal,
    exactly as many images are given the label as have it, so that a label that is predicted too
    rarely at 0.5 does not look like bias.

    Source: Zhao, Andrews and Xiang, "Men Also Do Laundry", ICML 2023
    (github.com/SonyResearch/multi_bias_amp, ``threshold_preds``), which chooses on validation and
    predicts the test split.

    Args:
        scores: ``(N, L)`` float logits or probabilities of the validation split.
        target: ``(N, L)`` integer 0/1 labels of the same images.

    Returns:
        ``(L,)`` of the type of ``scores``; minus infinity for a label that every image has.

    Raises:
        ValueError: a shape or value is not as above, or there is no image.

    Differs from the reference: where every image has a label, its least score is the threshold
    there, and the image that has it is not given the label. Equal scores at the threshold end in an
    IndexError there where they are the greatest.

    Example:
        >>> scores = torch.tensor([[0.9], [0.4], [0.3], [0.2]])
        >>> label_thresholds(scores, torch.tensor([[1], [0], [1], [0]])).item()
        0.30000001192092896
    """
    if scores.ndim != 2 or not len(scores) or target.shape != scores.shape:
        raise InputError(
            f"scores and target must be (N, L) of at least one image; got {tuple(scores.shape)} "
            f"and {tuple(target.shape)}"
        )
    if target.is_floating_point() or bool(((target != 0) & (target != 1)).any()):
        raise InputError(
            f"target must hold integers 0 and 1; got {target.dtype} from {target.min()} to "
            f"{target.max()}"
        )
    lowest = torch.full_like(scores[:1], -torch.inf)
    ordered = torch.cat((scores.sort(dim=0, descending=True).values, lowest))
    return ordered.gather(0, target.sum(dim=0, keepdim=True).long())[0]


def above(scores: Tensor, thresholds: Tensor) -> Tensor:
    """``(N, L)`` int64 0/1: which scores lie above the threshold of their label."""
    return (scores > thresholds).long()
