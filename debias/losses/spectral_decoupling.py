"""Spectral decoupling: a penalty on the logits, so that no early feature starves the others."""

import torch
from torch import Tensor

from debias.losses.group_means import group_means


def spectral_decoupling(logits: Tensor) -> Tensor:
    r"""Half the mean squared norm of the logits, :math:`\frac{1}{2N} \sum_i \lVert z_i \rVert^2`.

    Source: Pezeshki et al., "Gradient Starvation: A Learning Proclivity in Neural Networks",
    NeurIPS 2021.

    Args:
        logits: ``(N, C)`` float.

    Returns:
        Scalar, at least float32.

    Differs from the reference: DomainBed averages over the logits too and has no half: its
    coefficient is this one's times C / 2, which is the same for two classes. The authors' code has
    a single logit f for two classes, and no half: its coefficient is half of this one's with the
    logits (0, f), and a quarter with (-f/2, f/2).

    Example:
        >>> spectral_decoupling(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).item()
        6.25
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.square().sum(dim=1).mean() / 2


def shifted_spectral_decoupling(logits: Tensor, target: Tensor, *, shifts: Tensor) -> Tensor:
    r"""The penalty for two classes: it pulls the difference of the logits to the class's shift.

    .. math:: L = \frac12 \sum_{c \in \{0, 1\}} \frac{1}{n_c}
              \sum_{i: t_i = c} (z_{i1} - z_{i0} - \gamma_c)^2

    The means are those of the joined batch of all processes; an absent class contributes nothing.

    Source: Pezeshki et al., as above, CelebA experiment of mohammadpz/Gradient_Starvation, which
    has :math:`\gamma = (0.44, 2.5)` and no half.

    Args:
        logits: ``(N, 2)`` float.
        target: ``(N,)`` int64, 0 or 1.
        shifts: ``(2,)`` float, :math:`\gamma`.

    Returns:
        Scalar, at least float32.

    Differs from the reference: its network has a single logit, here the difference of two; there a
    batch that lacks a class gives NaN.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    distances = logits[:, 1] - logits[:, 0] - shifts[target]
    return group_means(distances.square(), target, 2).means.sum() / 2
