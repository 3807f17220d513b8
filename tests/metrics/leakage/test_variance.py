"""Variance of features by target and by bias, against sums by hand."""

import math

import pytest
import torch

from debias.errors import InputError
from debias.metrics.leakage.variance import variance_explained, variance_report


def test_a_feature_that_is_the_target_is_explained_by_it_alone():
    z = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    target, bias = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert variance_report(z, bias, target) == {
        "variance/target": 1.0,
        "variance/bias": 0.0,
        "variance/bias_alone": 0.0,
    }
    assert variance_report(z, target, bias)["variance/bias_alone"] == 1.0


def test_it_is_the_sum_over_dimensions_by_hand():
    generator = torch.Generator().manual_seed(0)
    z, value = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
    mean = z.mean(dim=0)
    between = sum(10 * (z[value == v].mean(dim=0) - mean).square().sum() for v in range(3))
    expected = between / (z - mean).square().sum()
    assert variance_explained(z, value) == pytest.approx(float(expected), rel=1e-5)
    assert variance_explained(3 * z + 7, value) == pytest.approx(float(expected), rel=1e-5)


def test_unknown_bias_is_left_out_and_several_labels_are_combinations():
    z = torch.tensor([[0.0], [1.0], [9.0]])
    report = variance_report(z, torch.tensor([0, 1, -1]), torch.tensor([[0, 1], [0, 1], [1, 1]]))
    assert report == {"variance/target": 0, "variance/bias": 1, "variance/bias_alone": 1}


def test_constant_features_have_no_variance_and_lengths_must_fit():
    assert math.isnan(variance_explained(torch.ones(4, 2), torch.arange(4)))
    assert math.isnan(variance_explained(torch.ones(0, 2), torch.arange(0)))
    with pytest.raises(InputError, match="attribute"):
        variance_explained(torch.ones(4, 2), torch.arange(3))
