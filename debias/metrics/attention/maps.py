"""Scores that compare an attribution map with a foreground mask or with another map."""

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.shortcuts.recombination import foreground_focus


def attention_iou(attention: Tensor, other: Tensor) -> Tensor:
    r"""Attention-IoU: agreement of two maps, independent of their scale.

    .. math:: \frac{\sum_p A_p M_p}{\sum_p \big((A_p + M_p)/2\big)^2}
              \qquad\text{with } A, M \text{ divided by their sums}

    If ``other`` is the mask of a feature, this is the mask score of the paper. If it is the
    attribution map of the protected attribute, this is the heatmap score.

    Source: Serianni et al., "Attention IoU: Examining Biases in CelebA using Attention Maps", CVPR
    2025; reference code aaronserianni/attention-iou.

    Args:
        attention: ``(N, H, W)`` float attribution map, at least 0.
        other: second map or mask of the same shape, at least 0.

    Returns:
        ``(N,)`` float64 in [0, 1]: 1 for proportional maps, 0 for disjoint ones, NaN if one of the
        two maps is all 0.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> attribution = torch.tensor([[[0.8, 0.2], [0.2, 0.0]]])
        >>> round(attention_iou(attribution, torch.tensor([[[1.0, 0], [0, 0]]])).item(), 4)
        0.9412
    """
    one, two = _shares(attention, other)
    return (one * two).sum(dim=1) / ((one + two) / 2).square().sum(dim=1)


def background_attention(attention: Tensor, foreground: Tensor) -> Tensor:
    r"""Share of the positive attribution that falls on the background.

    .. math:: 1 - \frac{\sum_p m_p \max(0, a_p)}{\sum_p \max(0, a_p)}

    Args:
        attention: ``(N, H, W)`` importance of each pixel. Negative values count as 0.
        foreground: mask of the same shape, in [0, 1].

    Returns:
        ``(N,)`` float64 in [0, 1]: 0 if all attribution is on the foreground. NaN if the foreground
        is empty or no attribution is positive.

    Raises:
        ValueError: the shapes differ.

    Differs from the reference: this is 1 minus ``RelevanceMassAccuracy`` of Quantus, which also
    gives a score for an empty mask.
    """
    one, inside = _flat(attention.clamp(min=0), foreground)
    return torch.where(
        inside.sum(dim=1) > 0, 1 - (one * inside).sum(dim=1) / one.sum(dim=1), torch.nan
    )


def thresholded_iou(
    attention: Tensor, mask: Tensor, *, threshold: float = 0.5, mask_threshold: float = 0.5
) -> Tensor:
    """Intersection over union of the strongly attributed pixels and a mask.

    Source: Joshi et al., "Towards Mitigating Spurious Correlations in the Wild" (SpuCo), 2023;
    reference code BigML-CS-UCLA/SpuCo, ``GradCamEvaluator``.

    Args:
        attention: ``(N, H, W)`` float. Scale it to [0, 1], so that the threshold is meaningful.
        mask: foreground mask of the same shape, in [0, 1].
        threshold: a pixel is attended to if its attribution is above this value.
        mask_threshold: a pixel is inside the mask if its mask value is above this value.

    Returns:
        ``(N,)`` float64 in [0, 1], ideal 1. It is 0 if no pixel is attended to and the mask is
        empty, as in SpuCo.

    Raises:
        ValueError: the shapes differ.
    """
    one, two = _flat(attention, mask)
    attended, inside = one > threshold, two > mask_threshold
    both, either = (attended & inside).sum(dim=1), (attended | inside).sum(dim=1)
    return (both.double() / either.double()).nan_to_num(0.0)


def rank_accuracy(attention: Tensor, mask: Tensor) -> Tensor:
    """Share of the K pixels of highest attribution that lie in the mask. K is the mask's area.

    Source: Arras et al., "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural
    network explanations", Information Fusion 2022 (relevance rank accuracy).

    Args:
        attention: ``(N, H, W)`` float of any scale. Equal values are ranked by position, row by
            row.
        mask: foreground mask of the same shape, in [0, 1]. A value above 0.5 is inside.

    Returns:
        ``(N,)`` float64 in [0, 1], ideal 1; NaN if the mask is empty.

    Raises:
        ValueError: the shapes differ.
    """
    one, two = _flat(attention, mask)
    inside = two > 0.5
    area = inside.sum(dim=1, keepdim=True)
    by_rank = inside.gather(1, one.argsort(dim=1, descending=True, stable=True))
    first = torch.arange(one.shape[1], device=one.device) < area
    return (by_rank & first).sum(dim=1).double() / area.squeeze(1).double()


def pointing_game(attention: Tensor, mask: Tensor) -> Tensor:
    """Whether the pixel of highest attribution lies in the mask: 1 or 0.

    Source: Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016 (here
    without tolerance).

    Args:
        attention, mask: as in :func:`rank_accuracy`.

    Returns:
        ``(N,)`` float64, ideal 1; NaN if the mask is empty or the map is constant.

    Raises:
        ValueError: the shapes differ.

    Differs from the reference: Quantus scores an empty mask as a hit.
    """
    one, two = _flat(attention, mask)
    inside = two > 0.5
    hit = inside.gather(1, one.argmax(dim=1, keepdim=True)).squeeze(1).double()
    return torch.where(inside.any(dim=1) & (one.amax(dim=1) > one.amin(dim=1)), hit, torch.nan)


#: The attention scores of a report, by name.
SCORES = {
    "attention_iou": attention_iou,
    "background_attention": background_attention,
    "foreground_focus": foreground_focus,
    "thresholded_iou": thresholded_iou,
    "rank_accuracy": rank_accuracy,
    "pointing_game": pointing_game,
}


def attention_scores(attention: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Compute every score in ``SCORES`` for each image.

    Args:
        attention: ``(N, H, W)`` attribution maps.
        mask: ``(N, H, W)`` foreground masks in [0, 1].

    Returns:
        ``(N,)`` float64 scores, by name.
    """
    return {name: score(attention, mask) for name, score in SCORES.items()}


def _flat(attention: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    if attention.ndim != 3 or attention.shape != other.shape:
        raise InputError(
            f"both maps must have the same shape (N, H, W); got {tuple(attention.shape)} and "
            f"{tuple(other.shape)}. Resize one to the other"
        )
    return attention.double().flatten(1), other.double().flatten(1)


def _shares(attention: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps flattened and divided by their sums. A map that sums to 0 becomes NaN."""
    one, two = _flat(attention, other)
    return one / one.sum(dim=1, keepdim=True), two / two.sum(dim=1, keepdim=True)
