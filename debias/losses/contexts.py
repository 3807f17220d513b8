"""Weights, class activation maps and label groups against the usual context of a label."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.types import ContextPair

#: Added to the range of a map that is flat, which is then 0.
FLAT = 1.0


def exclusive_entries(labels: Tensor, pairs: Sequence[ContextPair]) -> Tensor:
    """``(N, K)`` bool: whether an image has the label of each of K pairs, without its context.

    Args:
        labels: ``(N, L)`` 0/1.
        pairs: K pairs of label and context.
    """
    label, context = _columns(labels, pairs)
    return label & ~context


def cooccurring_entries(labels: Tensor, pairs: Sequence[ContextPair]) -> Tensor:
    """``(N, K)`` bool: whether an image has the label of each of K pairs and its context."""
    label, context = _columns(labels, pairs)
    return label & context


def _columns(labels: Tensor, pairs: Sequence[ContextPair]) -> tuple[Tensor, Tensor]:
    present = labels == 1
    label, context = zip(*pairs, strict=True)
    return present[:, list(label)], present[:, list(context)]


def cell_weights(cooccurring: int, exclusive: int, other: int, *, beta: float) -> Tensor:
    r"""Class-balancing weights of the three kinds of images of a pair. The least is 1.

    .. math:: w_k \propto \frac{1 - \beta}{1 - \beta^{n_k}}

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, as a
    baseline of Singh et al., CVPR 2020.

    Args:
        cooccurring: number of training images with label and context.
        exclusive: number of those with the label alone.
        other: number of those without the label.
        beta: in (0, 1).

    Returns:
        ``(3,)`` float64 in the order exclusive, co-occurring, other. A kind without images has the
        weight 1, since none is ever weighted.

    Example:
        >>> weights = cell_weights(100_000, 1, 100_000, beta=0.99)  # 1 against 0.01
        >>> [round(weight, 6) for weight in weights.tolist()]
        [100.0, 1.0, 1.0]
    """
    counts = torch.tensor([exclusive, cooccurring, other], dtype=torch.float64)
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    return torch.where(counts > 0, weights / weights[counts > 0].min(), 1.0)


def exclusive_weight(cooccurring: int, exclusive: int, *, least: float) -> float:
    r"""Weight of a label's loss on images without its context, for the feature split.

    .. math:: \alpha = \max\Big(\sqrt{n_\text{co-occurring} / n_\text{exclusive}},
              \alpha_{\min}\Big)

    Source: Singh et al., CVPR 2020.

    Args:
        cooccurring: number of training images with label and context.
        exclusive: number of those with the label alone. With none, the weight is ``least``.
        least: :math:`\alpha_{\min}`.

    Example:
        >>> exclusive_weight(1600, 100, least=3.0), exclusive_weight(400, 100, least=3.0)
        (4.0, 3.0)
    """
    return max((cooccurring / exclusive) ** 0.5 if exclusive else 0.0, least)


def activation_maps(maps: Tensor, weights: Tensor) -> Tensor:
    r"""Class activation maps of given labels, scaled to [0, 1] one by one.

    .. math:: M_p = \sum_c w_c A_{cp}, \qquad (M - \min M) / \max(M - \min M)

    Source: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, scaled
    as in princetonvisualai/ContextualBias.

    Args:
        maps: ``(N, C, h, w)`` float, whose average over the positions is what the head reads.
        weights: ``(N, K, C)`` float rows of the head.

    Returns:
        ``(N, K, h, w)``, with gradients also through minimum and maximum. A flat map is 0.

    Differs from the reference: a flat map is NaN there.
    """
    raw = torch.einsum("nkc,nchw->nkhw", weights, maps)
    above = raw - raw.amin(dim=(2, 3), keepdim=True)
    greatest = above.amax(dim=(2, 3), keepdim=True)
    return above / torch.where(greatest > 0, greatest, FLAT)


def map_overlap(maps: Tensor) -> Tensor:
    """Mean product of the maps of a label and of its context.

    Source: Singh et al., CVPR 2020.

    Args:
        maps: ``(P, 2, h, w)`` in [0, 1], of P pairs in images that have both.

    Returns:
        Scalar in [0, 1]; 0 without pairs.

    Example:
        >>> left, both = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
        >>> map_overlap(torch.stack([left, both])[None]).item()
        0.5
        >>> map_overlap(torch.stack([left, 1 - left])[None]).item()
        0.0
    """
    overlap = maps[:, 0] * maps[:, 1]
    return overlap.sum() / max(overlap.numel(), 1)


def map_distance(maps: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute difference of maps and reference maps of one shape; 0 without maps."""
    return (maps - reference).abs().sum() / max(maps.numel(), 1)


def competition(weight: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    r"""Penalty that makes groups of labels compete for features, and labels of a group share them.

    .. math:: \min_\delta \sum_{d, g} \frac{\|w_d^{S_g}\|_2^2}{\delta_{dg}}
              = \Big(\sum_{d, g} \|w_d^{S_g}\|_2\Big)^2, \qquad \sum_{d, g} \delta_{dg} = 1

    :math:`w_d^{S_g}` are the weights of feature d for the labels of group g. The gradient is that
    of the sum with the best :math:`\delta` held fixed.

    Source: Jayaraman, Sha and Grauman, "Decorrelating Semantic Visual Attributes by Resisting the
    Urge to Share", CVPR 2014; reference code princetonvisualai/ContextualBias.

    Args:
        weight: ``(L, D)`` float rows of the head.
        groups: positions of the labels of each group.

    Returns:
        Scalar, at least 0. Where all weights of a group are 0, the gradient is 0.

    Differs from the reference: its code reads the weights without gradient, so that its penalty has
    no effect on the training.

    Example:
        >>> weight = torch.tensor([[3.0, 0.0], [4.0, 1.0]])
        >>> competition(weight, [[0, 1]]).item(), competition(weight, [[0], [1]]).item()
        (36.0, 64.0)
    """
    squares = torch.stack([weight[list(group)].square().sum(dim=0) for group in groups])
    positive = squares > 0
    return (torch.where(positive, squares, 1.0).sqrt() * positive).sum().square()
