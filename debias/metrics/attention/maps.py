"""Where a model looks: attribution maps against a foreground, a mask, or each other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError


def attention_iou(attention: Tensor, other: Tensor) -> Tensor:
    r"""Attention-IoU: how well two maps agree, whatever their scale.

    .. math:: \frac{\sum_p A_p M_p}{\sum_p \big((A_p + M_p)/2\big)^2}
              \qquad\text{with } A, M \text{ divided by their sums}

    With the mask of a feature as ``other`` this is the mask score; with the attribution of the
    protected attribute, the heatmap score.

    Source: Serianni et al., "Attention IoU: Examining Biases in CelebA using Attention Maps", CVPR
    2025; reference code aaronserianni/attention-iou.

    Args:
        attention: ``(N, H, W)`` float, at least 0.
        other: of the same shape, at least 0; see :func:`fit_mask` for a mask of another resolution.

    Returns:
        ``(N,)`` float64 in [0, 1]: 1 for maps that are proportional, 0 for disjoint ones; NaN where
        a map is all 0.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> attribution = torch.tensor([[[0.8, 0.2], [0.2, 0.0]]])
        >>> round(attention_iou(attribution, torch.tensor([[[1.0, 0], [0, 0]]])).item(), 4)
        0.9412
    """
    one, two = _shares(attention, other)
    return (one * two).sum(dim=1) / ((one + two) / 2).square().sum(dim=1)


def attention_overlap(attention: Tensor, other: Tensor) -> Tensor:
    r"""The mass two maps share, :math:`1 - \tfrac12 \sum_p |A_p - M_p|`, each of sum 1.

    Source: an alternative score of aaronserianni/attention-iou (``element_wise_abs_score``).

    Args:
        attention, other: as in :func:`attention_iou`.

    Returns:
        ``(N,)`` float64 in [0, 1], 1 for proportional maps, 0 for disjoint ones; NaN where a map is
        all 0.

    Raises:
        ValueError: the shapes differ.
    """
    one, two = _shares(attention, other)
    return 1 - (one - two).abs().sum(dim=1) / 2


def attention_product(attention: Tensor, other: Tensor) -> Tensor:
    """``(N,)`` float64 mean over the pixels of the product of two ``(N, H, W)`` maps, which depends
    on their scale.

    Source: aaronserianni/attention-iou, its score without normalisation.
    """
    one, two = _flat(attention, other)
    return (one * two).mean(dim=1)


def background_attention(attention: Tensor, foreground: Tensor) -> Tensor:
    r"""Share of the attribution that falls on the background.

    .. math:: 1 - \frac{\sum_p m_p \max(0, a_p)}{\sum_p \max(0, a_p)}

    Args:
        attention: ``(N, H, W)`` importance of each pixel; what is negative counts as 0.
        foreground: of the same shape, in [0, 1].

    Returns:
        ``(N,)`` float64 in [0, 1]: 0 for a model that looks at the foreground only; NaN where the
        foreground is empty or nothing is attributed.

    Raises:
        ValueError: the shapes differ.

    Differs from the reference: Quantus' ``RelevanceMassAccuracy``, of which this is 1 minus, scores
    an empty mask.
    """
    one, inside = _flat(attention.clamp(min=0), foreground)
    return torch.where(
        inside.sum(dim=1) > 0, 1 - (one * inside).sum(dim=1) / one.sum(dim=1), torch.nan
    )


def thresholded_iou(
    attention: Tensor, mask: Tensor, *, threshold: float = 0.5, mask_threshold: float = 0.5
) -> Tensor:
    """Intersection over union of the pixels above a threshold with those of a mask.

    Source: Joshi et al., "Towards Mitigating Spurious Correlations in the Wild" (SpuCo), 2023;
    reference code BigML-CS-UCLA/SpuCo, ``GradCamEvaluator``.

    Args:
        attention: ``(N, H, W)`` float, in [0, 1] for the threshold to mean anything.
        mask: of the same shape, in [0, 1].
        threshold: above it a pixel is attended to.
        mask_threshold: above it a pixel of the mask is inside.

    Returns:
        ``(N,)`` float64 in [0, 1], ideally 1; 0 where nothing is attended to and the mask is empty,
        as in SpuCo.

    Raises:
        ValueError: the shapes differ.
    """
    one, two = _flat(attention, mask)
    return _iou(one > threshold, two > mask_threshold).nan_to_num(0.0)


def ranked_iou(attention: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union of a mask with as many pixels as it has, those most attended to.

    Source: an alternative score of aaronserianni/attention-iou (``iou_score``).

    Args:
        attention, mask: as in :func:`rank_accuracy`.

    Returns:
        ``(N,)`` float64 in [0, 1], ideally 1; NaN where the mask is empty.

    Raises:
        ValueError: the shapes differ.
    """
    hits = rank_accuracy(attention, mask)
    return hits / (2 - hits)


def rank_accuracy(attention: Tensor, mask: Tensor) -> Tensor:
    """Share of the K pixels most attended to that lie in the mask, K being the mask's area.

    Source: Arras et al., "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural
    network explanations", Information Fusion 2022 (relevance rank accuracy).

    Args:
        attention: ``(N, H, W)`` float of any scale. Among equal values the earlier pixel, row by
            row, goes first.
        mask: of the same shape, in [0, 1]; above 0.5 is inside.

    Returns:
        ``(N,)`` float64 in [0, 1], ideally 1; NaN where the mask is empty.

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
    """Whether the pixel most attended to lies in the mask: 1 or 0.

    Source: Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016 (here
    without tolerance).

    Args:
        attention, mask: as in :func:`rank_accuracy`.

    Returns:
        ``(N,)`` float64, ideally 1; NaN where the mask is empty or nothing is attended to (a map
        without a maximum).

    Raises:
        ValueError: the shapes differ.

    Differs from the reference: Quantus scores an empty mask as a hit.
    """
    one, two = _flat(attention, mask)
    inside = two > 0.5
    hit = inside.gather(1, one.argmax(dim=1, keepdim=True)).squeeze(1).double()
    return torch.where(inside.any(dim=1) & (one.amax(dim=1) > one.amin(dim=1)), hit, torch.nan)


def fit_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask at the resolution of an attribution map: resized bilinearly with antialiasing, divided
    by its maximum.

    Source: aaronserianni/attention-iou, for masks of CelebA and COCO (with 1e-7 added to the
    maximum).

    Args:
        mask: ``(N, H, W)`` in [0, 1].
        size: rows and columns of the map.

    Returns:
        ``(N, *size)`` float64 in [0, 1]; an empty mask stays empty.
    """
    small = F.interpolate(
        mask.double().unsqueeze(1), size=size, mode="bilinear", antialias=True
    ).squeeze(1)
    greatest = small.amax(dim=(1, 2), keepdim=True)
    return small / torch.where(greatest > 0, greatest, 1.0)


def _flat(attention: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    if attention.ndim != 3 or attention.shape != other.shape:
        raise InputError(
            f"two maps of one shape (N, H, W) are compared, got {tuple(attention.shape)} and "
            f"{tuple(other.shape)}: fit_mask brings a mask to the size of a map"
        )
    return attention.double().flatten(1), other.double().flatten(1)


def _shares(attention: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps divided by their sums; 0/0, an empty map, is NaN throughout."""
    one, two = _flat(attention, other)
    return one / one.sum(dim=1, keepdim=True), two / two.sum(dim=1, keepdim=True)


def _iou(one: Tensor, two: Tensor) -> Tensor:
    return (one & two).sum(dim=1).double() / (one | two).sum(dim=1).double()
