"""Mean loss of each group over the joined batch of all processes."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias import processes


class GroupMeans(NamedTuple):
    """``(G,)`` mean loss and size of each group in the joined batch; 0 and 0 where absent."""

    means: Tensor
    counts: Tensor


def group_means(losses: Tensor, group: Tensor, groups: int) -> GroupMeans:
    r"""Mean loss of each group, exact across processes in value and gradient.

    .. math:: m_g = \frac{1}{n_g} \sum_{i: g_i = g} \ell_i, \qquad m_g = 0 \text{ where } n_g = 0

    In a process group the sums and counts are those of all processes. The local gradient is scaled
    by the number of processes, so that the average which DistributedDataParallel takes is the
    gradient of the joined batch.

    Args:
        losses: ``(N,)`` float loss per sample.
        group: ``(N,)`` int64 in [0, groups); -1 leaves the sample out.
        groups: how many groups there are, absent ones included.

    Returns:
        Means (the dtype of ``losses``, at least float32) and counts (the same dtype).
    """
    losses = losses.to(torch.promote_types(losses.dtype, torch.float32))
    # -1 goes to one slot more, which is cut off: not even a NaN there reaches a value or a gradient
    slot = group.remainder(groups + 1)
    sums = losses.new_zeros(groups + 1).index_add(0, slot, losses)[:groups]
    counts = losses.new_zeros(groups + 1).index_add(0, slot, torch.ones_like(losses))[:groups]
    if processes.world() == 1:
        return GroupMeans(sums / counts.clamp(min=1), counts)
    joined = processes.summed(torch.stack([sums, counts]))
    divisor = joined[1].clamp(min=1)
    local = sums * processes.world() / divisor
    return GroupMeans(local + (joined[0] / divisor - local).detach(), joined[1])
