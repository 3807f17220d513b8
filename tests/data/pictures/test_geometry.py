"""Pixel values after each geometric step, derived by hand."""

import numpy as np
import pytest

from debias.data.pictures.geometry import CentreCrop, CentreSquare, Geometry, Resize, ShorterSide


def test_shrinking_averages_areas() -> None:
    """2 x 2 blocks: (0 + 4 + 8 + 12) / 4 = 6, (100 + 104 + 108 + 112) / 4 = 106."""
    pixels = np.uint8([[0, 4, 100, 104], [8, 12, 108, 112]])
    np.testing.assert_array_equal(Resize(1, 2)(pixels), [[6, 106]])


def test_enlarging_is_linear_between_pixel_centres() -> None:
    """Four centres at -0.25, 0.25, 0.75, 1.25 of two pixels: the outer ones are the border's."""
    np.testing.assert_array_equal(Resize(1, 4)(np.uint8([[0, 100]])), [[0, 25, 75, 100]])


def test_a_side_that_shrinks_is_averaged_even_where_the_other_grows() -> None:
    """Columns average to 50 and 150 (of 0/100 and 100/200) before they are drawn out; cv2 alone
    would pick rows.
    """
    pixels = np.uint8([[0, 100], [0, 100], [100, 200], [100, 200]])
    np.testing.assert_array_equal(Resize(1, 4)(pixels), [[50, 75, 125, 150]])


def test_same_size_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Resize(5, 7)(pixels), pixels)


@pytest.mark.parametrize(
    ("shape", "expected"), [((40, 20), (32, 16)), ((20, 50), (16, 40)), ((16, 17), (16, 17))]
)
def test_shorter_side_keeps_proportions(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert ShorterSide(16)(np.zeros((*shape, 3), np.uint8)).shape == (*expected, 3)


def test_centre_crop_rounds_half_margins_to_even() -> None:
    """Margins (5 - 2) / 2 = 1.5 -> 2 and (3 - 2) / 2 = 0.5 -> 0, as torchvision's round."""
    pixels = np.arange(15, dtype=np.uint8).reshape(5, 3)
    np.testing.assert_array_equal(CentreCrop(2, 2)(pixels), [[6, 7], [9, 10]])


def test_centre_square_of_a_celeba_picture_starts_at_row_20() -> None:
    """(218 - 178) / 2 = 20."""
    rows = np.tile(np.arange(218, dtype=np.uint8)[:, None], (1, 178))
    square = CentreSquare()(rows)
    assert square.shape == (178, 178)
    assert (square[0, 0], square[-1, 0]) == (20, 197)


def test_mask_is_foreground_where_half_or_more_is_covered() -> None:
    """Block means 63.75, 127.5 (rounds to 128) and 255."""
    mask = np.uint8([[255, 0, 255, 0, 255, 255], [0, 0, 255, 0, 255, 255]])
    np.testing.assert_array_equal(Geometry((Resize(1, 3),), 1, 3).mask(mask), [[0, 255, 255]])


def test_geometry_refuses_to_give_another_shape_than_it_promises() -> None:
    with pytest.raises(ValueError, match=r"gave \(4, 4, 3\), not 5 x 4"):
        Geometry((Resize(4, 4),), 5, 4).image(np.zeros((9, 9, 3), np.uint8))
