"""The Vendi score, and the distance of neurons."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from debias.audits.rows.diversity import (
    histogram_distance,
    neuron_distances,
    vendi_by_class,
    vendi_score,
)


def test_equal_rows_orthogonal_rows_and_two_blocks():
    assert vendi_score(np.ones((7, 3))) == pytest.approx(1)
    assert vendi_score(np.eye(6)) == pytest.approx(6)
    assert vendi_score(np.repeat(np.eye(2), 5, axis=0)) == pytest.approx(2)


def test_both_forms_of_the_eigenvalues_agree_and_lengths_do_not_matter():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 5))
    wide = np.concatenate([vectors, np.zeros((12, 20))], axis=1)
    assert vendi_score(vectors) == pytest.approx(vendi_score(wide))
    assert vendi_score(vectors) == pytest.approx(vendi_score(3 * vectors[::-1]))


def test_classes_are_compared_at_equal_sizes():
    """Class 0 repeats two images 30 times; class 1 has 4 different ones; class 2 is absent."""
    vectors = np.concatenate([np.repeat(np.eye(6)[:2], 30, axis=0), np.eye(6)[2:]])
    target = np.array([0] * 60 + [1] * 4 + [3] * 0)
    scores = vendi_by_class(vectors, target, generator=np.random.default_rng(0))
    assert scores[1] == pytest.approx(4)
    assert 1 <= scores[0] <= 2


def test_neighbouring_bins_are_one_width_apart():
    assert histogram_distance(np.array([1.0, 0]), np.array([0.0, 1])) == 1
    assert histogram_distance(np.array([2.0, 0, 0]), np.array([0.0, 0, 5])) == 2


def test_neurons_are_as_far_apart_as_the_samples():
    """The exact distance of the samples differs by a bin at most."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(300, 3)), rng.normal([0, 1, 3], size=(200, 3))
    both = np.concatenate([first, second])
    exact = [wasserstein_distance(a, b) for a, b in zip(first.T, second.T, strict=True)]
    found = neuron_distances(first, second)
    assert found == pytest.approx(exact / np.ptp(both, axis=0), abs=0.015)
    assert found.argmax() == 2


def test_a_constant_neuron_is_equal_and_two_points_lie_a_range_apart():
    assert neuron_distances(np.zeros((3, 1)), np.zeros((2, 1))).tolist() == [0]
    assert neuron_distances(np.zeros((3, 1)), np.ones((2, 1))).tolist() == [1]


def test_the_score_is_that_of_the_authors_code():
    """vertaix/Vendi-Score, ``score_X`` and ``score_dual`` on sines."""
    step = np.arange(40)
    vectors = np.stack([np.sin(k * step + k) for k in range(1, 7)], axis=1)
    assert vendi_score(vectors) == pytest.approx(5.971109079380)
