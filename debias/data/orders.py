"""Orders: the training rows that an epoch visits, drawn from the seed and the epoch only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from debias.errors import InputError, check_at_least

#: One class or group per sample: the type of the fact of a sampler that takes no several labels.
OneEach = Annotated[Tensor, "one per sample"]


@runtime_checkable
class Order(Protocol):
    """Draws the positions of the training rows that an epoch visits."""

    def __len__(self) -> int:
        """Number of visits per epoch."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions that one epoch visits, in this order."""


@runtime_checkable
class Scheduled(Protocol):
    """An order that differs between epochs. Every epoch has the same number of visits."""

    def at(self, epoch: int) -> Order:
        """The order of an epoch, counted from 0."""


@runtime_checkable
class Stateful(Protocol):
    """An order with a state that changes in training, and that checkpoints hold."""

    state: Tensor


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
    """Draw samples with replacement, with probabilities proportional to ``(N,)`` ``weights``.

    An epoch draws ``visits`` samples, or N.
    """

    weights: Tensor
    visits: int | None = None

    def __len__(self) -> int:
        return len(self.weights) if self.visits is None else self.visits

    def draw(self, generator: torch.Generator) -> Tensor:
        """``(len(self),)`` int64 positions, drawn independently of each other."""
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


def portion(row: Tensor, seed: int, *, share: float) -> Order:
    """Visit only a share of the training samples, which is drawn once per run.

    Args:
        row: ``(N,)`` or ``(N, L)`` int64 target row of each training sample; only N matters.
        seed: the run's seed, at least 0. The draw depends only on the seed, N and the share.
        share: share of the training samples, in (0, 1].

    Raises:
        ValueError: ``share`` is not in (0, 1], or the share rounds to no sample.
    """
    if not 0 < share <= 1:
        raise InputError(f"sampler.share must lie in (0, 1]; got sampler.share={share}")
    if not (count := round(share * len(row))):
        raise InputError(
            f"sampler.share={share} selects none of {len(row)} training images: raise it, or "
            "recipe.share if the recipe set it"
        )
    return Permuted(
        torch.randperm(len(row), generator=seeded_generator(seed))[:count].sort().values
    )


def kept(chosen: Tensor, *, repeats: int = 1) -> Order:
    """Visit only the training samples with inferred value 1.

    Source: Le Bras et al., "Adversarial Filters of Dataset Biases" (AFLite), ICML 2020, where the
    chosen samples are those that a filter keeps (the value 1 in ``groups.file``).

    Args:
        chosen: ``(N,)`` bool: whether the inferred value of the training sample is 1.
        repeats: visits of each chosen sample per epoch, at least 1.

    Raises:
        ValueError: ``repeats`` is below 1, or no sample is chosen.
    """
    if not bool(chosen.any()):
        raise InputError(
            "no training sample has inferred value 1, so an epoch would be empty: mark the samples "
            "to keep by 1 in groups.file"
        )
    return Permuted(chosen.nonzero().flatten(), repeats)


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


def weighted(importance: Tensor, *, visits: int | None = None) -> Order:
    r"""Draw training samples with replacement, each in proportion to its importance.

    .. math:: P(i) = v_i / \textstyle\sum_j v_j

    The importance v is the column ``importance`` of ``groups.file``, or what a recipe inferred.

    Source: Ahn et al., "Mitigating Dataset Bias by Using Per-sample Gradient" (PGD), ICLR 2023,
    where the importance is the norm of a gradient; reference code sumyeongahn/PGD.

    Args:
        importance: ``(N,)`` float64 importance of each training sample, at least 0.
        visits: number of draws per epoch, at least 1; default: N.

    Raises:
        ValueError: the importance of a sample is unknown, negative or infinite, all are 0, or
            ``visits`` is below 1.
    """
    if visits is not None:
        check_at_least(1, {"sampler.visits": visits})
    refused = ~(importance.isfinite() & (importance >= 0))
    if bool(refused.any()) or not bool((importance > 0).any()):
        raise InputError(
            f"sampler.name=weighted needs an importance of at least 0 for every training sample, "
            f"and one above 0; got {int(refused.sum())} others of {len(importance)}. Give them in "
            "the column importance of groups.file"
        )
    return Weighted(importance, visits)


def seeded_generator(*numbers: int) -> torch.Generator:
    """A torch generator whose seed depends only on these non-negative numbers."""
    # SeedSequence pads with zeros: without the length, (5,) and (5, 0) would give the same seed.
    seed = np.random.SeedSequence((len(numbers), *numbers)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed[0]))


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
        order: the positions that an epoch visits. It may be :class:`Scheduled`.
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
                f"an epoch visits {self.visits} images, fewer than the {world} processes: set "
                f"devices (times nodes) to at most {self.visits}"
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
        order = self.order.at(self.epoch) if isinstance(self.order, Scheduled) else self.order
        positions = order.draw(generator)
        keys = torch.randint(2**31, (len(positions),), generator=generator)
        share = slice(self.rank, self.visits, self.world)
        return Visits(positions[share].numpy(), keys[share].numpy()).batches(self.batch_size)
