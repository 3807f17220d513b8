"""Translator and critic: shapes, what the class changes, and which images are refused."""

import pytest
import torch
from torch import nn

from debias.models.translator import Critic, Translator, TranslatorBlock

IMAGE = torch.rand(4, 3, 12, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
CLASSES = torch.tensor([0, 1, 2, 1])


@pytest.fixture(scope="module")
def translator() -> Translator:
    torch.manual_seed(0)
    return Translator(3, width=2, blocks=1)


def test_images_keep_their_size_and_lie_between_the_bounds(translator):
    found = translator(IMAGE, CLASSES)
    assert found.shape == IMAGE.shape
    assert found.abs().max() < 1
    torch.testing.assert_close(translator(IMAGE[1:2], CLASSES[1:2]), found[1:2])


def test_the_class_joins_the_image_as_planes(translator):
    joined = []
    hook = translator.layers[0].register_forward_pre_hook(lambda _, given: joined.append(given[0]))
    found = translator(IMAGE, CLASSES)
    hook.remove()
    assert torch.equal(joined[0][:, :3], IMAGE)
    planes = joined[0][:, 3:].amax((2, 3))
    assert torch.equal(planes, joined[0][:, 3:].amin((2, 3)))
    assert torch.equal(planes, torch.eye(3)[CLASSES])
    assert (translator(IMAGE, CLASSES.roll(1)) != found).any()


def test_a_block_adds_to_its_maps():
    block = TranslatorBlock(4)
    nn.init.zeros_(block.layers[-1].weight)
    maps = torch.randn(2, 4, 3, 3)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize("sides", [(4, 8), (12, 10), (9, 8)])
def test_a_translator_refuses_sides_that_it_cannot_restore(translator, sides):
    with pytest.raises(ValueError, match=r"multiples of 4 and at least 8 pixels; got"):
        translator(torch.zeros(1, 3, *sides), CLASSES[:1])


@pytest.mark.parametrize(("sides", "places"), [((12, 8), (3, 2)), ((13, 8), (3, 2))])
def test_a_critic_has_scores_of_places_and_logits_of_the_whole(sides, places):
    image = torch.randn(4, 3, *sides)
    critic = Critic(3, image[:1], width=2, depth=2)
    scores, logits = critic(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert critic.logits(critic.layers(image)).dtype == torch.float32
    assert scores.shape == (4, 1, *places)
    assert logits.shape == (4, 3)


def test_a_critic_refuses_images_that_it_halves_to_nothing():
    with pytest.raises(ValueError, match=r"2 \*\* depth pixels; got depth=4 for \(12, 8\) pixels"):
        Critic(3, IMAGE[:1], width=2, depth=4)
