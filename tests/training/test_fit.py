"""The seeds of an epoch, and the Trainer of several machines."""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from torch import distributed

from debias.training.fit import EpochSeed, trainer


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


def test_the_trainer_gets_machines_and_joined_batch_normalisation(monkeypatch):
    """Two machines of one device each are distributed too."""
    monkeypatch.setattr("debias.training.fit.pl.Trainer", lambda **given: given)
    given = trainer(Path(), epochs=1, seed=0, nodes=2, sync_batchnorm=True)
    expected = {"num_nodes": 2, "devices": 1, "strategy": "ddp", "sync_batchnorm": True}
    assert {key: given[key] for key in expected} == expected
    assert trainer(Path(), epochs=1, seed=0)["strategy"] == "auto"


def test_torch_joins_batch_normalisation_on_gpus_only(tmp_path):
    """This is why debias refuses it for CPUs."""
    distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="GPU"):
            torch.nn.SyncBatchNorm(2)(torch.randn(4, 2, 3, 3))
    finally:
        distributed.destroy_process_group()
