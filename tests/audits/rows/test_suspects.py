"""The confident joint, and the suspects by slice."""

import numpy as np
import pytest

from debias.audits.rows.suspects import confident_joint, suspects_by_slice


def test_the_joint_of_six_images():
    """Means .6 (of P(0) on label 0) and .6667; images 2 and 5 are sure of the other class."""
    one = np.array([0.1, 0.2, 0.9, 0.8, 0.9, 0.3])
    found = confident_joint(np.stack([1 - one, one], axis=1), np.array([0, 0, 0, 1, 1, 1]))
    assert found.thresholds == pytest.approx([0.6, 2 / 3])
    assert found.counts.tolist() == [[2, 1], [1, 2]]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1, 0]
    assert found.suspects.tolist() == [2, 5]  # own probability .1 before .3


def test_an_image_below_all_thresholds_is_not_counted():
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.2, 0.8]])
    found = confident_joint(shares, np.array([0, 0, 1, 1, 1]))
    assert found.thresholds == pytest.approx([0.9, (0.45 + 0.8 + 0.8) / 3])
    assert found.suggested.tolist() == [0, 0, -1, 1, 1]
    assert found.counts.sum() == 4
    assert not len(found.suspects)


def test_a_class_without_images_is_never_suggested():
    shares = np.array([[0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.4, 0.5, 0.1]])
    found = confident_joint(shares, np.array([0, 0, 2]))
    assert np.isnan(found.thresholds[1])
    assert 1 not in found.suggested


def test_a_permutation_of_rows_permutes_the_suspects():
    rng = np.random.default_rng(0)
    shares, target = rng.dirichlet(np.ones(3), 60), rng.integers(0, 3, 60)
    order = rng.permutation(60)
    before, after = confident_joint(shares, target), confident_joint(shares[order], target[order])
    assert before.suspects.tolist() == order[after.suspects].tolist()
    assert (before.counts == after.counts).all()


def test_a_minority_that_holds_most_suspects_is_warned_of():
    """5 % of 400 images hold 12 of 16 suspects: 15 times their share."""
    members = np.zeros((400, 2), bool)
    members[:20, 0], members[20:, 1] = True, True
    suspect = np.zeros(400, bool)
    suspect[:12], suspect[100:104] = True, True
    first, second = suspects_by_slice(suspect, members, ["minority", "rest"])
    assert (first.name, first.images, first.suspects, first.warned) == ("minority", 20, 12, True)
    assert first.ratio == pytest.approx(15)
    assert second.ratio == pytest.approx(4 * 400 / (380 * 16))
    assert not second.warned


def test_few_suspects_are_no_warning():
    """One of two suspects in a twentieth of the images is ten times its share, and chance."""
    members = np.zeros((400, 1), bool)
    members[:20] = True
    suspect = np.zeros(400, bool)
    suspect[[3, 300]] = True
    (share,) = suspects_by_slice(suspect, members, ["minority"])
    assert share.ratio == pytest.approx(10)
    assert not share.warned
    assert suspects_by_slice(np.zeros(400, bool), members, ["minority"])[0].ratio == 0
