"""The two means that strategies with an adversary add up: over the targets, and over the known biases."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses import classification_losses, group_means
from debias.types import Batch


def task_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean classification loss of a batch, weighted where the batch has weights: the loss of ERM.

    Args:
        logits: ``(N, outputs)`` float, of the model.
        batch: its targets are of any kind that :func:`debias.losses.classification_losses` takes.

    Returns:
        Scalar.
    """
    losses = classification_losses(logits, batch.target)
    return (losses if batch.weight is None else losses * batch.weight).mean()


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
    return group_means(losses, bias.clamp(max=0), 1).means[0]
