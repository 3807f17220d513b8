"""Focal loss: samples that are classified well count less."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.classification import classification_losses


def focal_losses(logits: Tensor, target: Tensor, *, gamma: float = 1.0) -> Tensor:
    r"""Cross-entropy of each sample, times how far its prediction is from certain.

    .. math:: \ell_i = (1 - p_i)^\gamma (-\log p_i), \qquad p_i = \mathrm{softmax}(z_i)_{t_i}

    For labels, :math:`p` is the sigmoid probability of each label's state, and :math:`\ell_i` the
    mean over the labels. :math:`\gamma = 0` is cross-entropy. The factor carries gradient. Computed
    in float32 at least.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: as for :func:`debias.losses.classification.classification_losses`; with class
            probabilities p is exp(-cross-entropy).
        gamma: :math:`\gamma \ge 0`; fractions are allowed. Lin et al. detect objects with 2.

    Returns:
        ``(N,)`` float.

    Differs from the reference: no class weight :math:`\alpha`; the gradient is finite where the
    probability rounds to 1 and :math:`\gamma < 1`.

    Example:
        >>> round(focal_losses(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # 1/2 log 2
        0.3466
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = target.ndim == 2 and not target.is_floating_point()
    if labels:
        losses = F.binary_cross_entropy_with_logits(
            logits, target.to(logits.dtype), reduction="none"
        )
    else:
        losses = classification_losses(logits, target)
    # a loss of exactly 0 would give the power of a fraction an infinite slope, and 0 times that is
    # NaN
    missing = -torch.expm1(-losses.clamp(min=torch.finfo(losses.dtype).tiny))
    focused = missing**gamma * losses
    return focused.mean(dim=1) if labels else focused
