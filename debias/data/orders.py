"""Orders: the training rows that an epoch visits, drawn from the seed and the epoch only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from debias.data.checks import fewer
from debias.errors import InputError, shown
from debias.types import Groups


@runtime_checkable
class Order(Protocol):
    """Draws the positions of the training rows that an epoch visits."""

    def __len__(self) -> int:
        """Number of visits per epoch."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions that one epoch visits, in this order."""


@dataclass(frozen=True, eq=False)
class Permuted:
    """Visit ``(M,)`` int64 ``positions`` in passes, each in another random order.

    An epoch has ``repeats`` passes, or as many passes as ``visits`` need, the last of which may
    end early. A pass visits the largest multiple of ``multiple`` positions that it can.
    """

    positions: Tensor
    repeats: int = 1
    visits: int | None = None
    multiple: int = 1

    def __post_init__(self) -> None:
        least = {"repeats": self.repeats, "visits": self.visits, "multiple": self.multiple}
        for name, value in least.items():
            if value is not None and value < 1:
                raise InputError(f"sampler.{name} must be at least 1; got sampler.{name}={value}")
        if self.visits is not None and self.repeats != 1:
            raise InputError(
                f"sampler.repeats and sampler.visits exclude each other; got {self.repeats} and "
                f"{self.visits}: leave one of them out"
            )
        if not self._pass:
            raise InputError(
                f"sampler.multiple must be at most {len(self.positions)}, the training samples; "
                f"got sampler.multiple={self.multiple}"
            )

    @property
    def _pass(self) -> int:
        return len(self.positions) // self.multiple * self.multiple

    def __len__(self) -> int:
        return self.repeats * self._pass if self.visits is None else self.visits

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions. Each pass is shuffled separately."""
        passes = [
            torch.randperm(len(self.positions), generator=generator)[: self._pass]
            for _ in range(-(-len(self) // self._pass))
        ]
        return self.positions[torch.cat(passes)[: len(self)]]


@dataclass(frozen=True, eq=False)
class Weighted:
    """Draw N samples with replacement, with probabilities proportional to ``(N,)`` ``weights``."""

    weights: Tensor

    def __len__(self) -> int:
        return len(self.weights)

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(N,)`` int64 positions, drawn independently of each other."""
        return torch.multinomial(self.weights, len(self), replacement=True, generator=generator)


def shuffled(
    row: Tensor, *, repeats: int = 1, visits: int | None = None, multiple: int = 1
) -> Order:
    """Visit every training sample once per epoch, in random order.

    Args:
        row: ``(N,)`` or ``(N, L)`` int64 target row of each training sample; only N matters.
        repeats: visits of each sample per epoch, at least 1. Each repeat is shuffled separately.
            With ``batch_size`` N, an epoch has this number of steps on all samples at once.
        visits: number of visits per epoch, at least 1, in place of ``repeats``. All samples are
            visited before one is visited again. With 500 times ``batch_size``, an epoch has 500
            steps.
        multiple: leave out random samples of each visit of all, so that a multiple of this number
            remains. With ``batch_size``, no batch is incomplete, as with PyTorch's ``drop_last``.

    Raises:
        ValueError: ``repeats``, ``visits`` or ``multiple`` is below 1; ``multiple`` is above N; or
            both ``repeats`` and ``visits`` are given.
    """
    return Permuted(torch.arange(len(row)), repeats, visits, multiple)


def group_balanced(group: Tensor, groups: Groups, occurring: Tensor | None = None) -> Order:
    r"""Draw N samples with replacement; every group is equally likely.

    :math:`P(i) \propto 1 / n_{g_i}`.

    Source: Idrissi et al., "Simple data balancing achieves competitive worst-group-accuracy", CLeaR
    2022 (RWG; reference code facebookresearch/BalancingGroups).

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        occurring: ``(G,)`` bool: whether a split has a sample of each group. The other groups are
            left out. ``None`` if all occur.

    Raises:
        ValueError: the group of a sample is unknown, a group that occurs has no sample, or targets
            are multi-label.

    Differs from the reference: a group without training samples that another split has is an error;
    the reference silently leaves it out.
    """
    return Weighted(_inverse_counts(group, groups.names, "group", occurring))


def class_balanced(row: Tensor, groups: Groups) -> Order:
    r"""Draw N samples with replacement; every class is equally likely.

    :math:`P(i) \propto 1 / n_{y_i}`.

    Source: Idrissi et al. 2022 (RWY), as in :func:`group_balanced`.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: the names of the classes.

    Raises:
        ValueError: a class has no sample, or targets are multi-label.

    Differs from the reference: an empty class is an error.
    """
    return Weighted(_inverse_counts(row, groups.target_names, "class"))


def bias_balanced(bias: Tensor, groups: Groups, occurring: Tensor | None = None) -> Order:
    r"""Draw N samples with replacement; every value of the bias attribute is equally likely.

    :math:`P(i) \propto 1 / n_{b_i}`.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019, who train their adversaries
    on such batches; reference code uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        bias: ``(N,)`` int64 value of the bias attribute of each training sample.
        groups: the names of the bias values.
        occurring: as for :func:`group_balanced`.

    Raises:
        ValueError: the bias value of a sample is unknown, or a value that occurs has no sample.

    Differs from the reference: the reference skips a batch whose draw is not balanced. Here no
    batch is skipped, and batches are balanced in expectation.
    """
    if occurring is not None:
        occurring = occurring.view(groups.rows, groups.biases).any(dim=0)
    return Weighted(_inverse_counts(bias, groups.bias_names, "bias", occurring))


def portion(row: Tensor, seed: int, *, share: float) -> Order:
    """Visit only a share of the training samples, which is drawn once per run.

    Args:
        row: ``(N,)`` or ``(N, L)`` int64 target row of each training sample; only N matters.
        seed: the run's seed, at least 0. The draw depends only on the seed, N and the share.
        share: share of the training samples, in (0, 1].

    Raises:
        ValueError: ``share`` is not in (0, 1], or the share rounds to no sample.
    """
    count = round(share * len(row))
    if not 0 < share <= 1 or not count:
        raise InputError(
            f"sampler.share must lie in (0, 1] and select at least one of {len(row)} samples; got "
            f"sampler.share={share}"
        )
    return Permuted(
        torch.randperm(len(row), generator=seeded_generator(seed))[:count].sort().values
    )


def upweighted(chosen: Tensor, *, copies: int) -> Order:
    """Visit every training sample once, and those with inferred value 1 ``copies`` times more.

    Source: Liu et al., "Just Train Twice", ICML 2021, where the chosen samples are the errors of an
    earlier model (the value 1 in ``groups.file``).

    Args:
        chosen: ``(N,)`` bool: whether the inferred value of the training sample is 1.
        copies: number of additional visits per chosen sample, at least 1.

    Raises:
        ValueError: ``copies`` is below 1, or no sample is chosen.
    """
    if copies < 1:
        raise InputError(f"sampler.copies must be at least 1; got sampler.copies={copies}")
    if not bool(chosen.any()):
        raise InputError(
            "no training sample has inferred value 1, so none can be repeated: train the earlier "
            "model for fewer epochs, so that it makes errors, or mark samples by 1 in groups.file"
        )
    again = chosen.nonzero().flatten().repeat(copies)
    return Permuted(torch.cat([torch.arange(len(chosen)), again]))


def cluster_balanced(row: Tensor, partition: Tensor, *, powers: list[int]) -> Order:
    r"""Draw N samples: classes are equally likely, and small inferred groups are upweighted.

    .. math:: P(i) = \frac1C\, \frac{n_{y_i, j_i}^{-\lambda_{y_i}}}
              {\sum_{k: y_k = y_i} n_{y_k, j_k}^{-\lambda_{y_i}}}

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias" (SPARE), AISTATS 2024; reference code BigML-CS-UCLA/SpuCo.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        partition: ``(N,)`` int64 inferred group of each training sample within its class
            (``groups.file``).
        powers: :math:`\lambda` of each of the C classes. 1 makes all groups of the class equally
            likely.

    Raises:
        ValueError: ``powers`` does not have one entry per class, an inferred group is unknown, or
            targets are multi-label.
    """
    if row.ndim != 1 or bool((partition < 0).any()):
        raise InputError(
            "sampler.name=cluster_balanced needs one class and one inferred group per training "
            "sample: use a single target, and infer groups for all training samples"
        )
    if int(row.max()) + 1 != len(powers):
        raise InputError(
            f"sampler.powers must have one power per class; got {len(powers)} powers for "
            f"{int(row.max()) + 1} classes"
        )
    _, group, counts = torch.unique(
        torch.stack([row, partition]), dim=1, return_inverse=True, return_counts=True
    )
    weights = counts[group].double() ** -torch.tensor(powers, dtype=torch.float64)[row]
    return Weighted(weights / weights.new_zeros(len(powers)).index_add(0, row, weights)[row])


def group_subsample(
    group: Tensor, groups: Groups, seed: int, occurring: Tensor | None = None, *, repeats: int = 1
) -> Order:
    """Subsample every group to the size of the smallest group, once per run.

    Source: Idrissi et al. 2022 (SUBG), as in :func:`group_balanced`.

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        seed: the run's seed, at least 0. The subsample depends only on the seed and the groups.
        occurring: as for :func:`group_balanced`.
        repeats: how often an epoch visits each remaining sample, at least 1. Raise it if few
            samples remain: epochs are then short, and each ends with a validation.

    Raises:
        ValueError: the group of a sample is unknown, a group that occurs has no sample, targets are
            multi-label, or ``repeats`` is below 1.

    Differs from the reference: a group without training samples that another split has is an error.
    """
    return Permuted(_cut_to_smallest(group, groups.names, "group", seed, occurring), repeats)


def class_subsample(row: Tensor, groups: Groups, seed: int, *, repeats: int = 1) -> Order:
    """Subsample every class to the size of the smallest class, once per run.

    Source: Idrissi et al. 2022 (SUBY), as in :func:`group_balanced`.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: the names of the classes.
        seed: the run's seed, at least 0. The subsample depends only on the seed and the classes.
        repeats: how often an epoch visits each remaining sample, at least 1. Raise it if few
            samples remain: epochs are then short, and each ends with a validation.

    Raises:
        ValueError: a class has no sample, targets are multi-label, or ``repeats`` is below 1.

    Differs from the reference: an empty class is an error.
    """
    return Permuted(_cut_to_smallest(row, groups.target_names, "class", seed), repeats)


def seeded_generator(*numbers: int) -> torch.Generator:
    """A torch generator whose seed depends only on these non-negative numbers."""
    # SeedSequence pads with zeros: without the length, (5,) and (5, 0) would give the same seed.
    seed = np.random.SeedSequence((len(numbers), *numbers)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed[0]))


def _counts(
    label: Tensor, names: Sequence[str], kind: str, occurring: Tensor | None = None
) -> Tensor:
    if label.ndim != 1:
        raise InputError(
            f"{kind} balancing needs one {kind} per image, and these images have several labels: "
            "set sampler.name=shuffled"
        )
    if bool((label < 0).any()):
        raise InputError(
            f"{kind} balancing needs the {kind} of every training sample; {int((label < 0).sum())} "
            f"of {len(label)} are unknown: label them, or set sampler.name=class_balanced"
        )
    counts = torch.bincount(label, minlength=len(names))
    if empty := fewer(names, counts if occurring is None else counts + ~occurring):
        raise InputError(
            f"{kind} {shown(empty)} has no training sample to balance: add samples, or set "
            "sampler.name=shuffled"
        )
    return counts


def _inverse_counts(
    label: Tensor, names: Sequence[str], kind: str, occurring: Tensor | None = None
) -> Tensor:
    return 1 / _counts(label, names, kind, occurring).double()[label]


def _cut_to_smallest(
    label: Tensor, names: Sequence[str], kind: str, seed: int, occurring: Tensor | None = None
) -> Tensor:
    counts = _counts(label, names, kind, occurring)
    permutation = torch.randperm(len(label), generator=seeded_generator(seed))
    by_label = permutation[torch.argsort(label[permutation], stable=True)]
    starts, present = counts.cumsum(0) - counts, counts > 0
    selected = starts[present][:, None] + torch.arange(int(counts[present].min()))
    return by_label[selected.flatten()].sort().values


class Visits(NamedTuple):
    """Visits to samples: where they are, and a key for each that seeds its augmentation.

    They are arrays, because loader processes exchange tensors through shared memory, which is slow.

    Attributes:
        positions: ``(N,)`` int64 positions of the samples.
        keys: ``(N,)`` int64 in [0, 2**31).
    """

    positions: NDArray[np.int64]
    keys: NDArray[np.int64]

    @classmethod
    def of(cls, positions: Sequence[int]) -> "Visits":
        """Visits to these positions, all with key 0."""
        return cls(np.array(positions, np.int64), np.zeros(len(positions), np.int64))

    def batches(self, size: int) -> "Iterator[Visits]":
        """The visits in their order, ``size`` at a time. The last batch may be shorter."""
        for start in range(0, len(self.positions), size):
            batch = slice(start, start + size)
            yield Visits(self.positions[batch], self.keys[batch])


class EpochSampler(Sampler[Visits]):
    """The batches of visits of one process in an epoch. They are the same after a resume.

    Every process draws the order of the whole epoch from (seed, epoch) and takes every ``world``-th
    entry. No entry is visited twice. If the number of entries is not divisible by ``world``, the
    last processes have one entry less.

    Args:
        order: the positions that an epoch visits.
        batch_size: visits per batch of this process. The last batch may be shorter.
        seed: the run's seed, at least 0.
        rank: number of this process, in [0, world).
        world: number of processes.
        visits: number of entries that all processes visit together. ``None`` visits all entries.

    Raises:
        ValueError: there are fewer entries than processes.
    """

    def __init__(
        self,
        order: Order,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        visits: int | None = None,
    ) -> None:
        self.visits = len(order) if visits is None else visits
        if self.visits < world:
            raise InputError(
                f"an epoch visits {self.visits} images, fewer than devices={world}: set devices to "
                f"at most {self.visits}"
            )
        self.order = order
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration. Lightning calls it before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of batches of this process."""
        return -(-len(range(self.rank, self.visits, self.world)) // self.batch_size)

    def __iter__(self) -> Iterator[Visits]:
        generator = seeded_generator(self.seed, self.epoch)
        positions = self.order.draw(generator)
        keys = torch.randint(2**31, (len(positions),), generator=generator)
        share = slice(self.rank, self.visits, self.world)
        return Visits(positions[share].numpy(), keys[share].numpy()).batches(self.batch_size)
