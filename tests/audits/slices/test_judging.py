"""Slices on images on which they were not found."""

import numpy as np
import pytest
from scipy.stats import binomtest

from debias.audits.slices.judging import different_slices, judged_slices, slice_precisions


def members_of(count: int, *parts: range) -> np.ndarray:
    members = np.zeros((count, len(parts)), bool)
    for number, part in enumerate(parts):
        members[part, number] = True
    return members


def test_a_slice_is_compared_with_the_others_of_its_class():
    """Class 0 has 100 images, 80 right; of the slice of 20, 4 are right, of the others 76."""
    target, correct = np.repeat([0, 1], 100), np.ones(200, bool)
    correct[:16], correct[96:100] = False, False
    (one,) = judged_slices(members_of(200, range(20)), target, correct)
    assert (one.target, one.images, one.accuracy, one.others) == (0, 20, 0.2, 76 / 80)
    low, high = binomtest(4, 20).proportion_ci(method="wilson")
    assert (one.low, one.high) == pytest.approx((low, high))
    assert one.strength == "strong"


def test_a_difference_that_may_be_chance_is_no_finding():
    """Of 12 images 10 are right, of the 88 others 82: 93 %."""
    target, correct = np.zeros(100, np.int64), np.ones(100, bool)
    correct[:2], correct[94:] = False, False
    (one,) = judged_slices(members_of(100, range(12)), target, correct)
    assert one.others - one.accuracy == pytest.approx(82 / 88 - 10 / 12)
    assert one.strength == "none found"


def test_worst_first_with_p_values_of_holm_and_empty_slices_last():
    target, correct = np.zeros(100, np.int64), np.ones(100, bool)
    correct[:10], correct[20:25] = False, False
    parts = (range(0), range(20, 40), range(20))
    first, second, third = judged_slices(members_of(100, *parts), target, correct)
    assert [first.number, second.number, third.number] == [2, 1, 0]
    alone = judged_slices(members_of(100, range(20)), target, correct)[0]
    assert first.p_value == pytest.approx(3 * alone.p_value)
    assert np.isnan(third.accuracy)
    assert third.strength == "none found"


def test_slices_of_the_same_images_count_once():
    members = members_of(60, range(20), range(2, 22), range(30, 50))
    correct = np.ones(60, bool)
    correct[:10], correct[30:35] = False, False
    judged = judged_slices(members, np.zeros(60, np.int64), correct)
    assert [one.number for one in different_slices(judged, members)] == [0, 2]


def test_precision_is_that_of_the_best_slice_for_each_class():
    """Twelve wrong images of class 0, of which one slice has eleven among its first; none of 1."""
    target, true = np.repeat([0, 1], 20), np.arange(40) < 12
    weight = np.zeros((40, 2))
    weight[1:13, 0] = np.linspace(1, 0.5, 12)
    weight[30:, 1] = 0.9
    first, second = slice_precisions(weight, true, target)
    assert first == 1
    assert np.isnan(second)
    (only,) = slice_precisions(weight[:4], true[:4], target[:4])
    assert only == 1
