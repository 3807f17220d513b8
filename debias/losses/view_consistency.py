"""Consistency of several views of the same images: of their predictions, or of their features."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def prediction_divergences(logits: Tensor) -> Tensor:
    r"""Jensen-Shannon divergence between the predictions for the views of each image.

    .. math:: D_i = \frac1V \sum_v \mathrm{KL}(p_{vi} \,\Vert\, m_i), \qquad
              m_i = \frac1V \sum_v p_{vi}, \quad p_{vi} = \mathrm{softmax}(z_{vi})

    It is 0 if all views have the same prediction, and log V at most. Computed in float32 at least.

    Source: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
    Uncertainty", ICLR 2020; Xu et al., "Robust and Generalizable Visual Representation Learning via
    Random Convolutions", ICLR 2021; reference code wildphoton/RandConv.

    Args:
        logits: ``(V, N, C)`` float, of V views of N images.

    Returns:
        ``(N,)`` float.

    Differs from the reference: the logarithm of the mean prediction is exact, where the reference
    replaces probabilities below 1e-7 by 1e-7.

    Example:
        >>> views = torch.tensor([[[0.0, 60.0]], [[60.0, 0.0]]])  # certain and opposite
        >>> round(prediction_divergences(views).item(), 4)  # log 2
        0.6931
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    each = F.log_softmax(logits, dim=2)
    mean = each.logsumexp(dim=0) - math.log(len(each))
    return (each.exp() * (each - mean)).sum(dim=2).mean(dim=0)


def feature_distances(features: Tensor) -> Tensor:
    r"""Cosine distance of the features of later views from those of the first one.

    .. math:: D_i = \frac{1}{V - 1} \sum_{v > 1} \left( 1 - \cos(z_{vi}, z_{1i}) \right)

    The first view gets no gradient: the others move towards it. Computed in float32 at least.

    Source: Zhang et al., "v-CLR: View-Consistent Learning for Open-World Instance Segmentation",
    CVPR 2025; reference code Visual-AI/vCLR.

    Args:
        features: ``(V, N, D)`` float, of V views of N images, V at least 2.

    Returns:
        ``(N,)`` float in [0, 2].

    Example:
        >>> feature_distances(torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]], [[2.0, 0.0]]])).item()
        0.5
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    similarities = F.cosine_similarity(features[1:], features[:1].detach(), dim=2)
    return 1 - similarities.mean(dim=0)
