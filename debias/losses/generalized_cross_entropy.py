"""Generalized cross-entropy: easy samples get more weight, which amplifies a shortcut."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_between


def generalized_cross_entropy(
    logits: Tensor, target: Tensor, *, q: float = 0.7, scaled: bool = False
) -> Tensor:
    r"""Generalized cross-entropy; its gradient is :math:`p_y^q` times that of cross-entropy.

    .. math:: \ell_i = \frac{1 - p_{y}^q}{q}
              \quad\text{or, scaled,}\quad \ell_i = q\, \mathrm{sg}[p_{y}^q]\, (-\log p_{y}),
              \qquad p = \mathrm{softmax}(z_i)

    where sg stops the gradient. The first form is cross-entropy in the limit of q to 0, and
    :math:`1 - p_y` at q = 1. The scaled form has q times its gradient, but a different value.
    Computed in float32 at least, from :math:`\log p_y`.

    Source: Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with
    Noisy Labels", NeurIPS 2018; the scaled form is that of the reference code alinlab/LfF.

    Args:
        logits: ``(N, C)`` float.
        target: ``(N,)`` int64 class in [0, C).
        q: in (0, 1].
        scaled: use the scaled form. Published learning rates of LfF and its successors assume it.

    Returns:
        ``(N,)`` float.

    Raises:
        ValueError: ``q`` is outside (0, 1].

    Example:
        >>> losses = generalized_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), q=1.0)
        >>> round(losses.item(), 4)  # 1 - 1/2
        0.5
    """
    check_between("(0, 1]", {"q": q}, of="generalized cross-entropy")
    losses = F.cross_entropy(
        logits.to(torch.promote_types(logits.dtype, torch.float32)), target, reduction="none"
    )
    if scaled:
        return q * torch.exp(-q * losses.detach()) * losses
    return -torch.expm1(-q * losses) / q
