"""Progressive data expansion (PDE): an order that begins balanced and adds samples over time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from debias.data.orders import OneEach, Order, Permuted, seeded_generator
from debias.data.subsamples import cut_to_smallest
from debias.errors import check_at_least
from debias.types import Groups


@dataclass(frozen=True, eq=False)
class Expanding:
    """Visit a growing set of samples: the first of ``(N,)`` int64 ``positions``.

    Attributes:
        positions: the samples, those that are visited from the first epoch on before the others.
        start: number of samples before the first expansion.
        warmup: number of epochs before the first expansion.
        interval: number of epochs between two expansions.
        added: number of samples per expansion.
        visits: number of visits per epoch.
    """

    positions: Tensor
    start: int
    warmup: int
    interval: int
    added: int
    visits: int

    def __len__(self) -> int:
        return self.visits

    def at(self, epoch: int) -> Order:
        """The order of an epoch, counted from 0."""
        expansions = 1 + (epoch - self.warmup) // self.interval if epoch >= self.warmup else 0
        return Permuted(self.positions[: self.start + expansions * self.added], visits=self.visits)

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions of the first epoch."""
        return self.at(0).draw(generator)


def progressive(
    group: OneEach,
    groups: Groups,
    seed: int,
    occurring: Tensor | None = None,
    *,
    warmup: int = 140,
    interval: int = 10,
    added: int = 10,
    visits: int | None = None,
) -> Order:
    r"""Begin with a group-balanced subsample, and add random samples after a warm-up.

    With the subsample :math:`S_0` of :func:`debias.data.subsamples.group_subsample`, epoch t,
    counted from 0, visits samples of

    .. math:: S_t = S_0 \text{ for } t < W, \qquad
              |S_t| = |S_0| + a \left( 1 + \left\lfloor \tfrac{t - W}{I} \right\rfloor \right)
              \text{ for } t \ge W

    Each expansion adds :math:`a` samples that are equally likely among the rest, until none
    remains. The model learns the classes from balanced groups first. The learning rate usually
    falls at the first expansion (``scheduler.name=multi_step scheduler.at=[W]``).

    Source: Deng et al., "Robust Learning with Progressive Data Expansion Against Spurious
    Correlation", NeurIPS 2023 (PDE); reference code uclaml/PDE, whose command for Waterbirds has
    these defaults.

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        seed: the run's seed, at least 0. All sets depend only on the seed and the groups.
        occurring: as for :func:`debias.data.balance.group_balanced`.
        warmup: W, number of epochs on the balanced subsample, at least 0.
        interval: I, number of epochs between two expansions, at least 1.
        added: a, number of samples per expansion, at least 0. With 0, the set never grows.
        visits: number of visits per epoch, at least 1; ``None`` means :math:`|S_0|`. All samples of
            the set are visited before one is visited again.

    Raises:
        ValueError: the group of a sample is unknown, a group that occurs has no sample, targets are
            multi-label, or a number is below its bound.

    Differs from the reference: every epoch has the same number of visits. There an epoch visits
    each sample of its set once, and so becomes longer. Samples are added without replacement; there
    one may be added twice. The second balanced subsample of the reference's command for CelebA
    (``same_across_class``) is left out.
    """
    check_at_least(0, {"sampler.warmup": warmup, "sampler.added": added})
    check_at_least(
        1, {"sampler.interval": interval, "sampler.visits": 1 if visits is None else visits}
    )
    balanced = cut_to_smallest(group, groups.names, "group", seed, occurring)
    shuffled = torch.randperm(len(group), generator=seeded_generator(seed, 1))
    later = shuffled[~torch.isin(shuffled, balanced)]
    positions = torch.cat([balanced, later])
    count = len(balanced) if visits is None else visits
    return Expanding(positions, len(balanced), warmup, interval, added, count)
