"""A small finished run that the tests of several commands read."""

from pathlib import Path

import pytest

from debias import config as configs
from debias.commands.train import train

SMALL = [
    "data.train=80",
    "data.val=40",
    "data.test=40",
    "preprocessing.size=32",
    "model.name=test_resnet",
    "batch_size=16",
    "epochs=3",
    "precision=32-true",
    "progress=false",
]


#: Overrides for Group DRO on group-balanced batches.
GROUP_DRO = ("strategy.name=group_dro", "sampler.name=group_balanced")


def overrides(folder: Path, *more: str) -> list[str]:
    """A run of seconds on drawn birds, whole in one folder."""
    return [*SMALL, f"data.root={folder}/birds", f"out={folder}/runs", *more]


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Folder of a run of Group DRO; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    return train(
        configs.load("drawn_birds", overrides(folder, *GROUP_DRO, "strategy.step_size=0.1"))
    )
