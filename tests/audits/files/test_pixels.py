"""Numbers of pictures whose values are known by hand."""

import cv2
import numpy as np
import pytest

from debias.audits.files import pixels
from tests.data.small_pictures import noise


def flat(value: int, side: int = 32) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_a_constant_picture_has_no_detail():
    """MSG 0, one colour at every scale, entropy 0, no edge, no gradient."""
    assert pixels.detail(flat(90)) == {
        "sharpness": 0,
        "edge density": 0,
        "gradient (MSG)": 0,
        "colours (MUC)": pytest.approx(1),
    }
    plain = pixels.layout(flat(90))
    assert plain == {
        "border brightness": pytest.approx(0, abs=1e-12),
        "border variation": pytest.approx(0, abs=1e-12),
        "symmetry": 1,
        "entropy": 0,
    }


def test_halves_of_black_and_white():
    """Half of the pixels are black, half white: one bit, and the mirror differs everywhere."""
    halves = flat(0)
    halves[:, 16:] = 255
    light = pixels.light_and_colour(halves)
    assert light["black pixels"] == light["white pixels"] == 0.5
    assert light["brightness"] == pytest.approx(0.5, abs=1e-6)
    assert light["contrast"] == pytest.approx(0.5, abs=1e-6)
    assert (light["brightness, 5th percentile"], light["brightness, 95th percentile"]) == (0, 1)
    assert light["colourfulness"] == light["saturation"] == 0
    right = pixels.light_and_colour(halves[:, 16:])
    assert right["brightness"] == pytest.approx(1, abs=1e-6)
    shape = pixels.layout(halves)
    assert (shape["entropy"], shape["symmetry"]) == (1, 0)


def test_brightness_and_colourfulness_by_their_formulas():
    picture = noise(3, 20, 30)
    red, green, blue = picture.reshape(-1, 3).T / 255.0
    bright = np.sqrt(0.241 * red**2 + 0.691 * green**2 + 0.068 * blue**2)
    rg, yb = red - green, (red + green) / 2 - blue
    light = pixels.light_and_colour(picture)
    assert light["brightness"] == pytest.approx(bright.mean(), abs=1e-5)
    assert light["contrast"] == pytest.approx(bright.std(), abs=1e-5)
    assert light["green"] == pytest.approx(green.mean())
    spread = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert light["colourfulness"] == pytest.approx(spread, abs=1e-5)
    for name, share in (("1st", 1), ("95th", 95)):
        expected = np.percentile(bright, share)
        assert light[f"brightness, {name} percentile"] == pytest.approx(expected, abs=0.01)


def test_complexities_weigh_four_scales():
    """A step of 255 over 32 columns: a Sobel response of 4 x 255 on two columns at each scale that
    keeps the step sharp; colours: 2 at every scale.
    """
    halves = flat(0)
    halves[:, 16:] = 255
    # 4 on 2 of 32, 16, 8 and 4 columns
    expected = 0.4 * 4 * 2 / 32 + 0.3 * 4 * 2 / 16 + 0.2 * 4 * 2 / 8 + 0.1 * 4 * 2 / 4
    assert pixels.gradient_complexity(halves) == pytest.approx(expected)
    assert pixels.colour_complexity(halves) == pytest.approx(2)


def test_a_frame_is_a_dark_border():
    framed = flat(200, 100)
    for side in (slice(0, 4), slice(-4, None)):
        framed[side] = framed[:, side] = 0
    found = pixels.layout(framed)
    assert found["border brightness"] == pytest.approx(-200 / 255, abs=1e-3)
    assert found["border variation"] == pytest.approx(0, abs=1e-12)


def test_blocks_are_found_on_the_grid_and_off_it():
    """Squares of 8 pixels with their own grey: every step lies on the grid, or 3 pixels off it."""
    grey = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    squares = np.kron(grey, np.ones((8, 8), np.uint8))
    on, off = (
        pixels.traces(np.repeat(part[..., None], 3, axis=2))
        for part in (squares, np.roll(squares, 3, axis=(0, 1)))
    )
    assert on["blocks"] > 6
    assert on["blocks off the grid"] == 0
    assert off["blocks off the grid"] > 6
    assert off["blocks"] == 0
    assert np.isnan(pixels.traces(flat(0, 31))["blocks"])


def test_upscaling_leaves_a_period():
    sharp = noise(5, 128, 128)
    blurred = cv2.GaussianBlur(noise(6, 192, 192), (5, 5), 0)
    enlarged = cv2.resize(sharp, (192, 192), interpolation=cv2.INTER_LINEAR)
    assert pixels.traces(enlarged)["resampling"] > 3 * pixels.traces(blurred)["resampling"]


def test_the_central_part_keeps_the_grid():
    wide = np.zeros((100, 501, 3), np.uint8)
    wide[..., 0] = np.arange(501) % 8
    part = pixels.central_part(wide)
    assert part.shape == (100, pixels.DETAIL, 3)
    assert part[0, 0, 0] == 0
