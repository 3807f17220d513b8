"""The grid of pictures: exact pixels, the mask found, and nothing where nothing changes."""

import torch
from torch import Tensor

from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.training.pictures import prepared_pictures

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.5])


class Halves(Strategy):
    """Lets a quarter of the left half through, and all of the right."""

    def prepare(self, image: Tensor) -> Tensor:
        assert not self.training
        mask = torch.ones(image.shape[-1])
        mask[: len(mask) // 2] = 0.25
        return image * mask


def test_pixels_by_hand():
    """Image, mask and masked image of two images of 4x4, two pixels of white apart: rows from 2 and
    8, columns from 2, 8 and 14. A pixel p becomes mean + 0.25 (p - mean) on the left.
    """
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    strategy = Halves()
    grid = prepared_pictures(strategy, (pixels - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1), MEAN, STD)
    assert strategy.training
    assert grid is not None
    assert grid.shape == (3, 14, 20)
    assert (grid[:, :2] == 1).all()
    for number, top in enumerate((2, 8)):
        original, left, given = (grid[:, top : top + 4, start : start + 4] for start in (2, 8, 14))
        mask = torch.tensor([0.25, 0.25, 1.0, 1.0]).expand(3, 4, 4)
        torch.testing.assert_close(original, pixels[number])
        torch.testing.assert_close(left, mask)
        torch.testing.assert_close(
            given, MEAN.view(3, 1, 1) + mask * (pixels[number] - MEAN.view(3, 1, 1))
        )


def test_a_pixel_of_the_mean_colour_is_no_division_by_zero():
    grid = prepared_pictures(Halves(), torch.zeros(1, 3, 4, 4), MEAN, STD)
    assert grid is not None
    assert bool(grid.isfinite().all())


def test_nothing_where_images_stay_as_they_are():
    assert prepared_pictures(ERM(), torch.randn(2, 3, 4, 4), MEAN, STD) is None


def test_prepare_is_the_very_image_by_default():
    image = torch.randn(2, 3, 4, 4)
    assert ERM().prepare(image) is image
