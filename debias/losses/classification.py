"""Per-sample classification loss for classes, class probabilities and several labels."""

import torch
from torch import Tensor
from torch.nn import functional as F


def classification_losses(logits: Tensor, target: Tensor) -> Tensor:
    r"""Cross-entropy of each sample: over its classes, or the mean over several 0/1 labels.

    .. math:: \ell_i = -\sum_c t_{ic} \log \mathrm{softmax}(z_i)_c
              \quad\text{or}\quad \ell_i = \tfrac1L \sum_l \mathrm{BCE}(\sigma(z_{il}), t_{il})

    Computed in float32 at least, also for logits of lower precision.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: ``(N,)`` int64 class index in [0, C); ``(N, C)`` float class probabilities; or
            ``(N, L)`` int64 0/1 labels. Rank and dtype distinguish the three kinds.

    Returns:
        ``(N,)`` float.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0]])
        >>> [round(classification_losses(logits, target).item(), 4)  # log 2, three times
        ...  for target in (torch.tensor([1]), torch.tensor([[0.3, 0.7]]), torch.tensor([[0, 1]]))]
        [0.6931, 0.6931, 0.6931]
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if target.ndim == 1 or target.is_floating_point():
        return F.cross_entropy(logits, target, reduction="none")
    return F.binary_cross_entropy_with_logits(
        logits, target.to(logits.dtype), reduction="none"
    ).mean(dim=1)
