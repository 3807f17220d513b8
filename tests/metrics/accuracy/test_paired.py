"""Paired comparison of worst groups: against every possible resample, and by hand."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from debias.metrics.accuracy.significance import (
    holm,
    resampled_mean_difference,
    resampled_worst_groups,
    two_sided_p_value,
    worst_group_difference,
)
from debias.sweeps.report_pairs import LEVEL, Pair

Array = NDArray[np.generic]

#: Two seeds (rows) on two images of group 0 and three of group 1.
GROUP = [0, 0, 1, 1, 1]
FIRST = [[1, 1, 1, 1, 0], [1, 0, 1, 1, 1]]
SECOND = [[1, 0, 1, 0, 0], [0, 1, 1, 0, 1]]


def arrays() -> tuple[Array, Array, Array]:
    return np.array(FIRST, bool), np.array(SECOND, bool), np.array(GROUP)


def resampled(
    first: Array, second: Array, group: Array, *, resamples: int = 9999, seed: int = 0
) -> Array:
    generator, seeds = np.random.default_rng(seed), len(first)
    worst = resampled_worst_groups(
        np.concatenate([first, second]), group, generator=generator, resamples=resamples
    )
    return resampled_mean_difference(worst[:, :seeds], worst[:, seeds:], generator=generator)


def all_resamples() -> dict[Fraction, Fraction]:
    """Probability of each difference, from all 2^2 x 3^3 draws of images and both draws of one
    seed, in fractions.
    """
    found: Counter[Fraction] = Counter()
    draws = itertools.product(
        itertools.product([0, 1], repeat=2), itertools.product([2, 3, 4], repeat=3), [0, 1]
    )
    outcomes = 0
    for zeros, ones, seed in draws:
        worst = [
            min(
                Fraction(sum(rows[seed][image] for image in images), len(images))
                for images in (zeros, ones)
            )
            for rows in (FIRST, SECOND)
        ]
        found[worst[0] - worst[1]] += 1
        outcomes += 1
    return {difference: Fraction(count, outcomes) for difference, count in found.items()}


def test_differences_by_hand() -> None:
    """Seed 0: min(2/2, 2/3) - min(1/2, 1/3) = 1/3. Seed 1: min(1/2, 3/3) - min(1/2, 2/3) = 0."""
    assert worst_group_difference(*arrays()).tolist() == pytest.approx([1 / 3, 0])


def test_the_bootstrap_has_the_exact_distribution() -> None:
    """Frequencies among 40,000 resamples lie within 5 errors of enumerated probabilities."""
    expected, drawn = all_resamples(), resampled(*arrays(), resamples=40_000)
    assert sum(expected.values()) == 1
    counted = 0
    for difference, probability in expected.items():
        share = float((np.abs(drawn - float(difference)) < 1e-9).mean())
        error = (float(probability) * (1 - float(probability)) / 40_000) ** 0.5
        assert share == pytest.approx(float(probability), abs=5 * error)
        counted += share * 40_000
    assert round(counted) == 40_000


def test_seeds_vary_by_the_variance_of_their_mean() -> None:
    """Images that cannot vary; differences 0, 0, 1 over three seeds: mean 1/3, and s^2 / 3 = (1/3)
    / 3 = 1/9.
    """
    first = np.array([[False], [False], [True]])
    drawn = resampled(first, np.zeros_like(first), np.array([0]), resamples=40_000)
    assert float(drawn.mean()) == pytest.approx(1 / 3, abs=5 / 3 / 200)
    assert float(drawn.var(ddof=1)) == pytest.approx(1 / 9, rel=0.03)


def test_pairing_is_what_makes_a_small_difference_certain() -> None:
    """Of 1,000 images both are wrong about 400; the first is right about 10 more. Mean 10/1000,
    variance of a draw 0.01 x 0.99, so that the standard error is sqrt(0.0099 / 1000) = 0.00315;
    unpaired it were 0.0219."""
    image = np.arange(1000)
    first, second = (image >= 400)[None], (image >= 410)[None]
    drawn = resampled(first, second, np.zeros(1000, int))
    assert float(drawn.mean()) == pytest.approx(0.01, abs=5 * 0.00315 / 100)
    assert float(drawn.std(ddof=1)) == pytest.approx(0.00315, rel=0.05)
    assert two_sided_p_value(drawn) < 0.01


def test_a_difference_beside_its_interval_is_not_real() -> None:
    """100 groups of 50 images. The first method gets 40 of each group, the second 40 of one group
    and 49 of the others, in both seeds: both worst groups are 0.8. The worst resample of 100
    binomials of 50 and 0.8 is about 2.5 deviations of 0.057 lower than that of one.
    """
    place, group = np.tile(np.arange(50), 100), np.repeat(np.arange(100), 50)
    first, second = place < 40, place < np.where(group == 0, 40, 49)
    both = [np.stack([right, right]) for right in (first, second)]
    drawn = resampled(*both, group, resamples=999)
    differences = tuple(worst_group_difference(*both, group).tolist())
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    assert differences == (0, 0)
    assert float(drawn.mean()) == pytest.approx(-0.15, abs=0.02)
    pair = Pair("first", "second", (0, 1), differences, low, high, two_sided_p_value(drawn))
    assert high < 0
    assert pair.p_value < LEVEL
    assert not pair.real
    assert pair._replace(differences=(low, low)).real


def test_the_same_predictions_never_differ() -> None:
    first, _, group = arrays()
    drawn = resampled(first, first, group)
    assert not drawn.any()
    assert two_sided_p_value(drawn) == 1


def test_swapping_the_methods_swaps_the_sign() -> None:
    first, second, group = arrays()
    np.testing.assert_allclose(
        worst_group_difference(second, first, group), -worst_group_difference(*arrays())
    )


def test_images_of_unknown_group_and_their_order_do_not_matter() -> None:
    first, second, group = arrays()
    order = np.array([4, 1, 3, 0, 2])
    more = [
        np.concatenate([rows[:, order], np.array([[False], [True]])], axis=1)
        for rows in (first, second)
    ]
    groups = np.append(group[order], -1)
    np.testing.assert_array_equal(
        worst_group_difference(*more, groups), worst_group_difference(first, second, group)
    )
    np.testing.assert_array_equal(resampled(*more, groups), resampled(first, second, group))


def test_a_run_is_resampled_alike_whatever_is_compared_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Equal runs have the same accuracies on every resample, also where few are drawn at a time."""
    first, second, group = arrays()
    monkeypatch.setattr("debias.metrics.accuracy.significance.DRAWN", 64)
    right = np.concatenate([first, second, first])
    worst = resampled_worst_groups(right, group, generator=np.random.default_rng(0), resamples=999)
    np.testing.assert_array_equal(worst[:, :2], worst[:, 4:])
    assert set(worst[:, 0].round(6)) == {0.0, 0.333333, 0.666667, 1.0}


def test_p_value_by_hand() -> None:
    """Of 39 differences one is below zero and one is zero: 2 x (1 + 2) / 40; all above: 2 / 40."""
    assert two_sided_p_value(np.array([-0.1, 0.0] + [0.2] * 37)) == pytest.approx(0.15)
    assert two_sided_p_value(np.array([0.2] * 39)) == pytest.approx(0.05)


def test_holm_equals_its_definition() -> None:
    """Sorted 0.01, 0.02, 0.02, 0.9 times 4, 3, 2, 1: 0.04, 0.06, 0.04 raised to 0.06, 0.9."""
    assert holm(np.array([0.9, 0.02, 0.01, 0.02])).tolist() == pytest.approx(
        [0.9, 0.06, 0.04, 0.06]
    )
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


@pytest.mark.parametrize(
    ("seeds", "entries", "group", "words"),
    [((1, 2), 2, 0, "same seeds"), ((1, 1), 3, 0, r"group \(N,\)"), ((1, 1), 2, -1, "no image")],
)
def test_what_cannot_be_compared_is_refused(
    seeds: tuple[int, int], entries: int, group: int, words: str
) -> None:
    first, second = (np.ones((count, 2), bool) for count in seeds)
    with pytest.raises(ValueError, match=words):
        worst_group_difference(first, second, np.full(entries, group))
