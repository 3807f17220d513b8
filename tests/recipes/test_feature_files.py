"""The file of a frozen backbone's features is found again by the same backbone, and by no other."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from debias import config as configs
from debias.build import build
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.runs.run import Stage
from tests.commands.conftest import overrides


def first_weight(parts: Parts) -> Tensor:
    return next(iter(parts.module.model.backbone.parameters())).data


#: What features depend on, each changed in place by little enough that no name, shape or type
#: changes.
CHANGES: dict[str, Callable[[Parts], object]] = {
    "a weight": lambda parts: first_weight(parts)[0].add_(1.0),
    "a running mean": lambda parts: next(iter(parts.module.model.backbone.buffers())).add_(0.5),
    "the mean of the pictures": lambda parts: parts.data.mean[0].add_(0.25),
    "their standard deviation": lambda parts: parts.data.std[2].mul_(2),
}

#: The module of an own network whose function has no weights.
NETWORK = """
from torch import nn


class Network(nn.Sequential):
    def __init__(self, outputs: int) -> None:
        pixels = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 4), nn.FUNCTION)
        super().__init__(pixels, nn.Linear(4, outputs))
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> configs.Config:
    small = ("data.val=8", "data.test=8", "workers=0")
    return configs.load("drawn_birds", overrides(tmp_path_factory.mktemp("frozen"), *small))


def features(config: configs.Config, parts: Parts) -> Tensor:
    return Frozen(Stage(parts, Path(config.out)), config).features("val")


def files(config: configs.Config) -> set[str]:
    return {path.name for path in (Path(config.out) / "cache" / "features").iterdir()}


def parts_of(config: configs.Config) -> Parts:
    torch.manual_seed(0)
    return build(config)


@pytest.mark.parametrize("changed", CHANGES)
def test_another_backbone_does_not_get_its_features(config, changed):
    before = features(config, parts_of(config))
    known = files(config)
    other = parts_of(config)
    CHANGES[changed](other)
    assert not torch.equal(features(config, other), before)
    assert len(files(config) - known) == 1


def test_another_pooling_of_the_same_weights_does_not_get_its_features(config):
    larger = replace(config, preprocessing={**config.preprocessing, "size": 96})
    before, known = features(larger, parts_of(larger)), files(config)
    other = replace(larger, model={**config.model, "pooling": "max"})
    assert not torch.equal(features(other, parts_of(other)), before)
    assert len(files(config) - known) == 1


def test_another_forward_of_an_own_network_does_not_get_its_features(config, tmp_path, monkeypatch):
    """The same weights; its file has another function between its layers."""
    monkeypatch.syspath_prepend(tmp_path)
    own = replace(config, model={"name": "own_network:Network", "head": "1"})

    def written(function: str) -> Tensor:
        text = NETWORK.replace("FUNCTION", function)
        (tmp_path / "own_network.py").write_text(text)
        monkeypatch.delitem(sys.modules, "own_network", raising=False)
        importlib.invalidate_caches()
        return features(own, parts_of(own))

    before, known = written("Softmax(1)"), files(config)
    assert not torch.equal(written("LogSoftmax(1)"), before)
    assert len(files(config) - known) == 1
    assert torch.equal(written("Softmax(1)"), before)
    assert len(files(config) - known) == 1


def test_the_same_backbone_reads_its_file(config):
    """Under another head, which features do not depend on: what the file says is what comes."""
    before, known = features(config, parts_of(config)), files(config)
    other = parts_of(config)
    other.module.model.head.weight.data.zero_()
    assert torch.equal(features(config, other), before)
    assert files(config) == known
