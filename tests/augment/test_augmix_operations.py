"""The operations of AugMix equal those of Pillow, and have their own strength per image."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F

from debias.augment.augmix_operations import OPERATIONS, augmented, operated

SMALL = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
PIXELS = (255 * F.interpolate(SMALL, size=(24, 20), mode="bicubic").clamp(0, 1)).round() / 255
PICTURE = Image.fromarray((255 * PIXELS[0]).round().byte().permute(1, 2, 0).numpy())


def _affine(*numbers):
    return PICTURE.transform(PICTURE.size, Image.AFFINE, numbers, resample=Image.BILINEAR)


PILLOW = {
    "autocontrast": lambda level: ImageOps.autocontrast(PICTURE),
    "equalize": lambda level: ImageOps.equalize(PICTURE),
    "posterize": lambda level: ImageOps.posterize(PICTURE, 4 - int(abs(level) * 4 / 10)),
    "rotate": lambda level: PICTURE.rotate(int(level * 30 / 10), resample=Image.BILINEAR),
    "solarize": lambda level: ImageOps.solarize(PICTURE, 256 - int(abs(level) * 256 / 10)),
    "shear_x": lambda level: _affine(1, level * 0.3 / 10, 0, 0, 1, 0),
    "shear_y": lambda level: _affine(1, 0, 0, level * 0.3 / 10, 1, 0),
    "translate_x": lambda level: _affine(1, 0, int(level * 20 / 3 / 10), 0, 1, 0),
    "translate_y": lambda level: _affine(1, 0, 0, 0, 1, int(level * 24 / 3 / 10)),
}


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("level", [2.9, -6.2])
def test_operations_are_those_of_pillow(name, level):
    """Pillow cuts the fraction of a byte off, so that less than one of 255 differs."""
    number = torch.tensor([list(OPERATIONS).index(name)])
    changed = operated(PIXELS[:1], number, torch.tensor([level]))[0]
    expected = torch.from_numpy(np.array(PILLOW[name](level))).permute(2, 0, 1) / 255
    assert float((changed - expected).abs().max()) < 1.01 / 255
    assert not torch.equal(changed, PIXELS[0]) or (name == "translate_x" and level == 2.9)


def test_each_image_has_its_own_operation_and_level():
    operation, level = torch.tensor([3, 8]), torch.tensor([2.0, -9.0])
    both = operated(PIXELS, operation, level)
    for row in (0, 1):
        alone = operated(PIXELS[row, None], operation[row, None], level[row, None])
        torch.testing.assert_close(both[row], alone[0])


def test_all_operations_are_drawn_in_range():
    pixels = PIXELS[:1].expand(200, -1, -1, -1)
    torch.manual_seed(0)
    changed = augmented(pixels, severity=10.0)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1.001
    torch.manual_seed(0)
    drawn = torch.randint(9, (200,)).bincount()
    assert int(drawn.min()) > 5
    assert torch.equal(augmented(pixels[:0]), pixels[:0])
