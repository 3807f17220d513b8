"""Contradicting pairs of SelecMix: which sample of a batch each sample is mixed with."""

import torch
from torch import Tensor


def contradicting_partners(similarities: Tensor, target: Tensor, *, positives: bool) -> Tensor:
    """A partner for each sample of a batch whose similarity contradicts its class.

    A contradicting positive is the least similar sample of the same class. A contradicting negative
    is the most similar sample of another class. If the similarities are those of a shortcut, the
    pair differs in the shortcut or shares it, against what the classes suggest. Without any
    candidate, the partner is the sample itself.

    Source: Hwang et al., "SelecMix: Debiased Learning by Contradicting-pair Sampling", NeurIPS
    2022; reference code bluemoon010/SelecMix.

    Args:
        similarities: ``(N, N)`` float; one row per sample, one column per partner.
        target: ``(N,)`` int64 class of each sample.
        positives: whether to choose contradicting positives; otherwise negatives.

    Returns:
        ``(N,)`` int64 positions in the batch.

    Differs from the reference: a sample of the same class is never a negative. There its similarity
    counts as 0, so that it is chosen if all other classes have negative similarities. A sample
    without a candidate may get any partner there.

    Example:
        >>> similarities = torch.tensor([[1.0, 0.2, -0.5], [0.2, 1.0, 0.9], [-0.5, 0.9, 1.0]])
        >>> target = torch.tensor([0, 0, 1])
        >>> contradicting_partners(similarities, target, positives=True).tolist()
        [1, 0, 2]
        >>> contradicting_partners(similarities, target, positives=False).tolist()
        [2, 2, 1]
    """
    same, own = target[:, None] == target, torch.arange(len(target), device=target.device)
    candidates = same & (own[:, None] != own) if positives else ~same
    scores = -similarities if positives else similarities
    chosen = scores.masked_fill(~candidates, -torch.inf).argmax(dim=1)
    return torch.where(candidates.any(dim=1), chosen, own)
