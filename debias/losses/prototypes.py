"""Losses of heads of prototypes: the loss of their distances, and the likeness to earlier heads."""

import torch
from torch import Tensor
from torch.nn import functional as F


def isomax_losses(logits: Tensor, target: Tensor, *, entropic_scale: float | Tensor) -> Tensor:
    r"""Cross-entropy of scaled negative distances, :math:`-\log \mathrm{softmax}(E f)_y`.

    The scale E is part of the loss only. In evaluation the logits are not multiplied by it.

    Source: Macêdo et al., "Enhanced Isotropy Maximization Loss", 2021; reference code
    dlmacedo/entropic-out-of-distribution-detection, as used by minhto2802/dpe4subpop.

    Args:
        logits: ``(H, N, C)`` float, of H heads.
        target: ``(N,)`` int64 class.
        entropic_scale: E > 0, a number, or ``(H,)``.

    Returns:
        ``(H, N)``.

    Differs from the reference: the logarithm is that of the softmax, and stays finite where the
    reference takes the logarithm of a probability of 0.

    Example:
        >>> logits = torch.tensor([[[0.0, -2**0.5]]], dtype=torch.float64)
        >>> float(isomax_losses(logits, torch.tensor([0]), entropic_scale=10.0))
        7.213...e-07
    """
    scale = torch.as_tensor(entropic_scale).to(logits).reshape(-1, 1, 1)
    scaled = (scale * logits).flatten(0, 1)
    losses = F.cross_entropy(scaled, target.repeat(len(logits)), reduction="none")
    return losses.view(logits.shape[:2])


def prototype_similarity(prototypes: Tensor, earlier: Tensor, *, members: int) -> Tensor:
    r"""How alike the prototypes of new heads and of the earlier members of their ensembles are.

    .. math:: \Big| \frac{1}{C} \sum_k \frac{1}{t (D - 1)} \sum_{j < t}
              \langle p_k^t, p_k^j \rangle \Big|

    Source: To et al., "Diverse Prototypical Ensembles Improve Robustness to Subpopulation Shift",
    ICML 2025; reference code minhto2802/dpe4subpop. The prototypes are not normalised. Likeness of
    opposite sign cancels between members and between classes.

    Args:
        prototypes: ``(H, C, D)`` float, of the new member t of each of H ensembles.
        earlier: ``(H, C, D)`` float, the sum of the prototypes of its earlier members.
        members: t, the number of members with the new one.

    Returns:
        ``(H,)``.

    Example:
        >>> one = torch.eye(5)[None, :2]
        >>> prototype_similarity(one, one, members=2).item()
        0.125
    """
    products = (prototypes * earlier).sum(dim=2) / (members * (prototypes.shape[2] - 1))
    return products.mean(dim=1).abs()
