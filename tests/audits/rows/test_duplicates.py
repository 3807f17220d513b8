"""Equal and nearly equal images, leaks and label conflicts."""

import cv2
import numpy as np
import pytest

from debias.audits.rows.duplicates import (
    close_pairs,
    difference_hashes,
    duplicate_rows,
    equal_pairs,
    joined_sets,
    shared_images,
)


def scenes(count: int, seed: int = 0) -> np.ndarray:
    """Pictures of 48 pixels with random blocks of colour, which differ clearly."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (48, 48), interpolation=cv2.INTER_CUBIC) for one in blocks])


def jpeg(picture: np.ndarray, quality: int = 80) -> np.ndarray:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def partition(sets: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(sets == one).tolist()) for one in np.unique(sets)}


def test_a_copy_as_jpeg_is_a_duplicate_and_the_mirror_image_only_if_asked():
    picture = scenes(12)
    images = np.concatenate([picture, jpeg(picture[0])[None], picture[1:2, :, ::-1], picture[2:3]])
    plain, mirrored = duplicate_rows(images), duplicate_rows(images, mirror=True)
    assert [one for one in partition(plain.sets) if len(one) > 1] == [{0, 12}, {2, 14}]
    assert frozenset({1, 13}) in partition(mirrored.sets)
    assert np.flatnonzero(plain.exact).tolist() == [2, 14]


def test_pictures_without_contrast_are_not_paired():
    """All flat pictures have hash 0; only those of one colour are equal."""
    flat = np.full((4, 16, 16, 3), 7, np.uint8)
    flat[1], flat[2] = 8, 200
    assert duplicate_rows(flat).sets.tolist() == [0, 1, 2, 0]


def test_a_hash_has_one_bit_per_rise():
    """Brighter from left to right in every cell: 64 ones; a mirror image has none."""
    ramp = np.tile(np.arange(0, 252, 7, dtype=np.uint8)[None, :, None], (36, 1, 3))
    hashes = difference_hashes(np.stack([ramp, ramp[:, ::-1]]))
    assert hashes.tolist() == [2**64 - 1, 0]


def test_pairs_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**62, 700, dtype=np.uint64)
    hashes[650] = hashes[3] ^ np.uint64(0b10110)
    hashes[699] = hashes[600] ^ np.uint64(0b11111)
    assert close_pairs(hashes, hashes).tolist() == [[3, 650]]
    assert close_pairs(hashes, hashes, distance=5).tolist() == [[3, 650], [600, 699]]


def test_sets_join_chains_in_the_order_of_first_rows():
    assert joined_sets(6, np.array([[4, 1], [1, 5], [3, 2]])).tolist() == [0, 1, 2, 2, 1, 1]
    assert joined_sets(2, np.empty((0, 2), np.int64)).tolist() == [0, 1]
    assert equal_pairs([b"a", b"b", b"a", b"a"]).tolist() == [[0, 2], [0, 3]]


@pytest.mark.parametrize("mirror", [False, True])
def test_a_permutation_of_rows_permutes_the_sets(mirror):
    picture = scenes(10)
    images = np.concatenate([picture, jpeg(picture[4])[None], picture[4:5], picture[7:8, :, ::-1]])
    order = np.random.default_rng(3).permutation(len(images))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    before = duplicate_rows(images, mirror=mirror).sets
    after = duplicate_rows(images[order], mirror=mirror).sets
    assert partition(before) == partition(after[place])


def test_leaks_lie_across_splits_and_conflicts_across_classes():
    sets = np.array([0, 1, 0, 1, 2, 2, 3])
    found = shared_images(sets, np.array([0, 0, 1, 0, 2, 2, 2]), np.array([0, 0, 0, 1, 1, 1, 0]))
    assert found.repeated == 3
    assert found.leaking.tolist() == [True, False, True, False, False, False, False]
    assert found.conflicting.tolist() == [False, True, False, True, False, False, False]
