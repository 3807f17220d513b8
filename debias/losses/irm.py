"""Invariant risk minimisation: how far a scale on the logits is from each environment's best."""

import torch
from torch import Tensor

from debias.processes import joined_rows

#: Fewest samples of an environment from which the product of two halves is taken: two in each.
LEAST = 4


def scale_gradients(logits: Tensor, target: Tensor) -> Tensor:
    r"""Derivative of each sample's classification loss by a scale on its logits, at scale one.

    .. math:: d_i = \left.\frac{\partial \ell_i(s z_i)}{\partial s}\right|_{s=1}
              = \sum_c (\mathrm{softmax}(z_i)_c - t_{ic})\, z_{ic}
              \quad\text{or}\quad \tfrac1L \sum_l (\sigma(z_{il}) - t_{il})\, z_{il}

    Computed in float32 at least, and differentiable: no gradient of a gradient is needed.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: any kind that :func:`debias.losses.classification.classification_losses` takes;
            probabilities sum to one.

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
    r"""Penalty of IRMv1: mean over the environments of the squared derivative of their risk by a
    scale on the logits.

    .. math:: \frac{1}{|E|} \sum_e D_e^2, \qquad D_e = \frac{1}{n_e} \sum_{i: e_i = e} d_i

    with d of :func:`scale_gradients`. The square of a noisy mean is too large on average; unbiased
    is the product of the means of two halves, the environment's samples 1, 3, 5, ... and 2, 4, 6,
    ... in the order of the batch, which may be negative. Batches must come in random order: where
    classes take turns, each half is a class. In a process group the environments are those of the
    joined batch, in order of rank.

    Source: Arjovsky et al., "Invariant Risk Minimization", 2019; reference code
    facebookresearch/InvariantRiskMinimization; the halves as in facebookresearch/DomainBed.

    Args:
        logits: ``(N, C)`` or ``(N, L)`` float.
        target: any kind that :func:`debias.losses.classification.classification_losses` takes.
        environment: ``(N,)`` int64 in [0, environments); -1 leaves the sample out.
        environments: how many environments there are, absent ones included.
        unbiased: product of two halves, which leaves out environments of less than four samples;
            else the square.

    Returns:
        Scalar, 0 where no environment has enough samples.

    Differs from the reference: the halves of the ports in DomainBed and SubpopBench are taken from
    any environment, and are NaN for one of a single sample; the derivative is taken by its formula,
    not by a second backward pass.
    """
    gradients, environment = joined_rows(scale_gradients(logits, target)), joined_rows(environment)
    members = environment[:, None] == torch.arange(environments, device=environment.device)
    counts = members.sum(dim=0)
    if unbiased:
        odd = members.cumsum(dim=0) % 2 == 1
        penalty = _means(gradients, members & odd) * _means(gradients, members & ~odd)
    else:
        penalty = _means(gradients, members).square()
    used = counts >= (LEAST if unbiased else 1)
    return (penalty * used).sum() / used.sum().clamp(min=1)


def _means(values: Tensor, members: Tensor) -> Tensor:
    """``(E,)`` mean of the members of each column; a NaN of another sample has no effect."""
    return torch.where(members, values[:, None], 0.0).sum(dim=0) / members.sum(dim=0).clamp(min=1)
