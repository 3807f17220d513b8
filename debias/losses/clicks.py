"""Clicks: where an annotator clicked on an image, from its mask, and the loss of predicting it."""

import torch
from torch import Tensor
from torch.nn import functional as F


def click_from_mask(mask: Tensor) -> Tensor:
    r"""The centroid of each mask: a click in the middle of the foreground.

    .. math:: t = \frac{\sum_p m_p\, p}{\sum_p m_p}

    where p is the centre of a pixel in [0, 1] of the width and the height. A mask that was cropped
    and flipped with its image gives the click in the changed image. Of the probabilities of
    positions, it is the expected position (soft-argmax), with their gradient.

    Args:
        mask: ``(N, 1, H, W)`` float, not negative. 1 is foreground.

    Returns:
        ``(N, 2)`` x and y in [0, 1], at least float32; -1 if the mask is empty.

    Example:
        >>> mask = torch.zeros(2, 1, 2, 4)
        >>> mask[0, 0, 1, 2:] = 1
        >>> click_from_mask(mask).tolist()
        [[0.75, 0.75], [-1.0, -1.0]]
    """
    weights = mask[:, 0].to(torch.promote_types(mask.dtype, torch.float32))
    mass = weights.sum(dim=(1, 2))
    sums = [(weights.sum(dim=3 - axis) * _centres(weights, axis)).sum(dim=1) for axis in (2, 1)]
    click = torch.stack(sums, dim=1) / torch.where(mass > 0, mass, 1)[:, None]
    return torch.where(mass[:, None] > 0, click, -1.0)


def click_losses(predicted: Tensor, click: Tensor) -> Tensor:
    r"""Smooth L1 distance of a predicted click, the mean over its two coordinates.

    .. math:: \ell = \tfrac12 \sum_{d \in \{x, y\}} h(q_d - t_d), \qquad
              h(e) = \tfrac12 e^2 \text{ if } |e| < 1, \text{ else } |e| - \tfrac12

    Source: Han et al., "Neglected Free Lunch: Learning Image Classifiers Using Annotation
    Byproducts", ICCV 2023. Only a third party's training code was readable. It has this distance.

    Args:
        predicted: ``(N, 2)`` float, q.
        click: ``(N, 2)`` float in [0, 1], t; negative where there is none.

    Returns:
        ``(N,)`` losses, at least float32; 0 without a click, and no gradient.
    """
    predicted = predicted.to(torch.promote_types(predicted.dtype, torch.float32))
    losses = F.smooth_l1_loss(predicted, click.to(predicted), reduction="none").mean(dim=1)
    return torch.where((click >= 0).all(dim=1), losses, 0.0)


def _centres(weights: Tensor, axis: int) -> Tensor:
    """The centres of the pixels along an axis, in [0, 1]."""
    size = weights.shape[axis]
    return (torch.arange(size, device=weights.device, dtype=weights.dtype) + 0.5) / size
