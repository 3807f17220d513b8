"""What several strategies add up: means over the targets, and over the samples of known bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.classification import classification_losses
from debias.losses.group_means import group_means
from debias.types import Batch, Groups, Loss

if TYPE_CHECKING:
    from debias.models.classifier import Classifier


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


def biased_network(groups: Groups, name: str) -> Classifier:
    """A network for the shortcut, of small receptive field and new weights.

    Args:
        groups: the groups of the data.
        name: its architecture, see :data:`debias.models.small_receptive.NETWORKS`.

    Raises:
        ValueError: an unknown architecture.
    """
    # timm comes with it, which a strategy must not load before somebody wants such a network
    from debias.models.classifier import small_receptive_classifier

    return small_receptive_classifier(groups.outputs, name=name)


def biased_network_loss(network: nn.Module, batch: Batch) -> Loss:
    """Objective of a network for the shortcut: classify, in training mode, without weights."""
    loss = classification_losses(network.train()(batch.image).logits, batch.target).mean()
    return Loss(loss, {"biased_cross_entropy": loss.detach()})


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
