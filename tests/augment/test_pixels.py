"""Augmentations of pixels: they see pixels in [0, 1], and change the image alone."""

import pytest
import torch

from debias.augment.pixels import PixelAugmentation
from debias.types import Batch

MEAN, STD = (0.5, 0.25, 0.0), (0.25, 0.5, 1.0)


class Negative(PixelAugmentation):
    def changed(self, pixels):
        return 1 - pixels


def test_it_changes_the_pixels_of_the_image_alone():
    """A normalised 0 is the mean m, its negative the pixel 1 - m: 0, 1 and 1 when normalised."""
    number = torch.arange(2)
    batch = Batch(torch.zeros(2, 3, 2, 2), number, number, number, torch.ones(2, 1, 2, 2))
    changed = Negative(MEAN, STD)(batch, progress=0.5)
    assert changed.image[:, :, 0, 0].tolist() == [[0, 1, 1]] * 2
    assert torch.equal(batch.image, torch.zeros(2, 3, 2, 2))
    assert changed._replace(image=batch.image) == batch


def test_the_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="PixelAugmentation does not define changed"):
        PixelAugmentation(MEAN, STD).changed(torch.zeros(1, 3, 2, 2))
