"""Losses of experts that must differ (PnD): divergence of successive ones, and swapped features."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_positive


def successive_similarity(logits: Tensor) -> Tensor:
    r"""How alike the predictions of successive experts are: small if each differs from the last.

    .. math:: L = \sum_{e=2}^{E} \frac{1}{N K} \sum_{i,k} \exp\left( -
              \mathrm{sg}[p^{e-1}_{ik}] \log \frac{\mathrm{sg}[p^{e-1}_{ik}]}{p^e_{ik}} \right),
              \qquad p^e = \mathrm{softmax}(z^e)

    where sg stops the gradient, so that an expert is driven away from the one before it. The
    exponents are the single entries of the Kullback-Leibler divergence. A pair of equal
    predictions adds 1. A single expert gives 0. Computed in float32 at least.

    Source: Li, Vo, Nakayama, "Partition-and-Debias: Agnostic Biases Mitigation via a Mixture of
    Biases-Specific Experts", ICCV 2023; reference code Jiaxuan-Li/PnD.

    Args:
        logits: ``(E, N, K)`` float, of E experts in their order.

    Returns:
        Scalar in (0, (E - 1) a), where a is 1.4447, the exponential of 1/2.718...

    Example:
        >>> successive_similarity(torch.zeros(4, 2, 3)).item()
        3.0
    """
    logs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=2)
    before = logs[:-1].detach()
    entries = before.exp() * (before - logs[1:])
    return torch.exp(-entries).mean(dim=(1, 2)).sum()


def swap_contrast(
    anchors: Tensor, positives: Tensor, negatives: Tensor, *, sharpness: float = 0.1
) -> Tensor:
    r"""Contrast of an expert's output with its outputs on swapped features.

    .. math:: L = -\frac1A \sum_a \log \frac{e^{-s\, d(o_a, o^+_a)}}
              {e^{-s\, d(o_a, o^+_a)} + \sum_j e^{-s\, d(o_a, o^-_{aj})}}, \qquad
              d(u, v) = \frac1K \lVert u - v \rVert^2

    The positive of an anchor has the class features of the anchor and the bias features of another
    image. Its J negatives have its bias features. All three get a gradient.

    Source: as :func:`successive_similarity`.

    Args:
        anchors: ``(A, K)`` float.
        positives: ``(A, K)`` float.
        negatives: ``(A, J, K)`` float.
        sharpness: s > 0. It multiplies distances; the authors call it the temperature.

    Returns:
        Scalar, :math:`\log(1 + J)` if all outputs are equal.

    Raises:
        ValueError: ``sharpness`` is not positive.

    Example:
        >>> one = torch.ones(1, 2)  # log(1 + exp(-1))
        >>> round(swap_contrast(one, one, 0 * one[None], sharpness=1.0).item(), 4)
        0.3133
    """
    check_positive({"sharpness": sharpness}, of="a contrast of experts")
    others = torch.cat([positives[:, None], negatives], dim=1)
    logits = -sharpness * (anchors[:, None] - others).square().mean(dim=2)
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))
