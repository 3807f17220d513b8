"""Which training rows an epoch visits, and in which process: drawn from (seed, epoch) alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from debias.data.checks import fewer
from debias.errors import InputError
from debias.types import Groups


class Order(Protocol):
    """Which positions of the training rows an epoch visits."""

    def __len__(self) -> int:
        """How many positions an epoch has."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions of one epoch."""


@dataclass(frozen=True, eq=False)
class Permuted:
    """Every one of ``(M,)`` int64 ``positions`` in random order, ``repeats`` times an epoch."""

    positions: Tensor
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise InputError(f"sampler.repeats must be at least 1; got {self.repeats}")

    def __len__(self) -> int:
        return self.repeats * len(self.positions)

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(repeats * M,)`` int64: the positions, shuffled again for each repeat."""
        passes = [
            torch.randperm(len(self.positions), generator=generator) for _ in range(self.repeats)
        ]
        return self.positions[torch.cat(passes)]


@dataclass(frozen=True, eq=False)
class Weighted:
    """As many draws as samples, with replacement, in proportion to ``(N,)`` ``weights``."""

    weights: Tensor

    def __len__(self) -> int:
        return len(self.weights)

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(N,)`` int64 independent draws."""
        return torch.multinomial(self.weights, len(self), replacement=True, generator=generator)


def shuffled(row: Tensor) -> Order:
    """Visit every training sample once per epoch, in random order.

    Args:
        row: ``(N,)`` or ``(N, L)`` int64 target row of each training sample; only N matters.
    """
    return Permuted(torch.arange(len(row)))


def group_balanced(group: Tensor, groups: Groups) -> Order:
    r"""Draw N samples with replacement, every group equally likely.

    :math:`P(i) \propto 1 / n_{g_i}`.

    Source: Idrissi et al., "Simple data balancing achieves competitive worst-group-accuracy", CLeaR
    2022 (RWG; reference code facebookresearch/BalancingGroups).

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: their names.

    Raises:
        ValueError: a group is unknown or has no sample, or targets are multi-label.

    Differs from the reference: an empty group is an error; there it is silently left out.
    """
    return Weighted(_inverse_counts(group, groups.names, "group"))


def class_balanced(row: Tensor, groups: Groups) -> Order:
    r"""Draw N samples with replacement, every class equally likely.

    :math:`P(i) \propto 1 / n_{y_i}`.

    Source: Idrissi et al. 2022 (RWY), as in :func:`group_balanced`.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: their names.

    Raises:
        ValueError: a class has no sample, or targets are multi-label.

    Differs from the reference: an empty class is an error.
    """
    return Weighted(_inverse_counts(row, groups.target_names, "class"))


def bias_balanced(bias: Tensor, groups: Groups) -> Order:
    r"""Draw N samples with replacement, every value of the bias equally likely.

    :math:`P(i) \propto 1 / n_{b_i}`.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019, trains its adversaries on
    such batches; reference code uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        bias: ``(N,)`` int64 value of the bias attribute of each training sample.
        groups: their names.

    Raises:
        ValueError: a bias is unknown, or a value has no sample.

    Differs from the reference: there a batch whose draw is not balanced is skipped; here none is,
    and batches are balanced in expectation.
    """
    return Weighted(_inverse_counts(bias, groups.bias_names, "bias"))


def portion(row: Tensor, seed: int, *, share: float) -> Order:
    """Visit a share of the training samples that is drawn once per run.

    Args:
        row: ``(N,)`` or ``(N, L)`` int64 target row of each training sample; only N matters.
        seed: the run's seed, at least 0; the draw depends on nothing else.
        share: in (0, 1].

    Raises:
        ValueError: the share is out of range, or less than one sample.
    """
    count = round(share * len(row))
    if not 0 < share <= 1 or not count:
        raise InputError(
            f"sampler.share must lie in (0, 1], and be a sample at least; got {share} of {len(row)}"
        )
    return Permuted(
        torch.randperm(len(row), generator=seeded_generator(seed))[:count].sort().values
    )


def upweighted(chosen: Tensor, *, copies: int) -> Order:
    """Visit every training sample once, and those with inferred value 1 ``copies`` times more.

    Source: Liu et al., "Just Train Twice", ICML 2021: an earlier model's errors are chosen
    (``groups.file``: those with the value 1).

    Args:
        chosen: ``(N,)`` bool of each training sample.
        copies: at least 1.

    Raises:
        ValueError: ``copies`` is below 1, or no sample is chosen.
    """
    if copies < 1:
        raise InputError(f"sampler.copies must be at least 1; got {copies}")
    if not bool(chosen.any()):
        raise InputError(
            "no training sample has value 1: the earlier model made no error, so train it less, "
            "or your groups.file has other values: mark the samples to repeat by 1"
        )
    again = chosen.nonzero().flatten().repeat(copies)
    return Permuted(torch.cat([torch.arange(len(chosen)), again]))


def cluster_balanced(row: Tensor, partition: Tensor, *, powers: list[int]) -> Order:
    r"""Draw N samples: classes equally likely, and small inferred groups likelier within them.

    .. math:: P(i) = \frac1C\, \frac{n_{y_i, j_i}^{-\lambda_{y_i}}}
              {\sum_{k: y_k = y_i} n_{y_k, j_k}^{-\lambda_{y_i}}}

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias" (SPARE), AISTATS 2024; reference code BigML-CS-UCLA/SpuCo.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        partition: ``(N,)`` int64 inferred group of each training sample within its class
            (``groups.file``).
        powers: :math:`\lambda` of each of the C classes: 1 makes all its groups equally likely.

    Raises:
        ValueError: not a power per class, an inferred group is unknown, or targets are multi-label.
    """
    if row.ndim != 1 or bool((partition < 0).any()):
        raise InputError(
            "cluster_balanced needs one class and one inferred group per sample: infer groups "
            "of all"
        )
    if int(row.max()) + 1 != len(powers):
        raise InputError(
            f"sampler.powers needs a power per class; got {len(powers)} for {int(row.max()) + 1} "
            "classes"
        )
    _, group, counts = torch.unique(
        torch.stack([row, partition]), dim=1, return_inverse=True, return_counts=True
    )
    weights = counts[group].double() ** -torch.tensor(powers, dtype=torch.float64)[row]
    return Weighted(weights / weights.new_zeros(len(powers)).index_add(0, row, weights)[row])


def group_subsample(group: Tensor, groups: Groups, seed: int, *, repeats: int = 1) -> Order:
    """Cut every group to the size of the smallest, once per run.

    Source: Idrissi et al. 2022 (SUBG), as in :func:`group_balanced`.

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: their names.
        seed: the run's seed, at least 0; the cut depends on nothing else.
        repeats: how often an epoch visits what is left, at least 1: few images make short epochs,
            and validation follows each.

    Raises:
        ValueError: a group is unknown or has no sample, or targets are multi-label.

    Differs from the reference: an empty group is an error.
    """
    return Permuted(_cut_to_smallest(group, groups.names, "group", seed), repeats)


def class_subsample(row: Tensor, groups: Groups, seed: int, *, repeats: int = 1) -> Order:
    """Cut every class to the size of the smallest, once per run.

    Source: Idrissi et al. 2022 (SUBY), as in :func:`group_balanced`.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: their names.
        seed: the run's seed, at least 0; the cut depends on nothing else.
        repeats: how often an epoch visits what is left, at least 1: few images make short epochs,
            and validation follows each.

    Raises:
        ValueError: a class has no sample, or targets are multi-label.

    Differs from the reference: an empty class is an error.
    """
    return Permuted(_cut_to_smallest(row, groups.target_names, "class", seed), repeats)


def seeded_generator(*numbers: int) -> torch.Generator:
    """A generator that depends on these non-negative numbers and on nothing else."""
    # SeedSequence pads with zeros: without the length, (5,) and (5, 0) would be one seed.
    seed = np.random.SeedSequence((len(numbers), *numbers)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed[0]))


def _counts(label: Tensor, names: Sequence[str], kind: str) -> Tensor:
    if label.ndim != 1:
        raise InputError(
            f"with several labels an image has no one {kind}: {kind} balancing needs one; use "
            "'shuffled'"
        )
    if bool((label < 0).any()):
        raise InputError(
            f"{kind} balancing needs the {kind} of every training sample; {int((label < 0).sum())} "
            f"of {len(label)} are unknown: label them, or balance classes"
        )
    counts = torch.bincount(label, minlength=len(names))
    if empty := fewer(names, counts):
        raise InputError(
            f"{kind} {', '.join(empty)} has no training sample to balance: add one, or use "
            "'shuffled'"
        )
    return counts


def _inverse_counts(label: Tensor, names: Sequence[str], kind: str) -> Tensor:
    return 1 / _counts(label, names, kind).double()[label]


def _cut_to_smallest(label: Tensor, names: Sequence[str], kind: str, seed: int) -> Tensor:
    counts = _counts(label, names, kind)
    permutation = torch.randperm(len(label), generator=seeded_generator(seed))
    by_label = permutation[torch.argsort(label[permutation], stable=True)]
    starts = counts.cumsum(0) - counts
    kept = starts[:, None] + torch.arange(int(counts.min()))
    return by_label[kept.flatten()].sort().values


class Draw(NamedTuple):
    """A visit to one sample: its position, and the key in [0, 2**31) of its augmentations."""

    position: int
    key: int


class EpochSampler(Sampler[Draw]):
    """One process's share of an order: an epoch has the same draws after every resume.

    Every process draws the whole epoch from (seed, epoch) and keeps every ``world``-th entry. No
    entry is visited twice: where the order does not divide, the last share or shares are one entry
    shorter.

    Args:
        order: which positions an epoch visits.
        seed: the run's seed, at least 0.
        rank: number of this process, in [0, world).
        world: number of processes.
        visits: how many entries of the order are visited by all processes together; ``None`` for
            all.

    Raises:
        ValueError: fewer entries than processes.
    """

    def __init__(
        self, order: Order, *, seed: int, rank: int = 0, world: int = 1, visits: int | None = None
    ) -> None:
        self.visits = len(order) if visits is None else visits
        if self.visits < world:
            raise InputError(
                f"an epoch visits {self.visits} images, and devices={world}: ask for fewer devices"
            )
        self.order = order
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration visits; Lightning calls it each time."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.visits, self.world))

    def __iter__(self) -> Iterator[Draw]:
        generator = seeded_generator(self.seed, self.epoch)
        positions = self.order.draw(generator)
        keys = torch.randint(2**31, (len(positions),), generator=generator)
        share = slice(self.rank, self.visits, self.world)
        return map(Draw, positions[share].tolist(), keys[share].tolist())
