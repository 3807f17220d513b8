"""Samples on which two models disagree most, or on which one model has the largest loss."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import InputError


def largest_disagreement(early: Tensor, final: Tensor, *, count: int) -> Tensor:
    r"""Choose the samples on which an early-stopped (or regularised) and a final model differ most.

    .. math:: \mathrm{KL}(p_i \,\|\, q_i) = \sum_c p_{ic} \log \frac{p_{ic}}{q_{ic}}

    with p the softmax of the earlier model and q that of the final one.

    Source: LaBonte et al., "Towards Last-Layer Retraining for Group Robustness with Fewer
    Annotations" (SELF), NeurIPS 2023; reference code tmlabonte/last-layer-retraining, for the
    direction of the divergence.

    Args:
        early: ``(N, C)`` float logits of the earlier model.
        final: ``(N, C)`` float logits of the final model.
        count: how many samples to choose, in [1, N].

    Returns:
        ``(count,)`` int64 positions, the largest disagreement first.

    Raises:
        ValueError: ``count`` is outside [1, N].

    Example:
        >>> early, final = torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [3.0, 0.0]])
        >>> largest_disagreement(early, final, count=1).tolist()
        [1]

    Differs from the reference: the reference divides by the number of classes, which does not
    change the order. Here logarithms come from the logits, so a probability that underflows does
    not give NaN.
    """
    early, final = (
        logits.to(torch.promote_types(logits.dtype, torch.float32)) for logits in (early, final)
    )
    divergence = F.kl_div(
        final.log_softmax(dim=1), early.log_softmax(dim=1), reduction="none", log_target=True
    ).sum(dim=1)
    return _largest(divergence, count)


def largest_losses(logits: Tensor, target: Tensor, *, count: int) -> Tensor:
    """Choose the samples of largest cross-entropy: SELF's selection by misclassification.

    Source: as :func:`largest_disagreement`.

    Args:
        logits: ``(N, C)`` float, of the final or an early-stopped model.
        target: ``(N,)`` int64 class index.
        count: how many samples to choose, in [1, N].

    Returns:
        ``(count,)`` int64 positions, the largest loss first.

    Raises:
        ValueError: ``count`` is outside [1, N].
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return _largest(F.cross_entropy(logits, target, reduction="none"), count)


def _largest(values: Tensor, count: int) -> Tensor:
    if not 1 <= count <= len(values):
        raise InputError(
            f"count={count} samples cannot be chosen from {len(values)}: choose 1 to {len(values)}"
        )
    return values.topk(count).indices
