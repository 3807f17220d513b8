"""Focal loss: well-classified samples get less weight."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_at_least
from debias.losses.classification import classification_losses


def focal_losses(logits: Tensor, target: Tensor, *, gamma: float = 1.0) -> Tensor:
    r"""Cross-entropy of each sample, reduced for samples that are already predicted confidently.

    .. math:: \ell_i = (1 - p_i)^\gamma (-\log p_i), \qquad p_i = \mathrm{softmax}(z_i)_{t_i}

    For several labels, :math:`p` is the sigmoid probability of a label's true state, and
    :math:`\ell_i` is the mean over the labels. :math:`\gamma = 0` is cross-entropy. The gradient
    also flows through the factor. Computed in float32 at least.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: as for :func:`debias.losses.classification.classification_losses`. For class
            probabilities, p is exp(-cross-entropy).
        gamma: :math:`\gamma \ge 0`, also fractional. Lin et al. use 2 for object detection.

    Returns:
        ``(N,)`` float.

    Raises:
        ValueError: ``gamma`` is negative.

    Differs from the reference: there is no class weight :math:`\alpha`. The gradient is finite even
    if the probability rounds to 1 and :math:`\gamma < 1`.

    Example:
        >>> round(focal_losses(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # 1/2 log 2
        0.3466
    """
    check_at_least(0, {"gamma": gamma}, of="the focal loss")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = target.ndim == 2 and not target.is_floating_point()
    if labels:
        losses = F.binary_cross_entropy_with_logits(
            logits, target.to(logits.dtype), reduction="none"
        )
    else:
        losses = classification_losses(logits, target)
    # at a loss of exactly 0, a power below 1 has an infinite slope, and 0 times infinity is NaN
    error_probability = -torch.expm1(-losses.clamp(min=torch.finfo(losses.dtype).tiny))
    focused = error_probability**gamma * losses
    return focused.mean(dim=1) if labels else focused
