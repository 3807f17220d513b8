"""What several strategies add up: means over the targets, and over the samples of known bias."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.classification import classification_losses
from debias.losses.group_means import group_means
from debias.types import Batch


def task_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean classification loss of a batch, weighted where the batch has weights: the loss of ERM.

    Args:
        logits: ``(N, outputs)`` float, of the model.
        batch: its targets are of any kind that
            :func:`debias.losses.classification.classification_losses` takes.

    Returns:
        Scalar.
    """
    return task_losses(logits, batch).mean()


def task_losses(logits: Tensor, batch: Batch) -> Tensor:
    """``(N,)`` classification losses, weighted as the batch says: as :func:`task_loss`."""
    return weighted(classification_losses(logits, batch.target), batch)


def weighted(losses: Tensor, batch: Batch) -> Tensor:
    """``(N,)`` losses of a batch, times its weights where it has any."""
    return losses if batch.weight is None else losses * batch.weight


def bias_loss(logits: Tensor, bias: Tensor) -> Tensor:
    """Mean cross-entropy over the samples of known bias, in all processes; 0 where none is known.

    Args:
        logits: ``(N, biases)`` float, of an adversary.
        bias: ``(N,)`` int64 in [0, biases), or -1 where unknown.

    Returns:
        Scalar.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits, bias.clamp(min=0), reduction="none")
    return mean_where_known(losses, bias)


def mean_where_known(losses: Tensor, bias: Tensor) -> Tensor:
    """Mean of ``(N,)`` losses over samples of known bias, in all processes; 0 if there is none."""
    return group_means(losses, bias.clamp(max=0), 1).means[0]
