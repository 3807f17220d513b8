"""Label-distribution-aware margins (LDAM): rarer classes get larger margins."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError, check_positive
from debias.losses.classification import classification_losses


def ldam_margins(counts: Tensor, *, max_margin: float = 0.5) -> Tensor:
    r"""Margin of each class, :math:`m_c \propto n_c^{-1/4}`; the rarest class has ``max_margin``.

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
    NeurIPS 2019.

    Args:
        counts: ``(C,)`` training samples of each class, or their shares. A class without samples
            gets margin 0.
        max_margin: margin of the rarest class, positive.

    Returns:
        ``(C,)`` float32.

    Raises:
        ValueError: ``max_margin`` is not positive, or all ``counts`` are 0.

    Example:
        >>> ldam_margins(torch.tensor([16, 1])).tolist()
        [0.25, 0.5]
    """
    check_positive({"max_margin": max_margin}, hint="for no margin, use erm")
    if not bool(counts.any()):
        raise InputError(
            "no class has a training sample: check that the training split is not empty"
        )
    margins = torch.where(counts > 0, counts.double() ** -0.25, 0.0)
    return (max_margin * margins / margins.max()).float()


def ldam_losses(logits: Tensor, target: Tensor, *, margins: Tensor, scale: float = 30.0) -> Tensor:
    r"""Cross-entropy of scaled logits; the logit of the true class is first reduced by its margin.

    .. math:: \ell_i = \mathrm{CE}\bigl(s\,(z_i - m_{t_i} e_{t_i}),\, t_i\bigr)

    Source: as :func:`ldam_margins`.

    Args:
        logits: ``(N, C)`` float.
        target: ``(N,)`` int64 in [0, C).
        margins: ``(C,)`` float, in the unit of the logits.
        scale: :math:`s > 0`. 1 keeps the logits of a linear head as they are; 30 suits cosines.

    Returns:
        ``(N,)`` float, at least float32.

    Raises:
        ValueError: ``scale`` is not positive.

    Differs from the reference: there z are cosines of features and weights. Here, as in
    SubpopBench, z are the logits of the model. A linear head can increase its logits until a margin
    has little effect, and a large scale multiplies the learning rate.

    Example:
        >>> margins = torch.tensor([0.25, 0.5])
        >>> losses = ldam_losses(torch.zeros(1, 2), torch.tensor([1]), margins=margins, scale=2.0)
        >>> round(losses.item(), 4)  # log(1 + e^(2 * 0.5))
        1.3133
    """
    check_positive({"scale": scale}, of="LDAM")
    margin = F.one_hot(target, logits.shape[1]) * margins
    return classification_losses(scale * (logits - margin), target)
