"""Cross-fitted probes: nothing leaks, classes weigh the same, p-values and intervals are right."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from debias.audits.cues import picture_numbers as count
from debias.audits.cues import pictures as draw
from debias.audits.cues import probing
from debias.audits.cues.probing import (
    auroc_p_value,
    balanced_accuracy,
    class_aurocs,
    cross_fitted,
    fitted_probe,
    macro_auroc,
    recovered,
    recovered_interval,
    unit_folds,
)


def test_red_pictures_are_told_by_their_mean_colour_and_not_by_the_silhouette():
    """Class 1 adds 30 to red: mean colour 0.99, grey 0.9 since luminance moves, silhouette 0.5."""
    rng = np.random.default_rng(0)
    target = np.arange(200) % 2
    pictures = rng.integers(0, 200, (200, 16, 16, 3)).astype(np.uint8)
    pictures[target == 1, :, :, 0] += 30
    masks = np.zeros((200, 16, 16), bool)
    for mask, (top, left) in zip(masks, rng.integers(1, 8, (200, 2)), strict=True):
        mask[top : top + 6, left : left + 6] = True
    fold = unit_folds(np.arange(200), target, rng.permutation(200))

    def area(numbers):
        return np.mean(class_aurocs(cross_fitted(numbers, target, fold, classes=2), target))

    assert area(count.mean_colour(pictures)) >= 0.99
    assert area(count.mean_colour(draw.without_colour(pictures))) >= 0.9
    assert area(count.mean_colour(draw.silhouette(pictures, masks))) == pytest.approx(0.5, abs=0.08)


def test_units_share_a_fold_and_classes_are_spread():
    """40 units of 3 rows, two classes: 8 units per fold, 4 of each class."""
    unit = np.repeat(np.arange(40), 3)
    target = unit % 2
    fold = unit_folds(unit, target, np.random.default_rng(0).permutation(120))
    assert all(len(set(fold[unit == one])) == 1 for one in range(40))
    assert np.array_equal(np.bincount(fold * 2 + target), np.full(10, 12))


def test_folds_follow_the_rank_and_not_the_order_of_rows():
    rng = np.random.default_rng(1)
    unit, target, rank = np.arange(30) // 2, np.arange(30) // 2 % 3, rng.permutation(30)
    moved = rng.permutation(30)
    fold = unit_folds(unit, target, rank)
    assert np.array_equal(unit_folds(unit[moved], target[moved], rank[moved]), fold[moved])


def test_a_row_is_scored_by_a_probe_that_never_saw_its_fold():
    """A number that names the row is useless; with its copy in another fold it would tell all."""
    rng = np.random.default_rng(0)
    names = np.repeat(rng.normal(size=(60, 80)), 2, axis=0).astype(np.float32)
    target = np.repeat(rng.permutation(np.arange(60) % 2), 2)
    apart = unit_folds(np.arange(120), target, rng.permutation(120))
    together = unit_folds(np.repeat(np.arange(60), 2), target, rng.permutation(120))
    areas = [
        np.mean(class_aurocs(cross_fitted(names, target, fold, classes=2), target))
        for fold in (apart, together)
    ]
    assert areas[0] > 0.8
    assert areas[1] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_probe_is_scikit_learns_and_balances_classes(classes):
    rng = np.random.default_rng(0)
    target = np.r_[np.zeros(90, int), np.ones(30, int), np.full(30 * (classes - 2), 2)]
    numbers = (rng.normal(size=(len(target), 4)) * [1, 5, 1, 1] + target[:, None]).astype("f4")
    scaler = StandardScaler().fit(numbers)
    expected = LogisticRegression(class_weight="balanced").fit(scaler.transform(numbers), target)
    scores = fitted_probe(numbers, target, classes=classes + 1).scores(numbers)
    assert scores[:, :classes] == pytest.approx(
        expected.predict_proba(scaler.transform(numbers)), abs=0.01
    )
    assert not scores[:, classes].any()  # a class without rows


def test_a_constant_number_and_a_single_class_say_nothing():
    numbers = np.ones((6, 2), np.float32)
    assert fitted_probe(numbers, np.arange(6) % 2, classes=2).scores(numbers) == pytest.approx(0.5)
    assert (
        fitted_probe(numbers, np.zeros(6, int), classes=2).scores(numbers)[:, 0].tolist() == [1] * 6
    )


@pytest.mark.parametrize("rows", [200, 700])
def test_many_features_are_reduced_and_the_class_is_still_told(rows):
    """600 features, more or fewer rows: the class moves the three strongest directions."""
    rng = np.random.default_rng(0)
    target = np.arange(rows) % 2
    hidden = rng.normal(size=(rows, 3)) + 2 * target[:, None]
    features = (hidden @ rng.normal(size=(3, 600)) + rng.normal(size=(rows, 600))).astype("f4")
    held = fitted_probe(features[: rows // 2], target[: rows // 2], classes=2)
    assert balanced_accuracy(held.scores(features[rows // 2 :]), target[rows // 2 :]) > 0.9


def test_the_p_value_is_that_of_the_rank_sum_test():
    """Two classes: Mann-Whitney without continuity correction, with ties."""
    rng = np.random.default_rng(0)
    target = (rng.random(50) < 0.3).astype(int)
    score = (rng.normal(size=50) + target).round(1)
    expected = mannwhitneyu(
        score[target == 1],
        score[target == 0],
        alternative="greater",
        method="asymptotic",
        use_continuity=False,
    ).pvalue
    found = auroc_p_value(np.stack([-score, score], axis=1), target)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_p_value_of_three_classes_agrees_with_shuffled_classes():
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], [20, 15, 10])
    scores = rng.normal(size=(45, 3)) + 0.35 * np.eye(3)[target]
    own = np.mean(class_aurocs(scores, target))
    shuffled = [np.mean(class_aurocs(scores, rng.permutation(target))) for _ in range(600)]
    assert auroc_p_value(scores, target) == pytest.approx(np.mean(shuffled >= own), abs=0.03)
    assert auroc_p_value(scores, np.zeros(45, int)) == 1


def test_classes_are_shuffled_among_whole_units():
    label, unit = np.array([3, 1, 1, 2, 2, 2, 0]), np.array([9, 4, 4, 7, 7, 7, 5])
    shuffled = probing.shuffled_labels(label, unit, np.random.default_rng(0), count=50)
    assert all(len(set(row[unit == one].tolist())) == 1 for row in shuffled for one in unit)
    assert {tuple(sorted(set(row.tolist()))) for row in shuffled} == {(0, 1, 2, 3)}
    alone = probing.shuffled_labels(label, np.arange(7), np.random.default_rng(0), count=2)
    rng = np.random.default_rng(0)
    assert alone.tolist() == [rng.permutation(label).tolist() for _ in range(2)]


def test_ten_equal_images_of_a_patient_are_no_ten_pieces_of_evidence():
    """The p-value of 20 patients is that of one image of each, and not that of 200 images."""
    rng = np.random.default_rng(0)
    target = np.arange(20) % 2
    score = rng.normal(size=20) + 0.5 * target
    scores = np.stack([-score, score], axis=1)
    ten, unit = np.tile(scores, (10, 1)), np.tile(np.arange(20), 10)
    single = auroc_p_value(scores, target)
    assert auroc_p_value(scores, target, unit=np.arange(20)) == single
    assert auroc_p_value(ten, np.tile(target, 10), unit=unit) == pytest.approx(single, abs=0.03)
    assert auroc_p_value(ten, np.tile(target, 10)) < single / 50


def test_intervals_hold_the_value_and_shrink_with_the_rows():
    rng = np.random.default_rng(0)
    target = np.arange(400) % 2
    score = rng.normal(size=400) + target
    scores = np.stack([-score, score], axis=1)
    large, small = (
        macro_auroc(scores, target, seed=0),
        macro_auroc(scores[:50], target[:50], seed=0),
    )
    assert large.low < large.value < large.high
    assert large.value == pytest.approx(0.76, abs=0.05)  # Phi(1 / sqrt 2)
    assert small.high - small.low > 1.5 * (large.high - large.low)


def test_the_interval_of_three_classes_has_the_width_of_a_bootstrap_of_rows():
    """Each class is drawn once per sample, and all its AUROCs are computed from this sample."""
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], [60, 50, 40])
    scores = rng.normal(size=(150, 3)) + np.eye(3)[target] + rng.normal(size=(150, 1)) * [1, 0, -1]
    found = macro_auroc(scores, target, seed=0)
    parts = [np.flatnonzero(target == one) for one in range(3)]
    drawn = []
    for _ in range(1500):
        rows = np.concatenate([rng.choice(part, len(part)) for part in parts])
        drawn.append(np.mean([rank_area(scores[rows, c], target[rows] == c) for c in range(3)]))
    assert found.value == pytest.approx(np.mean(class_aurocs(scores, target)))
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.06)
    perfect = macro_auroc(np.eye(3)[target], target, seed=0)
    assert perfect == (1, 1, 1)


def rank_area(score, positive):
    wins = rankdata(score)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return wins / (positive.sum() * (~positive).sum())


def test_recovered_is_a_share_of_what_the_whole_image_tells(monkeypatch):
    """All of 40 right by the whole image, 30 of 40 by the cue: (.75 - .5) / (1 - .5)."""
    target = np.repeat([0, 1], 20)
    full = np.eye(2)[target]
    cue = np.eye(2)[np.where(np.arange(40) % 4 == 0, 1 - target, target)]
    monkeypatch.setattr(probing, "RESAMPLES", 500)
    share = recovered_interval(cue, full, target, seed=0)
    assert share.value == pytest.approx(0.5)
    assert 0.15 < share.low < 0.4
    assert 0.6 < share.high < 0.85
    assert recovered(0.7, 0.5, classes=2) == 0  # the whole image tells nothing
