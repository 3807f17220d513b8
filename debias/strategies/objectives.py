"""What strategies share: the task loss, means over samples of known bias, seeds of draws."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.errors import check_at_least
from debias.losses.classification import classification_losses
from debias.losses.group_means import group_means
from debias.types import Batch, Groups


def step_key(seed: int, step: int) -> int:
    """A seed for the draws of one step, so that a resumed run repeats them.

    Args:
        seed: seed of the run, at least 0. Runs of other seeds have other draws.
        step: number of the step, at least 0.
    """
    return seed * 1_000_003 + step


def task_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean classification loss of a batch, which is the loss of ERM.

    Each loss is multiplied by the sample weight if the batch has weights.

    Args:
        logits: ``(N, outputs)`` float, of the model.
        batch: its targets may be of any kind that
            :func:`debias.losses.classification.classification_losses` accepts.

    Returns:
        Scalar.
    """
    return task_losses(logits, batch).mean()


def task_losses(logits: Tensor, batch: Batch) -> Tensor:
    """``(N,)`` classification losses, times the sample weights if the batch has weights."""
    return weighted(classification_losses(logits, batch.target), batch)


def weighted(losses: Tensor, batch: Batch) -> Tensor:
    """``(N,)`` losses, multiplied by the sample weights if the batch has weights."""
    return losses if batch.weight is None else losses * batch.weight


def bias_loss(logits: Tensor, bias: Tensor) -> Tensor:
    """Mean cross-entropy to the bias labels over all processes; samples without one are left out.

    Args:
        logits: ``(N, biases)`` float, of an adversary or a bias network.
        bias: ``(N,)`` int64 in [0, biases), or -1 where unknown.

    Returns:
        Scalar; 0 if no sample has a bias label.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(logits, bias.clamp(min=0), reduction="none")
    return mean_where_known(losses, bias)


def check_biases(groups: Groups, of: str) -> None:
    """Refuse a bias attribute with a single value, which no adversary can get wrong.

    Args:
        groups: the groups of the data.
        of: name of the strategy, for the message.

    Raises:
        ValueError: there are less than two bias values.
    """
    hint = "name another bias attribute, or use erm"
    check_at_least(2, {"the number of bias values": groups.biases}, of=of, hint=hint)


def occurring_biases(groups: Groups, frequencies: Tensor | None) -> slice | list[int]:
    """The bias values that have training samples, as an index of the last axis of ``(N, B)``.

    Args:
        groups: the groups of the data.
        frequencies: ``(G,)`` number of training samples in each group. ``None`` means that every
            bias value has samples.
    """
    if frequencies is None:
        return slice(None)
    occurs = frequencies.view(groups.rows, groups.biases).any(dim=0)
    # a combination of several bias attributes may not exist
    return slice(None) if bool(occurs.all()) else occurs.nonzero().flatten().tolist()


def mean_where_known(losses: Tensor, bias: Tensor) -> Tensor:
    """Mean of ``(N,)`` losses over samples with a bias label, in all processes; 0 without any."""
    return group_means(losses, bias.clamp(max=0), 1).means[0]
