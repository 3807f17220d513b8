"""Spectral decoupling: a logit penalty, so that the first feature learnt does not block others."""

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

    Differs from the reference: DomainBed also averages over the logits and has no factor 1/2. Its
    coefficient is C / 2 times this one, which is equal for two classes. The authors' code has one
    logit f for two classes, and no factor 1/2. Its coefficient is half of this one for the logits
    (0, f), and a quarter for (-f/2, f/2).

    Example:
        >>> spectral_decoupling(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).item()
        6.25
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.square().sum(dim=1).mean() / 2


def shifted_spectral_decoupling(logits: Tensor, target: Tensor, *, shifts: Tensor) -> Tensor:
    r"""Penalty for two classes: it pulls each sample's logit difference to the shift of its class.

    .. math:: L = \frac12 \sum_{c \in \{0, 1\}} \frac{1}{n_c}
              \sum_{i: t_i = c} (z_{i1} - z_{i0} - \gamma_c)^2

    The means are those of the joined batch of all processes. An absent class contributes nothing.

    Source: Pezeshki et al., as above, CelebA experiment of mohammadpz/Gradient_Starvation, which
    has :math:`\gamma = (0.44, 2.5)` and no factor 1/2.

    Args:
        logits: ``(N, 2)`` float.
        target: ``(N,)`` int64, 0 or 1.
        shifts: ``(2,)`` float, :math:`\gamma` of each class.

    Returns:
        Scalar, at least float32.

    Differs from the reference: its network has a single logit; here it is the difference of two.
    There a batch without one of the classes gives NaN.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    distances = logits[:, 1] - logits[:, 0] - shifts[target]
    return group_means(distances.square(), target, 2).means.sum() / 2
