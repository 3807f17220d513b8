"""Hiding what a mask marks: pixels by hand, what is left alone, and who asks for what."""

import numpy as np
import pytest
import torch

from debias import config as configs
from debias.augment.hide_mask import HideMask
from debias.build import build
from debias.types import Batch
from tests.commands.conftest import overrides

MEAN, STD = (0.5, 0.25, 0.0), (0.25, 0.5, 1.0)


def batch_of(image: torch.Tensor, mask: torch.Tensor | None) -> Batch:
    number = torch.arange(len(image))
    return Batch(image, number, number, number, mask)


def test_by_hand():
    """Black is (0 - mean) / std: -2, -0.5, 0. A mask of 1/4 makes 3 + black / 4 of a pixel of 4:
    2.5, 2.875, 3.
    """
    mask = torch.tensor([[[[0.0, 0.25], [1.0, 1.0]]]])
    hidden = HideMask(MEAN, STD)(batch_of(torch.full((1, 3, 2, 2), 4.0), mask))
    assert hidden.image[0].tolist() == [
        [[4.0, 2.5], [-2.0, -2.0]],
        [[4.0, 2.875], [-0.5, -0.5]],
        [[4.0, 3.0], [0.0, 0.0]],
    ]
    grey = HideMask(MEAN, STD, fill="mean")(batch_of(torch.full((1, 3, 2, 2), 4.0), mask))
    assert grey.image[0].tolist() == [[[4.0, 3.0], [0.0, 0.0]]] * 3


@pytest.mark.parametrize("fill", ["black", "mean"])
def test_what_no_mask_marks_stays_to_the_last_bit_and_what_one_marks_tells_nothing(fill):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(4, 3, 8, 8, generator=generator)
    mask = (torch.rand(4, 1, 8, 8, generator=generator) < 0.5).float()
    batch = batch_of(image.clone(), mask)
    hide = HideMask(MEAN, STD, fill=fill)
    hidden = hide(batch, progress=0.5)
    assert torch.equal(batch.image, image)
    assert torch.equal(hidden.image * (1 - mask), image * (1 - mask))
    other = hide(batch._replace(image=torch.where(mask > 0, torch.randn_like(image), image)))
    torch.testing.assert_close(hidden.image, other.image)
    assert hidden._replace(image=batch.image) == batch


def test_statistics_of_numpy_keep_the_type_of_the_image():
    mean, std = np.array(MEAN), tuple(np.array(STD))
    hidden = HideMask(mean, std)(batch_of(torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)))
    assert hidden.image.dtype == torch.float32
    assert hidden.image[0, :, 0, 0].tolist() == [-2.0, -0.5, 0.0]


def test_refuses():
    with pytest.raises(ValueError, match=r"fill must be one of black, mean .*; got 'white'"):
        HideMask(MEAN, STD, fill="white")
    with pytest.raises(ValueError, match=r"this batch has none\. Give the data set masks"):
        HideMask(MEAN, STD)(batch_of(torch.zeros(2, 3, 4, 4), None))


def test_checkpoints_do_not_hold_the_colour():
    assert HideMask(MEAN, STD).state_dict() == {}


def test_backgrounds_are_filled_in_only_for_who_reads_them(tmp_path):
    """Inpainting takes minutes on large sets: hiding needs masks and no backgrounds."""
    for augment, backgrounds in (("hide_mask", False), ("recombination", True)):
        parts = build(configs.load("drawn_birds", overrides(tmp_path, f"augment.name={augment}")))
        batch = next(iter(parts.data.train_dataloader()))
        assert (batch.background is not None) == parts.data.backgrounds == backgrounds
        assert batch.mask is not None
