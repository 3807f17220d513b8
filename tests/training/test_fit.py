"""The seeds of an epoch."""

import random
from types import SimpleNamespace

import numpy
import torch

from debias.training.fit import EpochSeed


def drawn(seed: int, epoch: int, rank: int) -> tuple[float, float, float]:
    """What Python, numpy and torch draw first in an epoch of a process."""
    random.seed(99), numpy.random.seed(99), torch.manual_seed(99)
    EpochSeed(seed).on_train_epoch_start(
        SimpleNamespace(current_epoch=epoch, global_rank=rank), None
    )
    return random.random(), float(numpy.random.rand()), torch.rand(()).item()


def test_every_seed_epoch_and_rank_draws_otherwise():
    """All three sources; and the same keys draw the same again."""
    keys = [(seed, epoch, rank) for seed in (0, 1) for epoch in (0, 1) for rank in (0, 1)]
    found = [drawn(*key) for key in keys]
    for source in range(3):
        assert len({draws[source] for draws in found}) == len(keys)
    assert [drawn(*key) for key in keys] == found
