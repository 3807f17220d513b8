"""Samples on which two stages of a training disagree most, or an earlier model errs most."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError


def largest_disagreement(early: Tensor, final: Tensor, *, count: int) -> Tensor:
    r"""Samples on which an early-stopped (or regularised) model and the final one differ most.

    .. math:: \mathrm{KL}(p_i \,\|\, q_i) = \sum_c p_{ic} \log \frac{p_{ic}}{q_{ic}}

    with p the softmax of the earlier model and q that of the final one.

    Source: LaBonte et al., "Towards Last-Layer Retraining for Group Robustness with Fewer
    Annotations" (SELF), NeurIPS 2023; reference code tmlabonte/last-layer-retraining, for the
    direction of the divergence.

    Args:
        early: ``(N, C)`` float logits of the earlier model.
        final: ``(N, C)`` float logits of the final one.
        count: how many samples to choose, in [1, N].

    Returns:
        ``(count,)`` int64 positions, the largest disagreement first.

    Raises:
        ValueError: ``count`` is out of range.

    Example:
        >>> early, final = torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [3.0, 0.0]])
        >>> largest_disagreement(early, final, count=1).tolist()
        [1]

    Differs from the reference: it divides by the number of classes, which changes no order;
    logarithms are taken of logits, so that a probability that underflows is not a NaN.
    """
    early, final = (
        logits.to(torch.promote_types(logits.dtype, torch.float32)) for logits in (early, final)
    )
    losses = F.kl_div(
        final.log_softmax(dim=1), early.log_softmax(dim=1), reduction="none", log_target=True
    ).sum(dim=1)
    return _largest(losses, count)


def largest_losses(logits: Tensor, target: Tensor, *, count: int) -> Tensor:
    """Samples of largest cross-entropy: SELF's selection by misclassification.

    Source: as :func:`largest_disagreement`.

    Args:
        logits: ``(N, C)`` float, of the final model or of an early-stopped one.
        target: ``(N,)`` int64 class index.
        count: how many samples to choose, in [1, N].

    Returns:
        ``(count,)`` int64 positions, the largest loss first.

    Raises:
        ValueError: ``count`` is out of range.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return _largest(F.cross_entropy(logits, target, reduction="none"), count)


def _largest(losses: Tensor, count: int) -> Tensor:
    if not 1 <= count <= len(losses):
        raise InputError(
            f"count={count} samples cannot be chosen from {len(losses)}: choose 1 to {len(losses)}"
        )
    return losses.topk(count).indices
