"""Uniform confusion: how far predictions are from the uniform distribution."""

import torch
from torch import Tensor
from torch.nn import functional as F


def confusion_losses(logits: Tensor, *, multi_label: bool = False) -> Tensor:
    r"""Cross-entropy of each sample to the uniform distribution; minimal for a uniform prediction.

    .. math:: \ell_i = -\frac1D \sum_d \log \mathrm{softmax}(z_i)_d
              \quad\text{or}\quad \ell_i = \tfrac1L \sum_l \mathrm{BCE}(\sigma(z_{il}), \tfrac12)

    Unlike a cross-entropy with reversed gradient, it has a lower bound and needs no label. Computed
    in float32 at least.

    Source: Tzeng et al., "Simultaneous Deep Transfer Across Domains and Tasks", ICCV 2015.

    Args:
        logits: ``(N, D)`` float of D classes, or ``(N, L)`` of L labels.
        multi_label: use the second form, for labels. Its minimum is log 2; that of the first form
            is log D.

    Returns:
        ``(N,)`` float.

    Example:
        >>> round(confusion_losses(torch.zeros(1, 3)).item(), 4)  # log 3
        1.0986
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if not multi_label:
        return -F.log_softmax(logits, dim=1).mean(dim=1)
    # BCE to 1/2 is softplus(z) - z / 2
    return (F.softplus(logits) - logits / 2).mean(dim=1)
