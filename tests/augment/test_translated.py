"""Translated images: which class is drawn, that the target stays, and which weights fit."""

from inspect import signature

import pytest
import torch

from debias.augment.translated import Translated, translated
from debias.models.translator import Translator
from debias.pixels import PixelSpace
from debias.strategies.translation import Translation
from debias.types import Batch, Groups

GROUPS = Groups(("a", "b", "c"), ("x", "y"))
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
NUMBER = torch.arange(300)
IMAGE = torch.zeros(1, 3, 8, 8)
PIXELS = torch.rand(300, 3, 8, 8, generator=torch.Generator().manual_seed(0))
BATCH = Batch(PixelSpace(MEAN, STD).normalised(PIXELS), NUMBER % 3, NUMBER % 2, NUMBER)


@pytest.fixture(scope="module")
def translator() -> Translator:
    torch.manual_seed(0)
    return Translator(3, width=2, blocks=1)


@pytest.fixture
def augment(translator) -> Translated:
    options = {"translator": "file", "width": 2, "blocks": 1}
    return Translated(GROUPS, IMAGE, MEAN, STD, lambda path: translator.state_dict(), **options)


class Named(torch.nn.Module):
    """A translator whose pixels are the class, so that draws can be read."""

    def forward(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return image * 0 + target.view(-1, 1, 1, 1) / 2


def test_images_become_any_other_class_and_keep_their_target(augment):
    augment.translator = Named()
    torch.manual_seed(0)
    changed = augment(BATCH)
    assert changed._replace(image=BATCH.image) == BATCH
    drawn = (augment.space.pixels(changed.image)[:, 0, 0, 0] * 2 - 1).mul(2).round().long()
    pairs = torch.stack([BATCH.target, drawn], dim=1).unique(dim=0, return_counts=True)
    assert pairs[0].tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert pairs[1].min() > 30


def test_pixels_of_the_translator_are_between_minus_one_and_one(augment, translator):
    chosen = BATCH.target.roll(1)
    found = translated(augment.translator, augment.space, BATCH.image, chosen)
    expected = (translator(PIXELS * 2 - 1, chosen) + 1) / 2
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    torch.testing.assert_close(found, ((expected - mean) / std).detach(), atol=1e-4, rtol=1e-4)
    assert not found.requires_grad
    assert not any(parameter.requires_grad for parameter in augment.parameters())


def test_an_evaluation_needs_no_file():
    options = {"translator": "gone", "width": 2, "blocks": 1}
    made = Translated(GROUPS, IMAGE, MEAN, STD, lambda path: {}, **options)
    own = Translator(3, width=2, blocks=1).state_dict()
    assert made.translator.state_dict().keys() == own.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"augment\.translator must be a file of weights .* got nothing"),
        ({"translator": "file", "width": 4, "blocks": 1}, "file does not fit the translator"),
        ({"translator": "file", "width": 2, "blocks": 2}, r"augment\.width and augment\.blocks"),
    ],
)
def test_refuses(translator, options, message):
    with pytest.raises(ValueError, match=message):
        Translated(GROUPS, IMAGE, MEAN, STD, lambda path: translator.state_dict(), **options)


def test_refuses_images_of_other_sides_before_training():
    with pytest.raises(ValueError, match=r"multiples of 4 .* got \(8, 10\)"):
        Translated(GROUPS, torch.zeros(1, 3, 8, 10), MEAN, STD, lambda path: {}, translator="file")


def test_a_translator_of_default_sizes_fits_the_default_augmentation():
    own, trained = (signature(each).parameters for each in (Translated, Translation))
    for option in ("width", "blocks"):
        assert own[option].default == trained[option].default
