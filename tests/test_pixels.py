"""Pixels and normalised images: numbers by hand, the way back, and what is left alone."""

import numpy as np
import torch

from debias.pixels import PixelSpace

MEAN, STD = (0.5, 0.25, 0.0), (0.25, 0.5, 1.0)
SPACE = PixelSpace(MEAN, STD)


def test_by_hand():
    """1 * 0.25 + 0.5, 1 * 0.5 + 0.25 and 1 * 1 + 0; -9 is below 0 and 9 above 1."""
    image = torch.tensor([1.0, -9.0, 9.0]).expand(1, 3, 1, 3)
    pixels = SPACE.pixels(image)
    assert pixels[0, :, 0].tolist() == [[0.75, 0.0, 1.0], [0.75, 0.0, 1.0], [1.0, 0.0, 1.0]]
    assert SPACE.normalised(pixels)[0, :, 0].tolist() == [[1, -2, 2], [1, -0.5, 1.5], [1, 0, 1]]


def test_through_applies_the_function_to_pixels_and_keeps_argument_and_memory_format():
    pixels = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    image = SPACE.normalised(pixels).contiguous(memory_format=torch.channels_last)
    before = image.clone()
    darker = SPACE.through(image, lambda seen: seen.mul_(0.5))
    torch.testing.assert_close(SPACE.pixels(darker), 0.5 * pixels)
    assert torch.equal(image, before)
    assert darker.is_contiguous(memory_format=torch.channels_last)


def test_gradients_pass_through_and_checkpoints_hold_nothing():
    """Both scales cancel, so that the slope of the way there and back is 1 inside [0, 1]."""
    image = torch.full((1, 3, 2, 2), 0.5, requires_grad=True)
    SPACE.through(image, lambda pixels: 3 * pixels).sum().backward()
    torch.testing.assert_close(image.grad, torch.full((1, 3, 2, 2), 3.0))
    assert SPACE.state_dict() == {}


def test_statistics_of_numpy_keep_the_type_of_the_image():
    image = torch.ones(1, 3, 1, 1)
    for statistics in ((np.array(MEAN), np.array(STD)), (tuple(np.array(MEAN)), STD)):
        space = PixelSpace(*statistics)
        assert space.pixels(image).dtype == space.normalised(image).dtype == torch.float32
        assert torch.equal(space.pixels(image), SPACE.pixels(image))


def test_a_program_in_float64_keeps_all_digits():
    torch.set_default_dtype(torch.float64)
    try:
        assert PixelSpace((0.1,) * 3, (0.3,) * 3).mean.flatten().tolist() == [0.1] * 3
    finally:
        torch.set_default_dtype(torch.float32)
