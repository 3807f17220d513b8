"""Additive energies of class and bias: logits of their cells, and the offset of unseen cells."""

import math

import torch
from torch import Tensor


def cell_logits(energies: Tensor, offsets: Tensor, log_prior: Tensor | None = None) -> Tensor:
    r"""Logits of the cells of a class y and a bias value b.

    .. math:: l_{yb} = -E(x)_{yb} - o_{yb} + \log p_{yb}

    Args:
        energies: ``(..., N, C, B)`` float.
        offsets: ``(..., C, B)`` float.
        log_prior: ``(C, B)`` float logarithm of the share of each cell, ``-inf`` for an absent one;
            ``None`` means equal shares.
    """
    logits = -energies - offsets[..., None, :, :]
    return logits if log_prior is None else logits + log_prior


def log_prior_of(target: Tensor, bias: Tensor, *, classes: int, biases: int) -> Tensor:
    """``(C, B)`` float64 logarithms of the share of each cell; ``-inf`` for an absent one.

    Args:
        target: ``(N,)`` int64 class.
        bias: ``(N,)`` int64 bias value, not negative.
        classes: C.
        biases: B.

    Example:
        >>> target, bias = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
        >>> log_prior_of(target, bias, classes=2, biases=2).exp().tolist()
        [[0.25, 0.25], [0.0, 0.5]]
    """
    counts = torch.bincount(biases * target + bias, minlength=classes * biases).double()
    return (counts / counts.sum()).log().view(classes, biases)


def extrapolated_offsets(
    energies: Tensor, offsets: Tensor, log_prior: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    r"""Compositional risk minimisation (CRM): the offset of every cell, also of unseen ones.

    .. math:: o^*_{yb} = \log \sum_i w_i \frac{e^{-E(x_i)_{yb}}}{S(x_i)}, \qquad
              S(x) = \sum_{(y,b) \text{ seen}} e^{-E(x)_{yb} - o_{yb} + \log p_{yb}}

    The sum over i goes over the training samples, with weights 1/N. If the energies, the learnt
    offsets and the prior are exact, then S is the density of x, and :math:`o^*` is the logarithm of
    the normaliser of :math:`e^{-E}` in each cell.

    Source: Mahajan et al., "Compositional Risk Minimization", ICML 2025, equation (11).

    Args:
        energies: ``(..., N, C, B)`` float of the training samples.
        offsets: ``(..., C, B)`` float, learnt with the energies.
        log_prior: ``(C, B)`` float log shares in training; ``-inf`` for an unseen cell.
        weights: ``(N,)`` float weights of the samples that sum to one; ``None`` for 1/N.

    Returns:
        ``(..., C, B)``.

    Differs from the reference: it computes with logarithms, where the reference takes exponentials,
    which overflow at large energies. An unseen cell has no part in S; there, it has a share of 1e-8
    unless it is listed.
    """
    density = cell_logits(energies, offsets, log_prior).logsumexp(dim=(-2, -1))
    ratios = -energies - density[..., None, None]
    if weights is None:
        return ratios.logsumexp(dim=-3) - math.log(energies.shape[-3])
    return (ratios + weights.log()[:, None, None]).logsumexp(dim=-3)
