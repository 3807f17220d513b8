"""Which cue explains which, on scores whose relation is known."""

import numpy as np
import pytest

from debias.audits.cues.strata import alike_within_classes, explained_by, explains, stratified_auroc


def scores_of(value):
    return np.stack([-value, value], axis=1)


def graded(rows=2000, seed=0):
    """The class, a cue that follows it, and a noisy copy of the cue."""
    rng = np.random.default_rng(seed)
    target = np.arange(rows) % 2
    cue = target + rng.normal(size=rows)
    return target, cue, cue + 0.5 * rng.normal(size=rows), target + rng.normal(size=rows)


def test_a_copy_says_nothing_inside_the_strata_and_another_cue_does():
    target, cue, copy, other = graded()
    assert stratified_auroc(scores_of(copy), scores_of(cue), target) == pytest.approx(0.5, abs=0.05)
    assert stratified_auroc(scores_of(other), scores_of(cue), target) == pytest.approx(
        0.76, abs=0.04
    )


def test_strata_by_hand():
    """20 rows, two per stratum; in 10 - k of the strata the positive wins: 1 - k / 10."""
    other = np.repeat(np.arange(10.0), 2)
    target = np.tile([0, 1], 10)
    score = target.astype(float)
    score[:6] = 1 - score[:6]  # the first three strata are turned round
    rows = np.tile(np.arange(20), 4)  # four copies, so that there are enough pairs: 16 per stratum
    area = stratified_auroc(scores_of(score[rows]), scores_of(other[rows]), target[rows])
    assert area == pytest.approx(0.7)


def test_a_perfect_cue_leaves_no_stratum_to_compare_in():
    target = np.arange(200) % 2
    perfect = target + 0.01 * np.random.default_rng(0).normal(size=200)
    assert np.isnan(stratified_auroc(scores_of(perfect), scores_of(perfect), target))
    assert explains(scores_of(perfect), scores_of(perfect), target, alone=1)  # varies with itself
    unrelated = target + 0.01 * np.random.default_rng(1).normal(size=200)
    assert not explains(scores_of(unrelated), scores_of(perfect), target, alone=1)


def test_scores_vary_together_or_not_within_classes():
    target, cue, copy, other = graded()
    assert alike_within_classes(scores_of(copy), scores_of(cue), target) > 0.8
    assert abs(alike_within_classes(scores_of(other), scores_of(cue), target)) < 0.1
    assert alike_within_classes(scores_of(cue * 0), scores_of(cue), target) == 0


def test_the_strongest_explains_its_copies_and_equals_with_more_numbers():
    target, cue, copy, other = graded()
    lists = [scores_of(one) for one in (copy, cue, other)]
    assert explained_by(lists, target, areas=[0.71, 0.76, 0.75], sizes=[1, 1, 1]) == [1, -1, -1]
    twins = [scores_of(cue), scores_of(cue + 1e-3)]
    assert explained_by(twins, target, areas=[0.761, 0.759], sizes=[64, 3]) == [1, -1]


def test_a_weak_cue_is_not_explained_by_being_weak():
    """Its AUROC of 0.56 is below 0.6 in the strata of anything."""
    target, cue, *_ = graded()
    weak = 0.2 * target + np.random.default_rng(5).normal(size=len(target))
    assert not explains(scores_of(weak), scores_of(cue), target, alone=0.56)
