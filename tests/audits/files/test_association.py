"""What one property tells: values by hand, by another definition, and nothing where nothing is."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from debias.audits.files.association import (
    PropertyRule,
    auroc_inside,
    binned,
    category_rule,
    category_scores,
    coded,
    contingency,
    information,
    information_p_values,
    number_rule,
    tied_auroc_interval,
    tree_scores,
)
from debias.audits.files.unrelatedness import unrelatedness
from debias.metrics.accuracy.uncertainty import percentile_interval
from debias.metrics.leakage.artifacts import resampled_auroc
from debias.metrics.scores.ranking import auroc


def area(scores: np.ndarray, target: np.ndarray) -> float:
    return float(auroc(torch.from_numpy(scores[:, 1]), torch.from_numpy(target == 1)))


def test_a_band_in_the_middle_is_found():
    """Class 1 lies between 0.4 and 0.6: a threshold alone would have AUROC near 0.5."""
    values = np.random.default_rng(0).random(400)
    target = ((values > 0.4) & (values < 0.6)).astype(np.int64)
    fold = np.arange(400) % 5
    assert area(tree_scores(values, target, fold, 2), target) > 0.95
    assert abs(area(np.stack([1 - values, values], axis=1), target) - 0.5) < 0.1


def test_no_row_is_scored_by_what_it_taught():
    """Every row has a category of its own, which tells nothing of rows of other folds."""
    target = np.random.default_rng(1).integers(0, 2, 300)
    code = np.arange(300)
    scores = category_scores(code, target, code % 5, 2)
    assert area(scores, target) == 0.5


def test_absent_numbers_are_a_value():
    target = np.arange(200) % 2
    values = np.where(target == 1, np.nan, 3.0)
    assert area(tree_scores(values, target, np.arange(200) // 40, 2), target) == 1
    assert np.unique(binned(values)).tolist() == [0, 2]


def test_information_in_bits_is_that_of_the_log_likelihood_ratio():
    table = np.random.default_rng(2).integers(1, 40, (5, 3))
    statistic = chi2_contingency(table, lambda_="log-likelihood").statistic
    assert information(table) == pytest.approx(statistic / (2 * table.sum() * np.log(2)))


def test_p_values_are_uniform_where_nothing_is_told():
    """Of 200 useless properties about 5 % have p < 0.05, and a telling one survives Holm."""
    generator = np.random.default_rng(3)
    target = generator.integers(0, 2, 150)
    codes = [generator.integers(0, 6, 150) for _ in range(200)]
    codes.append(np.where(generator.random(150) < 0.85, target, 1 - target))
    bits, p_values = information_p_values(codes, target, 2, generator)
    assert 0.01 < (p_values[:-1] < 0.05).mean() < 0.09
    assert 0.4 < p_values[:-1].mean() < 0.6
    assert p_values[-1] * len(codes) < 1e-6
    assert bits[-1] == pytest.approx(information(contingency(codes[-1], target, 2, 2)))


def test_p_values_of_patients_are_uniform_where_nothing_is_told():
    """20 patients with 10 images each; a class and a category per patient."""
    generator = np.random.default_rng(0)
    unit = np.repeat(np.arange(20), 10)
    target = (np.arange(20) % 2)[unit]
    codes = [generator.integers(0, 4, 20)[unit] for _ in range(200)]
    _, p_values = information_p_values(codes, target, 2, generator, unit=unit)
    assert 0.01 < (p_values < 0.05).mean() < 0.09
    assert 0.4 < p_values.mean() < 0.6
    _, p_values = information_p_values(codes, target, 2, generator)
    assert (p_values < 0.05).mean() > 0.5


def test_the_interval_is_that_of_the_stratified_bootstrap():
    """Beside the bootstrap that copies rows, on scores with five distinct values."""
    generator = np.random.default_rng(4)
    target = np.arange(300) % 2
    scores = np.rint(generator.normal(target, 1.0)).clip(-1, 3)
    both = np.stack([-scores, scores], axis=1)
    value, low, high = tied_auroc_interval(both, target, generator)
    positive = torch.from_numpy(target == 1)
    assert value == pytest.approx(float(auroc(torch.from_numpy(scores), positive)))
    draw = torch.Generator().manual_seed(0)
    areas = resampled_auroc(torch.from_numpy(scores), positive, generator=draw, resamples=400)
    copied = percentile_interval(areas)
    assert low == pytest.approx(copied.low.item(), abs=0.012)
    assert high == pytest.approx(copied.high.item(), abs=0.012)


def test_rules_by_hand():
    """Class 1 is the rarer one: all of its 4 images and 2 of the 6 others are above 4.5."""
    values = np.array([1, 2, 3, 4, 5, 9, 5, 6, 7, 8.0])
    target = np.array([0] * 6 + [1] * 4)
    assert number_rule(values, target, 2) == PropertyRule(1, ">", 4.5, 4 / 6, 1.0, 2 / 6)
    falling = number_rule(-values, target, 2)
    assert falling == PropertyRule(1, "<=", -4.5, 4 / 6, 1.0, 2 / 6)
    absent = number_rule(np.r_[values, np.nan], np.r_[target, 1], 2)
    assert absent.recall == pytest.approx(4 / 5)
    code, names = coded(np.array(["jpg"] * 7 + ["png"] * 3))
    assert names == ["jpg", "png"]
    assert category_rule(code, target, 2) == PropertyRule(1, "is", 1.0, 1.0, 0.75, 0.0)


def test_rare_texts_are_one_category():
    code, names = coded(np.array([f"camera {i}" for i in range(20)] + ["camera 0"] * 5))
    assert (len(names), names[0], names[-1]) == (13, "camera 0", "other")
    assert (code == 12).sum() == 8


def test_inside_the_strata_of_its_cause_a_by_product_tells_nothing():
    """y follows a place in 95 of 100; size follows the place, and colour the class itself."""
    generator = np.random.default_rng(5)
    target = np.arange(2000) % 2
    place = np.where(generator.random(2000) < 0.95, target, 1 - target)
    size, colour = generator.normal(2 * place), generator.normal(2 * target)
    of_size, of_colour = (np.stack([-one, one], axis=1) for one in (size, colour))
    assert auroc_inside(of_size, target, place) < 0.6
    assert auroc_inside(of_colour, target, place) > 0.8
    assert auroc_inside(of_size, target, target) is None


def test_cleanlabs_score_with_the_right_baseline_and_with_the_released_one():
    """95 of 100 images are of class 0, and a useless property has accuracy 0.95."""
    target = np.array([0] * 95 + [1] * 5)
    assert unrelatedness(0.95, target) == 1
    released = np.bincount(target).argmax() / len(target)
    assert min(1, (1 - 0.95) / (1 - released)) == pytest.approx(0.05)
    assert unrelatedness(1.0, target) == 0
