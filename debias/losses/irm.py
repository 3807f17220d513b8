"""Invariant risk minimisation: the penalty of IRMv1, and the derivatives that it is made of."""

import torch
from torch import Tensor

from debias.losses.group_means import members
from debias.processes import joined_rows

#: Fewest samples of an environment in the unbiased penalty: two in each half.
LEAST = 4


def scale_gradients(logits: Tensor, target: Tensor) -> Tensor:
    r"""Derivative of each sample's classification loss by a scale s on its logits, at s = 1.

    .. math:: d_i = \left.\frac{\partial \ell_i(s z_i)}{\partial s}\right|_{s=1}
              = \sum_c (\mathrm{softmax}(z_i)_c - t_{ic})\, z_{ic}
              \quad\text{or}\quad \tfrac1L \sum_l (\sigma(z_{il}) - t_{il})\, z_{il}

    Computed in float32 at least, by this differentiable formula. No second backward pass is needed.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: any kind of :func:`debias.losses.classification.classification_losses`. Class
            probabilities must sum to one.

    Returns:
        ``(N,)`` float.

    Example:
        >>> gradient = scale_gradients(torch.tensor([[1.0, -1.0]]), torch.tensor([0]))
        >>> round(gradient.item(), 4)  # 2 (sigmoid(2) - 1)
        -0.2384
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if target.ndim == 2 and not target.is_floating_point():
        return ((logits.sigmoid() - target) * logits).mean(dim=1)
    expected = (logits.softmax(dim=1) * logits).sum(dim=1)
    if target.ndim == 2:
        return expected - (target * logits).sum(dim=1)
    return expected - logits.gather(1, target[:, None]).squeeze(1)


def irm_penalty(
    logits: Tensor, target: Tensor, environment: Tensor, environments: int, *, unbiased: bool = True
) -> Tensor:
    r"""Penalty of IRMv1: squared derivative of the risk by a logit scale, mean over environments.

    .. math:: \frac{1}{|E|} \sum_e D_e^2, \qquad D_e = \frac{1}{n_e} \sum_{i: e_i = e} d_i

    where :math:`d_i` is that of :func:`scale_gradients`. The square of a noisy mean is too large on
    average. The unbiased penalty is instead the product of the means of two halves, and may be
    negative. The halves are the environment's samples 1, 3, 5, ... and 2, 4, 6, ... in the order of
    the batch. This order must be random: if two classes alternate, each half holds one class. In a
    process group the batch is the joined batch, in order of rank.

    Source: Arjovsky et al., "Invariant Risk Minimization", 2019; reference code
    facebookresearch/InvariantRiskMinimization; the halves as in facebookresearch/DomainBed.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: any kind of :func:`debias.losses.classification.classification_losses`.
        environment: ``(N,)`` int64 in [0, environments); -1 leaves the sample out.
        environments: number of environments E, including absent ones.
        unbiased: use the product of two halves, and leave out environments with fewer than four
            samples. Otherwise use the square.

    Returns:
        Scalar; 0 if no environment has enough samples.

    Differs from the reference: the ports in DomainBed and SubpopBench take halves of every
    environment, and return NaN for an environment with one sample. Here the derivative comes from
    its formula, not from a second backward pass.
    """
    gradients, environment = joined_rows(scale_gradients(logits, target)), joined_rows(environment)
    belongs = members(environment, environments)
    counts = belongs.sum(dim=0)
    if unbiased:
        odd = belongs.cumsum(dim=0) % 2 == 1
        penalty = _means(gradients, belongs & odd) * _means(gradients, belongs & ~odd)
    else:
        penalty = _means(gradients, belongs).square()
    used = counts >= (LEAST if unbiased else 1)
    return (penalty * used).sum() / used.sum().clamp(min=1)


def _means(values: Tensor, members: Tensor) -> Tensor:
    """``(E,)`` mean of values over the members of each environment; NaN of others is ignored."""
    return torch.where(members, values[:, None], 0.0).sum(dim=0) / members.sum(dim=0).clamp(min=1)
