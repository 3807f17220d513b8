"""Numbers of pictures whose values are known by hand."""

import numpy as np
import pytest

from debias.audits.cues import picture_numbers as count


def filled(colour, size=16, number=1):
    return np.broadcast_to(np.uint8(colour), (number, size, size, 3)).copy()


def random_pictures(number=3, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, size, size, 3), np.uint8)


def centre(size=16, number=1, margin=6):
    masks = np.zeros((number, size, size), bool)
    masks[:, margin:-margin, margin:-margin] = True
    return masks


def test_colours_are_roots_of_the_shares_of_a_histogram():
    """Half of (200, 10, 70), cell (3, 0, 1) = 49; half black, cell 0. Places do not matter."""
    picture = filled([200, 10, 70])
    picture[:, :8] = 0
    expected = np.zeros(64)
    expected[[0, 49]] = np.sqrt(0.5)
    assert count.colours(picture)[0] == pytest.approx(expected)
    assert np.array_equal(count.colours(picture[:, ::-1]), count.colours(picture))
    assert not np.array_equal(count.layout(picture[:, ::-1]), count.layout(picture))


def test_layout_is_the_mean_of_each_sixteenth():
    picture = random_pictures(1)
    cell = picture[0, 4:8, 8:12].mean(axis=(0, 1)) / 255
    assert count.layout(picture)[0].reshape(4, 4, 3)[1, 2] == pytest.approx(cell, abs=0.003)


def test_corners_see_a_mark_in_one_corner():
    """A white pixel in a black corner of 2x2: mean 1/4, contrast sqrt(3)/4; of 256: 1/256."""
    picture = filled([0, 0, 0])
    picture[0, 0, 0] = 255
    mark, whole = count.corners(picture)[0], np.r_[[1 / 256] * 3, np.sqrt(255) / 256]
    assert mark[:4] == pytest.approx([0.25, 0.25, 0.25, np.sqrt(3) / 4] - whole, abs=1e-6)
    assert mark[4:] == pytest.approx(np.tile(-whole, 3), abs=1e-6)
    assert not count.corners(filled([90, 30, 200])).any()


def test_gradient_of_a_ramp_and_of_a_constant():
    """Grey grows by 8 per column: log(1 + 8) but for the last column."""
    ramp = np.repeat(np.arange(16, dtype=np.uint8)[None, None, :, None] * 8, 16, axis=1)
    picture = np.repeat(ramp, 3, axis=3)
    assert count.gradient(picture)[0, 0] == pytest.approx(np.log(9) * 15 / 16)
    assert count.gradient(filled([9, 9, 9])).tolist() == [[0]]


def test_hog_tells_the_direction_of_an_edge():
    """A vertical edge has horizontal gradients: all in the first of 9 directions; length 1."""
    picture = filled([0, 0, 0], size=14)
    picture[:, :, 7:] = 255
    turns = count.hog(picture)[0].reshape(7, 7, 9)
    assert turns[..., 1:].max() == 0
    assert np.flatnonzero(turns[0, :, 0]).tolist() == [3]
    assert np.linalg.norm(turns) == pytest.approx(1)


def test_the_object_does_not_reach_the_background_nor_the_reverse():
    """Pixels inside the grown mask, or outside the shrunken one, change nothing."""
    masks, pictures = centre(size=24, margin=7), random_pictures(1, size=24)
    painted = np.where(masks[..., None], 255 - pictures, pictures)
    assert np.array_equal(
        count.background_statistics(pictures, masks), count.background_statistics(painted, masks)
    )
    assert np.array_equal(
        count.background_gradient(pictures, masks), count.background_gradient(painted, masks)
    )
    framed = np.where(masks[..., None], pictures, 0).astype(np.uint8)
    assert np.array_equal(
        count.foreground_statistics(pictures, masks), count.foreground_statistics(framed, masks)
    )
    assert not np.array_equal(
        count.background_statistics(pictures, masks), count.background_statistics(framed, masks)
    )


def test_masks_that_are_full_or_empty():
    pictures = random_pictures(1)
    nothing, all_of_it = np.zeros((1, 16, 16), bool), np.ones((1, 16, 16), bool)
    assert not count.background_statistics(pictures, all_of_it).any()
    whole = count.statistics(pictures)[:, :65]
    assert np.array_equal(count.background_statistics(pictures, nothing), whole)
    assert count.box(pictures, nothing).tolist() == [[0.5, 0.5, 0, 0]]
    assert count.box(pictures, all_of_it).tolist() == [[0.5, 0.5, 1, 1]]


def test_grown_masks_have_the_margin():
    masks = np.zeros((1, 16, 16), bool)
    masks[0, 8, 8] = True
    assert count.grown(masks).sum() == 49
    assert count.grown(masks)[0, 5:12, 5:12].all()


def test_numbers_do_not_depend_on_where_a_picture_lies_in_memory():
    """A resumed audit then says the same as one that was not stopped."""
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    kept, found = [], set()
    for number in range(24):
        kept.append(np.zeros(2 * number + 1))  # moves what is allocated next
        found.add(count.hog(picture[None]).tobytes() + count.gradient(picture[None]).tobytes())
    assert len(found) == 1
