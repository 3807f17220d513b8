"""Label sharpness and intrinsic dimension."""

import numpy as np
import pytest

from debias.audits.rows.intrinsic import intrinsic_dimension, label_sharpness
from debias.errors import InputError


def test_sharpness_is_that_of_the_closest_pair_of_different_labels():
    points = np.array([[0.0, 0], [0, 1], [3, 4]])
    assert label_sharpness(points, np.array([0, 0, 1])).largest == pytest.approx(18**-0.5)
    assert label_sharpness(points, np.array([0, 1, 1])).largest == pytest.approx(1)
    assert np.isnan(label_sharpness(points, np.array([1, 1, 1])).largest)


def test_the_quantile_is_not_moved_by_one_pair():
    rng = np.random.default_rng(0)
    points, target = rng.normal(size=(120, 3)), np.arange(120) % 2
    before = label_sharpness(points, target)
    points[1] = points[0] + 1e-6
    after = label_sharpness(points, target)
    assert after.largest > 1000 * before.largest
    assert after.quantile < 3 * before.quantile


def test_pairs_of_distance_0_are_left_out():
    points = np.array([[0.0], [0.0], [2.0]])
    assert label_sharpness(points, np.array([0, 1, 1])).largest == pytest.approx(0.5)


def test_a_plane_in_ten_dimensions_has_dimension_2():
    rng = np.random.default_rng(0)
    plane = rng.uniform(size=(1000, 2)) @ rng.normal(size=(2, 10))
    assert 1.9 < intrinsic_dimension(plane) < 2.1
    assert 4 < intrinsic_dimension(rng.uniform(size=(600, 5))) < 5.2


def test_the_dimension_is_that_of_a_loop():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(40, 3))
    inverses = []
    for one in points:
        away = np.sort(np.linalg.norm(points - one, axis=1))[1:6]
        inverses.append(sum(np.log(away[4] / away[j]) for j in range(4)) / 4)
    assert intrinsic_dimension(points, neighbours=5) == pytest.approx(1 / np.mean(inverses))
    doubled = np.concatenate([points, points[:7]])
    assert intrinsic_dimension(doubled, neighbours=5) == pytest.approx(1 / np.mean(inverses))


def test_too_few_points_and_neighbours():
    assert np.isnan(intrinsic_dimension(np.zeros((30, 2))))
    with pytest.raises(InputError, match="neighbours"):
        intrinsic_dimension(np.zeros((30, 2)), neighbours=1)
