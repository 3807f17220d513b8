"""Soft groups of DebiAN: two per class, found where a classifier does better or worse."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.losses.group_means import group_means

#: Added to divisors and inside logarithms, where 0 is possible.
EPSILON = 1e-6


class SoftGroups(NamedTuple):
    """Means of the two soft groups of each class in the joined batch, ``(C,)`` each; 0 if absent.

    Attributes:
        inside: mean probability of the true class in the first soft group, weighted by membership.
        outside: the same mean in the second soft group.
        share: mean membership of the first soft group.
        counts: number of samples of the class.
    """

    inside: Tensor
    outside: Tensor
    share: Tensor
    counts: Tensor


def soft_groups(
    probability: Tensor, membership: Tensor, target: Tensor, classes: int
) -> SoftGroups:
    r"""Mean probability of the true class in the two soft groups of each class.

    .. math:: p^+_t = \frac{\sum_{i: y_i = t} u_i\, p_i}{\sum_{i: y_i = t} u_i}, \qquad
              p^-_t = \frac{\sum_{i: y_i = t} (1 - u_i)\, p_i}{\sum_{i: y_i = t} (1 - u_i)}

    with 1e-6 added to each divisor. Computed in float32 at least, over the joined batch of all
    processes in value and gradient.

    Args:
        probability: ``(N,)`` float p in [0, 1], of the true class of each sample.
        membership: ``(N,)`` float u in [0, 1], of the first soft group of the sample's class.
        target: ``(N,)`` int64 in [0, classes).
        classes: number of classes, including absent ones.
    """
    u = membership.to(torch.promote_types(membership.dtype, torch.float32))
    share, counts = group_means(u, target, classes)
    least = EPSILON / counts.clamp(min=1)
    inside = group_means(u * probability, target, classes).means / (share + least)
    outside = group_means((1 - u) * probability, target, classes).means / (1 - share + least)
    return SoftGroups(inside, outside, share, counts)


def discovery_loss(groups: SoftGroups, *, balance: float = 1.0) -> Tensor:
    r"""Loss of the group-finding network: low for soft groups of equal size and unlike accuracy.

    .. math:: \frac1{|T|} \sum_{t \in T} \left[ -\log |p^+_t - p^-_t|
              - \lambda \log(1 - |\bar u_t - (1 - \bar u_t)|) \right]

    where T are the classes in the batch, and :math:`\bar u_t` is ``share``.

    Source: Li, Hoogs, Xu, "Discover and Mitigate Unknown Biases with Debiasing Alternate Networks",
    ECCV 2022; reference code zhihengli-UR/DebiAN.

    Args:
        groups: soft groups of a batch, with gradient to the memberships.
        balance: :math:`\lambda \ge 0`, the weight of the second term.

    Returns:
        Scalar.

    Differs from the reference: its code for CelebA and BAR sums over the classes, and needs all
    classes in every batch. Its code for scenes and coloured digits takes the mean over the present
    classes, as here.
    """
    gap = -torch.log(EPSILON + (groups.inside - groups.outside).abs())
    sizes = -torch.log(EPSILON + 1 - (2 * groups.share - 1).abs())
    present = groups.counts > 0
    return torch.where(present, gap + balance * sizes, 0).sum() / present.sum()


def discovered_weights(groups: SoftGroups, membership: Tensor, target: Tensor) -> Tensor:
    r"""Weight of each sample: 1 + its membership of the soft group with the lower probability.

    .. math:: w_i = 1 + u_i \text{ where } p^+_{y_i} \le p^-_{y_i}, \qquad
              w_i = 2 - u_i \text{ elsewhere}

    Source: Li, Hoogs, Xu, ECCV 2022; reference code zhihengli-UR/DebiAN.

    Args:
        groups: soft groups of the batch.
        membership: ``(N,)`` float u in [0, 1], of the first soft group.
        target: ``(N,)`` int64 class.

    Returns:
        ``(N,)`` float in [1, 2], without gradient.
    """
    worse = (groups.inside <= groups.outside)[target]
    return (1 + torch.where(worse, membership, 1 - membership)).detach()
