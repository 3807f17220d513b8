"""Two soft groups in each class, by a network: how differently a classifier fares on them."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.losses.group_means import group_means

#: Added inside logarithms and divisors.
EPSILON = 1e-6


class SoftGroups(NamedTuple):
    """Of each class, over the joined batch, ``(C,)`` each; 0 where a class is absent.

    Attributes:
        inside: mean probability of the true class in the first soft group, weighted by membership.
        outside: that in the second.
        share: mean membership of the first.
        counts: samples of the class.
    """

    inside: Tensor
    outside: Tensor
    share: Tensor
    counts: Tensor


def soft_groups(
    probability: Tensor, membership: Tensor, target: Tensor, classes: int
) -> SoftGroups:
    r"""Mean probability of the true class in either soft group of each class.

    .. math:: p^+_t = \frac{\sum_{i: y_i = t} u_i\, p_i}{\sum_{i: y_i = t} u_i}, \qquad
              p^-_t = \frac{\sum_{i: y_i = t} (1 - u_i)\, p_i}{\sum_{i: y_i = t} (1 - u_i)}

    with 1e-6 added to each divisor. Computed in float32 at least, exact across processes in value
    and gradient.

    Args:
        probability: ``(N,)`` float in [0, 1], of the true class of each sample.
        membership: ``(N,)`` float u in [0, 1].
        target: ``(N,)`` int64 in [0, classes).
        classes: how many classes there are, absent ones included.
    """
    u = membership.to(torch.promote_types(membership.dtype, torch.float32))
    share, counts = group_means(u, target, classes)
    least = EPSILON / counts.clamp(min=1)
    inside = group_means(u * probability, target, classes).means / (share + least)
    outside = group_means((1 - u) * probability, target, classes).means / (1 - share + least)
    return SoftGroups(inside, outside, share, counts)


def discovery_loss(groups: SoftGroups, *, balance: float = 1.0) -> Tensor:
    r"""Least where the soft groups of a class have one size and fare differently.

    .. math:: \frac1{|T|} \sum_{t \in T} \left[ -\log |p^+_t - p^-_t|
              - \lambda \log(1 - |\bar u_t - (1 - \bar u_t)|) \right]

    over the classes T that the batch holds.

    Source: Li, Hoogs, Xu, "Discover and Mitigate Unknown Biases with Debiasing Alternate Networks",
    ECCV 2022; reference code zhihengli-UR/DebiAN.

    Args:
        groups: of a batch, with gradient to the memberships.
        balance: :math:`\lambda \ge 0`, the weight of the second term.

    Returns:
        Scalar.

    Differs from the reference: the code for CelebA and BAR adds its classes up, and needs all of
    them in every batch; the mean over the classes present is that of its code for scenes and
    coloured digits.
    """
    gap = -torch.log(EPSILON + (groups.inside - groups.outside).abs())
    sizes = -torch.log(EPSILON + 1 - (2 * groups.share - 1).abs())
    present = groups.counts > 0
    return torch.where(present, gap + balance * sizes, 0).sum() / present.sum()


def discovered_weights(groups: SoftGroups, membership: Tensor, target: Tensor) -> Tensor:
    r"""Weight of each sample: 1 + its membership of the worse soft group of its class.

    .. math:: w_i = 1 + u_i \text{ where } p^+_{y_i} \le p^-_{y_i}, \qquad
              w_i = 2 - u_i \text{ elsewhere}

    Source: Li, Hoogs, Xu, ECCV 2022; reference code zhihengli-UR/DebiAN.

    Args:
        groups: of the batch.
        membership: ``(N,)`` float u in [0, 1].
        target: ``(N,)`` int64 class.

    Returns:
        ``(N,)`` float in [1, 2], without gradient.
    """
    worse = (groups.inside <= groups.outside)[target]
    return (1 + torch.where(worse, membership, 1 - membership)).detach()
