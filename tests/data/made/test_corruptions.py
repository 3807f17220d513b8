"""CIFAR-10-C's corruptions: formulas by hand, strengths in order, draws of the generator."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from debias.data.made.corrupted_cifar10 import TYPES
from debias.data.made.corruptions import CORRUPTIONS, corrupted
from debias.data.made.weather import motion_kernel, plasma

#: A smooth photo-like image: waves of three colours.
ACROSS, DOWN = np.meshgrid(np.arange(32), np.arange(32))
WAVES = [np.sin(ACROSS / 4), np.cos(DOWN / 5), np.sin((ACROSS + DOWN) / 6)]
IMAGE = (127 + 80 * np.stack(WAVES, axis=2)).astype(np.uint8)


def changed(name, level=3, seed=0, image=IMAGE):
    return corrupted(name, image, level, np.random.default_rng(seed)).astype(int)


def test_both_types_have_ten_corruptions_and_use_all():
    assert [len(set(names)) for names in TYPES] == [10, 10]
    assert {name for names in TYPES for name in names} == set(CORRUPTIONS)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_is_a_photo_drawn_from_the_generator_alone(name):
    first = corrupted(name, IMAGE, 5, np.random.default_rng(1))
    assert (first.shape, first.dtype) == (IMAGE.shape, np.uint8)
    np.random.default_rng(7).random()
    assert (corrupted(name, IMAGE, 5, np.random.default_rng(1)) == first).all()
    assert (first != IMAGE).any() == (name != "original")


STRONGER = sorted(set(CORRUPTIONS) - {"original", "saturate", "elastic", "glass blur", "spatter"})


@pytest.mark.parametrize("name", STRONGER)
def test_a_higher_level_changes_more(name):
    change = [np.abs(changed(name, level) - IMAGE).mean() for level in (1, 5)]
    assert change[0] < change[1]


def test_contrast_by_hand():
    """Level 3: (x - mean) * 0.4 + mean, per channel."""
    mean = IMAGE.mean(axis=(0, 1))
    assert np.abs(changed("contrast") - ((IMAGE - mean) * 0.4 + mean)).max() <= 1


def test_brightness_by_hand():
    """Level 2 adds 0.1 to the value in HSV. The greatest channel of a pixel is its value."""
    value = changed("brightness", 2).max(axis=2)
    assert np.abs(value - np.minimum(IMAGE.max(axis=2) + 25.5, 255)).max() <= 1


def test_jpeg_is_that_of_pillow():
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, "JPEG", quality=58)
    assert (changed("jpeg") == np.asarray(Image.open(file))).all()


def test_noise_has_the_published_spread():
    """Level 4 of Gaussian noise has the standard deviation 0.09, and that of speckle 0.16 * x."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    spread = changed("gaussian noise", 4, image=grey).std() / 255
    assert spread == pytest.approx(0.09, rel=0.03)
    speckle = changed("speckle noise", 4, image=grey).std() / 255
    assert speckle == pytest.approx(0.16 * 128 / 255, rel=0.03)
    impulse = changed("impulse noise", 4, image=grey)
    assert (impulse != 128).mean() == pytest.approx(0.05, abs=0.01)
    assert set(np.unique(impulse)) == {0, 128, 255}


def test_pixelate_by_hand():
    """Level 5: 20 x 20 pixels, whose averages fill 32 x 32."""
    small = Image.fromarray(IMAGE).resize((20, 20), Image.Resampling.BOX)
    assert (changed("pixelate", 5) == small.resize((32, 32), Image.Resampling.BOX)).all()


def test_motion_is_blurred_to_one_side():
    """Without angle: exp(-i^2 / 2) at i = 0, 1, 2 to the right of the centre, with sum 1."""
    kernel = motion_kernel(1, 1.0, angle=0)
    centre = len(kernel) // 2
    weights = np.exp([0, -0.5, -2]) / np.exp([0, -0.5, -2]).sum()
    assert kernel[centre, centre : centre + 3] == pytest.approx(weights)
    assert kernel.sum() == pytest.approx(1)
    point = np.zeros((21, 21), np.float32)
    point[10, 10] = 1
    assert cv2.filter2D(point, -1, kernel)[10, 8:11] == pytest.approx(weights[::-1])


def test_plasma_is_rougher_where_it_decays_less():
    def roughness(decay):
        heights = [plasma(32, decay, np.random.default_rng(seed)) for seed in range(8)]
        assert all(one.min() >= 0 and one.max() <= 1 for one in heights)
        return np.mean([np.abs(np.diff(one)).mean() for one in heights])

    assert roughness(3) < roughness(1.75)
