"""Labels that occur together."""

import numpy as np
import pytest

from debias.audits.rows.associations import association_bias, label_pairs, representation_bias


def test_pairs_are_sorted_by_information():
    """a and b in 2 of 4 images each: together twice (log 2); c is in none with b."""
    labels = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
    first, *rest = label_pairs(labels)
    assert (first.first, first.second, first.images) == (0, 1, 2)
    assert first.information == pytest.approx(np.log(2))
    assert [pair.information for pair in rest] == [-np.inf, -np.inf]
    assert len(label_pairs(labels[:2])) == 1  # c does not occur


def test_representation_is_measured_from_equal_shares():
    assert representation_bias(np.array([0, 0, 0, 1])) == 0.25
    assert representation_bias(np.array([0, 0, 2, 2])) == pytest.approx(1 / 3)


def test_association_is_the_largest_covariance():
    attribute = np.array([0, 0, 1, 1])
    assert association_bias(attribute, np.array([[0], [0], [1], [1]])) == 0.25
    assert association_bias(attribute, np.array([[0], [1], [0], [1]])) == 0
