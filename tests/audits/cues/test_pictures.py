"""What is left of a picture at each rung."""

import numpy as np
import pytest

from debias.audits.cues import pictures as draw
from debias.audits.cues.rungs import RUNGS

from .test_picture_numbers import centre, filled, random_pictures


@pytest.mark.parametrize("shuffle", [draw.patches, draw.pixels])
def test_a_shuffle_keeps_the_pixels_and_moves_them(shuffle):
    pictures = random_pictures(2)
    shuffled = shuffle(pictures)
    flat, moved = (np.sort(part.reshape(2, -1, 3), axis=1) for part in (pictures, shuffled))
    assert np.array_equal(flat, moved)
    assert not np.array_equal(pictures, shuffled)


def test_patches_stay_whole():
    """At 16 pixels a patch is 2x2: every patch of the result is one of the picture's."""
    picture, places = random_pictures(1)[0], range(0, 16, 2)
    before, after = (
        {one[row : row + 2, column : column + 2].tobytes() for row in places for column in places}
        for one in (picture, draw.patches(picture[None])[0])
    )
    assert before == after


def test_the_identity_order_changes_nothing_and_a_remainder_stays():
    picture = random_pictures(1, size=18)[0]
    assert np.array_equal(draw.rearranged(picture, np.arange(16), side=4), picture)
    reverse = draw.rearranged(picture, np.arange(16)[::-1], side=4)
    assert np.array_equal(reverse[:4, :4], picture[12:16, 12:16])
    assert np.array_equal(reverse[16:], picture[16:])


def test_filters_of_a_constant_picture_are_black():
    """The stretch divides by the range plus 1e-5, so that rounding is not made visible."""
    assert not draw.high_pass(filled([90, 90, 90], number=2)).any()


def test_filters_split_the_spectrum():
    """A wave of 2 periods passes below 0.179 * 16 = 2.9 periods, one of 6 above."""
    place = np.arange(16) * 2 * np.pi / 16
    slow, fast = (np.cos(periods * place) for periods in (2, 6))
    shown = (127 + 40 * slow + 40 * fast).round().astype(np.uint8)
    picture = np.broadcast_to(shown[None, None, :, None], (1, 16, 16, 3))
    for filtered, wave in ((draw.low_pass(picture), slow), (draw.high_pass(picture), fast)):
        assert np.corrcoef(filtered[0, 0, :, 0], wave)[0, 1] > 0.99


def test_fills_hide_the_object_or_the_surroundings():
    """The fill has the mean colour of what stays, so the hidden part has no say at all."""
    masks, pictures = centre(size=24, margin=8), random_pictures(1, size=24)
    painted = np.where(masks[..., None], 255 - pictures, pictures)
    framed = np.where(masks[..., None], pictures, 7).astype(np.uint8)
    for rung in (draw.background, draw.box_background):
        assert np.array_equal(rung(pictures, masks), rung(painted, masks))
    assert np.array_equal(draw.foreground(pictures, masks), draw.foreground(framed, masks))
    assert np.array_equal(draw.foreground(pictures, masks)[masks], pictures[masks])
    kept = pictures[~masks].mean(axis=0).round()
    assert draw.box_background(pictures, masks)[0, 12, 12].tolist() == kept.tolist()


def test_a_box_is_filled_and_an_empty_mask_has_none():
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 2, 1] = masks[0, 5, 6] = True
    expected = np.zeros((2, 8, 8), bool)
    expected[0, 2:6, 1:7] = True
    assert np.array_equal(draw.boxes(masks), expected)


def test_edges_of_a_step():
    picture = filled([100, 100, 100])
    picture[:, :, 8:] = 220
    columns = draw.edges(picture)[0, :, :, 0].any(axis=0)
    assert np.flatnonzero(columns).tolist() in ([7], [8])
    assert not draw.edges(filled([100, 100, 100])).any()


@pytest.mark.parametrize("name", RUNGS)
def test_every_rung_gives_pictures_and_numbers_that_do_not_depend_on_the_batch(name):
    rung, pictures, masks = RUNGS[name], random_pictures(3, size=32), centre(size=32, number=3)
    shown = rung.picture(pictures, masks)
    assert shown.shape == pictures.shape
    assert shown.dtype == np.uint8
    again = rung.picture(pictures[1:2], masks[1:2])
    assert np.abs(again.astype(int) - shown[1:2]).max() <= 1  # OpenCV rounds by alignment
    if rung.numbers is not None:
        numbers = rung.numbers(pictures, masks)
        assert numbers.dtype == np.float32
        assert np.isfinite(numbers).all()
        assert np.allclose(rung.numbers(pictures[1:2], masks[1:2]), numbers[1:2], atol=1e-6)
