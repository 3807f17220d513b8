"""Every augmentation declares its facts, and refuses several labels where they say so."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from debias import components
from debias.augment.augmentation import Augmentation, Unchanged
from debias.methods import METHODS
from debias.types import Batch, Groups

LABELS = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)
CONVOLUTIONS = {name: nn.Conv2d(3, 3, 1) for name in ("conv1", "layer1", "layer2")}
MODEL = nn.Sequential(OrderedDict(**CONVOLUTIONS, maxpool=nn.MaxPool2d(2)))
FACTS = {"groups": LABELS, "mean": (0.5,) * 3, "std": (0.5,) * 3}
FACTS |= {"model": MODEL, "image": torch.zeros(1, 3, 14, 14), "read_folder": None}
FACTS |= {"read_weights": None}
MIXING = {"mixup", "cutmix", "lisa", "patch_mixing", "style_transfer"}
SINGLE_LABEL = {*MIXING, "panoptic_patches", "translated"}


@pytest.mark.parametrize("name", METHODS["augment"])
def test_every_augmentation_declares_its_facts(name):
    kind = components.find("augment", name)
    assert issubclass(kind, Augmentation)
    assert set(kind.requires) <= {"bias", "groups", "mask", "fills"}
    assert kind.single_label == (name in SINGLE_LABEL)
    assert kind.mixes_targets == (name in MIXING)
    # backgrounds are filled in from masks
    assert "mask" in kind.requires or not kind.reads_backgrounds


@pytest.mark.parametrize("name", METHODS["augment"])
def test_several_labels_are_refused_by_those_of_a_single_one(name):
    if name not in SINGLE_LABEL:
        assert isinstance(components.construct("augment", {"name": name}, FACTS), Augmentation)
        return
    with pytest.raises(ValueError, match="needs one class per sample: name a single target"):
        components.construct("augment", {"name": name}, FACTS)


def test_unchanged_gives_the_batch_itself():
    number = torch.arange(2)
    batch = Batch(torch.zeros(2, 3, 4, 4), number, number, number)
    assert Unchanged()(batch, progress=0.5) is batch
    assert not list(Unchanged().parameters())


def test_an_augmentation_without_forward_says_so():
    class Silent(Augmentation):
        pass

    number = torch.arange(2)
    with pytest.raises(NotImplementedError, match="Silent defines no forward"):
        Silent()(Batch(torch.zeros(2, 3, 4, 4), number, number, number))
