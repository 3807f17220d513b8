"""Which group each sample is in, and the mean loss of each group over all processes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from debias import processes


class GroupMeans(NamedTuple):
    """Mean loss and size of each group in the joined batch, ``(G,)`` each; 0 for absent groups."""

    means: Tensor
    counts: Tensor


def members(group: Tensor, groups: int) -> Tensor:
    """``(N, G)`` bool: which group each sample is in. A sample of -1 is in none.

    Args:
        group: ``(N,)`` integer in [-1, groups).
        groups: number of groups G, including absent ones.

    Raises:
        RuntimeError: a number is outside [-1, groups). On a GPU, it is an assertion of the device.

    Example:
        >>> members(torch.tensor([1, -1]), 2).tolist()
        [[False, True], [False, False]]
    """
    return F.one_hot(group.long() + 1, groups + 1)[:, 1:].bool()


def group_means(losses: Tensor, group: Tensor, groups: int) -> GroupMeans:
    r"""Mean loss of each group over the joined batch of all processes, in value and gradient.

    .. math:: m_g = \frac{1}{n_g} \sum_{i: g_i = g} \ell_i, \qquad m_g = 0 \text{ where } n_g = 0

    In a process group the sums and counts are those of all processes. The local gradient is
    multiplied by the number of processes. The average that DistributedDataParallel takes is then
    the gradient of the joined batch.

    Args:
        losses: ``(N,)`` float loss per sample.
        group: ``(N,)`` int64 in [0, groups); -1 leaves the sample out.
        groups: number of groups G, including absent ones.

    Returns:
        Means (the dtype of ``losses``, at least float32) and counts (the same dtype).

    Raises:
        IndexError: a number in ``group`` is outside [-1, groups). On a GPU, it is an assertion of
            the device.
    """
    losses = losses.to(torch.promote_types(losses.dtype, torch.float32))
    # -1 goes to an extra slot that is dropped, so a NaN in it reaches no value and no gradient
    zeros, slot = losses.new_zeros(groups + 1), group + 1
    sums = zeros.index_add(0, slot, losses)[1:]
    counts = zeros.index_add(0, slot, torch.ones_like(losses))[1:]
    if processes.world() == 1:
        return GroupMeans(sums / counts.clamp(min=1), counts)
    joined = processes.summed(torch.stack([sums, counts]))
    divisor = joined[1].clamp(min=1)
    local = sums * processes.world() / divisor
    return GroupMeans(local + (joined[0] / divisor - local).detach(), joined[1])
