"""Slices from explanation maps."""

import numpy as np
import pytest

from debias.audits.slices.judging import slice_precisions
from debias.audits.slices.maps import looked_at, map_strategies
from debias.audits.slices.slices_step import found_by_mixture
from debias.group_inference.slices import PredictedImages


def spots(count: int, row: int, column: int, seed: int) -> np.ndarray:
    """Maps of 14x14 cells with a bright square, and a little noise."""
    maps = 0.05 * np.random.default_rng(seed).random((count, 14, 14), dtype=np.float32)
    maps[:, row : row + 4, column : column + 4] += 1
    return maps


def test_maps_on_the_corner_and_in_the_centre_are_two_clusters():
    maps = np.concatenate([spots(20, 0, 0, 0), spots(20, 5, 5, 1)])
    found = map_strategies(maps, np.zeros(40, np.int64), seed=0)
    assert len(set(found.cluster[:20].tolist())) == len(set(found.cluster[20:].tolist())) == 1
    assert found.cluster[0] != found.cluster[-1]
    corner = found.mean_maps[0, found.cluster[0]]
    assert corner[:2, :2].sum() > 0.6
    assert corner.sum() == pytest.approx(1)


def test_a_map_that_covers_everything_keeps_the_picture():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert (looked_at(pictures, np.ones((2, 4, 4), np.float32)) == pictures).all()
    kept = looked_at(pictures, spots(2, 0, 0, 0))
    assert (kept[:, :3, :3] == pictures[:, :3, :3]).all()
    assert (kept[:, 8:] != pictures[:, 8:]).mean() > 0.9


def test_maps_find_errors_that_other_parts_of_the_picture_hide():
    """The model errs where the corner is brighter; the rest varies ten times as much."""
    rng, target = np.random.default_rng(0), np.arange(240) % 2
    wrong = np.arange(240) // 2 % 4 == 0
    pictures = np.repeat(rng.integers(40, 200, (240, 4, 4, 3)), 4, axis=1).repeat(4, axis=2)
    pictures[:, :4, :4] = rng.integers(100, 104, (240, 1, 1, 3)) + 12 * wrong[:, None, None, None]
    corner = np.zeros((240, 4, 4), np.float32)
    corner[:, 0, 0] = 1
    share = np.eye(2)[np.where(wrong, 1 - target, target)]
    fitted, found = np.arange(240) < 120, []
    for shown in (looked_at(pictures.astype(np.uint8), corner), pictures):
        features = shown[:, ::4, ::4].reshape(240, -1).astype(np.float64)
        images = PredictedImages(features, target, share)
        weight = found_by_mixture(images, fitted, np.random.default_rng(0))
        found.append(np.mean(slice_precisions(weight[~fitted], wrong[~fitted], target[~fitted])))
    by_maps, plain = found
    assert by_maps > 0.9
    assert plain < 0.5  # one in four is wrong


def test_the_mean_fills_what_was_not_looked_at():
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, 8:] = 100
    kept = looked_at(picture, spots(1, 0, 0, 0))
    assert (kept[0, 12] == 50).all()
