"""Whether splits were drawn alike."""

import numpy as np
import pytest

from debias.audits.rows.splits import ALL_CLASSES, split_differences


def halves(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count) % 2 == 0


def differences(numbers, second, target, seed=0, unit=None):
    return split_differences(
        numbers.astype(np.float32),
        second,
        target,
        halves(len(target), seed) if unit is None else unit % 2 == 0,
        generator=np.random.default_rng(seed),
        unit=unit,
    )


def test_a_random_split_is_not_told_apart():
    """Even if one split has mostly images of one class, which differ from the others."""
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1], 600)
    numbers = rng.normal(size=(1200, 4)) + 3 * target[:, None]
    second = rng.random(1200) < np.array([0.2, 0.7])[target]
    whole, *each = differences(numbers, second, target)
    assert [one.target for one in each] == [0, 1]
    assert whole.target == ALL_CLASSES
    assert abs(whole.auroc - 0.5) < 0.06
    assert whole.p_value > 0.05
    assert whole.low < 0.5 < whole.high


def test_a_difference_inside_one_class_is_found_there():
    rng = np.random.default_rng(1)
    target, second = np.arange(800) % 2, rng.random(800) < 0.5
    numbers = rng.normal(size=(800, 3))
    numbers[(target == 1) & second, 0] += 2
    whole, first, other = differences(numbers, second, target)
    assert other.auroc == pytest.approx(0.92, abs=0.04)  # of normals two deviations apart
    assert other.low < other.auroc < other.high
    assert other.p_value == 1 / 2000
    assert first.p_value > 0.01
    assert whole.auroc == pytest.approx((first.auroc + other.auroc) / 2)


def test_splits_of_whole_patients_are_not_told_apart_by_their_patients():
    rng = np.random.default_rng(3)
    unit, target = np.repeat(np.arange(24), 10), np.zeros(240, np.int64)
    values = []
    for seed in range(20):
        numbers = rng.normal(size=(24, 2))[unit] + 0.1 * rng.normal(size=(240, 2))
        second = (np.arange(24) // 2 % 2 == 0)[unit]
        values.append(differences(numbers, second, target, seed, unit)[0].p_value)
    assert 0.25 < np.mean(values) < 0.75
    assert min(values) > 0.005


def test_p_values_of_random_splits_are_uniform():
    rng = np.random.default_rng(2)
    numbers, target = rng.normal(size=(120, 2)), np.zeros(120, np.int64)
    values = [
        differences(numbers, rng.permutation(120) % 2 == 0, target, seed)[0].p_value
        for seed in range(20)
    ]
    assert 0.25 < np.mean(values) < 0.75
    assert min(values) > 1 / 2000


def test_intervals_are_those_of_a_loop():
    """Standard error of the bootstrap: that of Hanley and McNeil's formula, within a fifth."""
    rng = np.random.default_rng(3)
    second = np.arange(400) % 2 == 0
    numbers = (rng.normal(size=(400, 1)) + second[:, None]).astype(np.float32)
    one = differences(numbers, second, np.zeros(400, np.int64))[1]
    area, count = one.auroc, one.images / 2
    first, other = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (count - 1) * (first + other - 2 * area**2)
    error = np.sqrt(variance) / count
    assert one.high - one.low == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_few_images_of_a_split_are_not_compared():
    numbers, target = np.zeros((100, 2)), np.zeros(100, np.int64)
    assert differences(numbers, np.arange(100) < 15, target) == []
