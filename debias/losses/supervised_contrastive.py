"""Supervised contrastive learning: samples of one kind together, against all others."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.losses.pairs import itself


def supervised_contrastive_losses(similarities: Tensor, positive: Tensor, *, temperature: float = 0.07) -> Tensor:
    r"""Contrastive loss of each sample: its positives are to be likelier than all other samples.

    .. math:: \ell_i = -\frac{1}{|P_i|} \sum_{j \in P_i} \log
              \frac{\exp(G_{ij} / \tau)}{\sum_{k \ne i} \exp(G_{ik} / \tau)}, \qquad \ell_i = 0 \text{ where } P_i
              \text{ is empty}

    Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020 (the variant with the sum outside of the
    logarithm), there with :math:`P_i` all others of the same class.

    Args:
        similarities: ``(m, m)`` float, m at least 2, as from :func:`cosine_similarities`.
        positive: ``(m, m)`` bool, whether j is in :math:`P_i`; its diagonal is not looked at.
        temperature: :math:`\tau > 0`.

    Returns:
        ``(m,)`` float32 at least.

    Example:
        >>> pair, other = [True, True, False], [False, False, True]
        >>> losses = supervised_contrastive_losses(torch.zeros(3, 3), torch.tensor([pair, pair, other]))
        >>> losses  # log 2, log 2, and nobody
        tensor([0.6931, 0.6931, 0.0000])
    """
    scores = similarities.to(torch.promote_types(similarities.dtype, torch.float32)) / temperature
    others = ~itself(scores)
    log_share = scores - torch.where(others, scores, -torch.inf).logsumexp(dim=1, keepdim=True)
    positive = positive & others
    return torch.where(positive, -log_share, 0.0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
