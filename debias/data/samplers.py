"""Who visits which row when: drawn from (seed, epoch) alone, in every process."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

from debias.data.orders import Order, seeded_generator
from debias.errors import InputError


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
