"""What a model leans on: numbers by hand, and models made by hand whose leaning is known."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from debias.audits.leaning import reliance
from debias.audits.leaning.clones import gaussian_clones
from debias.audits.leaning.paired import agreement, class_average, class_interval, paired_change
from debias.audits.leaning.parts_of_pictures import (
    PARTS,
    border_of,
    exchanged,
    grey_filled,
    noisy,
    patches_exchanged,
)
from debias.audits.leaning.reliance import (
    attraction,
    patch_selectivity,
    perceptual_score,
    relative_foreground_sensitivity,
    spuriosity_gaps,
)
from debias.audits.leaning.stamps import Stamp, found_stamps, stamped


def pictures(count=12, side=16, seed=0):
    return np.random.default_rng(seed).integers(60, 196, (count, side, side, 3), np.uint8)


def test_a_paired_change_weighs_classes_equally_and_is_mcnemars():
    target = np.array([0] * 6 + [1] * 2)
    before = np.array([1, 1, 1, 1, 1, 1, 1, 0], bool)
    after = np.array([1, 1, 1, 0, 0, 0, 1, 1], bool)
    change = paired_change(before, after, target)
    assert change.before == pytest.approx((1 + 0.5) / 2)
    assert change.after == pytest.approx((0.5 + 1) / 2)
    assert change.difference == pytest.approx(0)
    assert change.p_value == pytest.approx(binomtest(1, 4).pvalue)
    # by hand: class 0 has b = 0.5, c = 3.5, n = 8; class 1 has b = 1.5, c = 0.5, n = 4
    variance = (4 - 9 / 8) / 64 + (2 - 1 / 4) / 16
    assert change.high - change.difference == pytest.approx(1.959964 * variance**0.5 / 2)
    assert paired_change(before, before, target).p_value == 1


def test_the_interval_of_a_class_average():
    target, right = np.array([0] * 8 + [1] * 2), np.array([1] * 6 + [0] * 2 + [1, 1], bool)
    low, high = class_interval(right, target)
    variance = 0.7 * 0.3 / 10 + 0.75 * 0.25 / 4
    assert (low + high) / 2 == pytest.approx(class_average(right, target))
    assert high - low == pytest.approx(1.959964 * variance**0.5)


def test_agreement_is_cohens_kappa():
    rows = np.random.default_rng(0).integers(0, 3, (2, 40))
    assert agreement(*rows) == pytest.approx(cohen_kappa_score(*rows))
    assert agreement(rows[0], rows[0]) == 1
    assert math.isnan(agreement(np.zeros(3, int), np.zeros(3, int)))


def test_class_average():
    assert class_average(np.array([True, False, True]), np.array([0, 0, 1])) == 0.75


def test_relative_foreground_sensitivity_is_that_of_the_official_code():
    """``compute_rfs`` of mmoayeri/HardImageNet on the same accuracies."""
    assert relative_foreground_sensitivity(0.5, 0.8) == pytest.approx(0.3 / 0.7)
    official = {(0.9, 0.7): -0.5, (0.1, 0.3): 0.5, (0.25, 1.0): 1.0, (0.6, 0.6): 0, (1, 1): 0}
    for accuracies, value in official.items():
        assert relative_foreground_sensitivity(*accuracies) == pytest.approx(value)


def test_noise_stays_in_its_part_and_has_its_size():
    images = np.full((4, 16, 16, 3), 127, np.uint8)
    where = np.zeros((4, 16, 16), bool)
    where[:, :8] = True
    changed = noisy(images, where, np.random.default_rng(0), sigma=0.1)
    assert np.array_equal(changed[:, 8:], images[:, 8:])
    assert (changed[:, :8] / 255.0).std() == pytest.approx(0.1, rel=0.05)
    by_length = noisy(images, where, np.random.default_rng(0), length=2.0)
    lengths = np.linalg.norm((by_length / 255.0 - 127 / 255).reshape(4, -1), axis=1)
    assert lengths == pytest.approx([2.0] * 4, rel=0.01)


def test_each_part_is_taken_from_the_other_picture_and_nothing_else():
    one, other = pictures(3), pictures(3, seed=1)
    frame = border_of(one)
    assert frame[0].sum() == 16 * 16 - 12 * 12
    bordered = PARTS["border"](one, other)
    assert np.array_equal(bordered[frame], other[frame])
    assert np.array_equal(bordered[~frame], one[~frame])
    assert np.array_equal(exchanged(one, other, ~frame)[frame], one[frame])
    grey = np.repeat(other[..., :1], 3, axis=3)
    recoloured = PARTS["colour"](one, grey)
    assert np.abs(np.ptp(recoloured.astype(int), axis=3)).max() <= 1
    flat = np.full_like(one, 128)
    assert PARTS["high frequencies"](one, flat).std() < 0.7 * one.std()
    for change in PARTS.values():
        assert np.abs(change(one, one).astype(int) - one).max() <= 2
    assert np.unique(grey_filled(one, frame)[frame]).tolist() == [127]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_share_of_the_patches_is_exchanged(share):
    black, white = np.zeros((5, 12, 16, 3), np.uint8), np.full((5, 12, 16, 3), 255, np.uint8)
    changed = patches_exchanged(black, white, np.random.default_rng(0), share=share, size=4)
    assert (changed[:, ::4, ::4, 0] == 255).sum(axis=(1, 2)).tolist() == [round(12 * share)] * 5
    assert np.array_equal(changed, changed[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2))


def test_perceptual_score_of_a_part_that_is_all_and_of_one_that_is_nothing():
    assert perceptual_score(0.9, 0.9, 0.5) == 0
    assert perceptual_score(0.9, 0.5, 0.5) == 1
    assert math.isnan(perceptual_score(0.5, 0.5, 0.5))
    assert patch_selectivity([1.0, 0.6, 0.4], [0.0, 0.1, 0.5]) == pytest.approx(0.56)


def test_a_stamp_attracts_a_model_that_reads_it():
    """The model says 1 if the corner is bright; the stamp of class 1 is a white corner."""
    images, target = pictures(20), np.arange(20) % 2
    stamp = Stamp(np.full((3, 3, 3), 255, np.uint8), np.ones((3, 3)), 0, 0)
    images[target == 1] = stamped(images[target == 1], stamp)

    def reads(these):
        return (these[:, :3, :3].mean(axis=(1, 2, 3)) > 200).astype(np.int64)

    assert np.array_equal(reads(images), target)
    (found, _) = found_stamps(images, target)
    assert (found.target, found.stamp.top, found.stamp.left) == (1, 0, 0)
    # cells are 2 pixels wide: the stamp is found, though not whole
    assert found.stamp.picture.tolist() == [[[255] * 3] * 2] * 2
    told = attraction(reads(images), reads(stamped(images, stamp)), target, to=1)
    assert told == (-1, 1, 10)
    assert attraction(target, target, target, to=1)[:2] == (0, 0)


def test_the_feature_that_is_the_water_has_a_gap_of_one(monkeypatch):
    """Feature 0 is an indicator of water, and the model is right if and only if there is water."""
    water = np.tile([1, 0], 20).astype(bool)
    target = np.arange(40) // 20
    features = np.stack([water, np.ones(40), np.random.default_rng(0).random(40)], axis=1)
    weight = np.array([[0.1, 5, 0], [3.0, 0, 0.1]], np.float32)
    gaps = spuriosity_gaps(features.astype(np.float32), weight, target, water, images=10)
    assert (gaps[0].feature, gaps[0].gap) == (0, 1)
    assert {(each.target, each.feature) for each in gaps if each.gap == 1} == {(0, 0), (1, 0)}
    assert set(gaps[0].highest) <= set(water.nonzero()[0].tolist())
    monkeypatch.setattr(reliance, "FEATURES", 1)
    most = spuriosity_gaps(features.astype(np.float32), weight, target, water, images=10)
    assert {each.target: each.feature for each in most} == {0: 1, 1: 0}


def test_a_linear_reader_scores_alike_on_two_gaussians_and_on_their_clone():
    generator, target = np.random.default_rng(0), np.arange(400) % 2
    noise = generator.normal(0, 25, (400, 8, 8, 3))
    images = (128 + noise + 6 * target[:, None, None, None]).clip(0, 255).astype(np.uint8)

    def accuracy(these):
        return ((these.mean(axis=(1, 2, 3)) > 130.5) == target).mean()

    for covariance in (False, True):
        cloned = gaussian_clones(images, target, generator, covariance=covariance, side=8)
        assert accuracy(cloned) == pytest.approx(accuracy(images), abs=0.03)
        assert cloned.std() == pytest.approx(images.std(), rel=0.05)


def test_clones_with_shared_covariance_keep_only_the_means():
    """The classes differ in contrast alone, which a clone by means does not have."""
    generator, target = np.random.default_rng(1), np.arange(200) % 2
    images = 128 + generator.normal(0, 10, (200, 6, 6, 3)) * (1 + 3 * target[:, None, None, None])
    images = images.clip(0, 255).astype(np.uint8)
    spreads = []
    for covariance in (True, False):
        cloned = gaussian_clones(images, target, generator, covariance=covariance, side=6)
        spreads.append([cloned[target == one].std() for one in (0, 1)])
    assert spreads[0] == pytest.approx([10, 40], rel=0.1)
    assert spreads[1][0] == pytest.approx(spreads[1][1], rel=0.1)
