"""Divergence of predictions and distance of features: by hand, by definition, and their bounds."""

import math

import pytest
import torch

from debias.losses.view_consistency import feature_distances, prediction_divergences
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_pure,
    assert_read_in_float32,
)

VIEWS = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_divergences_by_hand():
    """p = (1/4, 3/4) and (3/4, 1/4), m = (1/2, 1/2): log 2 - H(1/4) = 0.6931 - 0.5623."""
    logits = torch.tensor([[[0.0, math.log(3)]], [[math.log(3), 0.0]]])
    assert prediction_divergences(logits).item() == pytest.approx(0.130812, abs=1e-6)


def test_divergences_are_those_of_the_definition():
    """The entropy of the mean minus the mean of the entropies, in probabilities."""
    p = VIEWS.softmax(dim=2)
    mean = p.mean(dim=0)
    entropies = -(p * p.log()).sum(dim=2).mean(dim=0)
    expected = -(mean * mean.log()).sum(dim=1) - entropies
    torch.testing.assert_close(prediction_divergences(VIEWS), expected)


def test_divergences_are_0_for_equal_views_and_log_v_for_opposite_ones():
    torch.testing.assert_close(
        prediction_divergences(VIEWS[:1].expand(3, 5, 4)), torch.zeros(5).double()
    )
    certain = 300 * torch.eye(3)[:, None]
    assert prediction_divergences(certain).item() == pytest.approx(math.log(3))
    assert bool((prediction_divergences(9 * VIEWS) < math.log(3)).all())


def test_the_order_of_views_matters_for_features_alone():
    reversed_views = VIEWS.flip(0)
    torch.testing.assert_close(
        prediction_divergences(reversed_views), prediction_divergences(VIEWS)
    )
    assert not torch.allclose(feature_distances(reversed_views), feature_distances(VIEWS))


def test_distances_by_hand():
    """1 - cos of (1, 0) with (3, 4) is 0.4, with (-2, 0) it is 2: their mean is 1.2."""
    views = torch.tensor([[[1.0, 0.0]], [[3.0, 4.0]], [[-2.0, 0.0]]])
    assert feature_distances(views).item() == pytest.approx(1.2)


def test_distances_ignore_lengths_and_give_the_first_view_no_gradient():
    views = VIEWS.clone().requires_grad_()
    feature_distances(views).sum().backward()
    assert views.grad[0].eq(0).all()
    assert views.grad[1:].ne(0).all()
    lengths = torch.tensor([2.0, 0.5, 7.0]).view(3, 1, 1)
    torch.testing.assert_close(feature_distances(lengths * VIEWS), feature_distances(VIEWS))


@pytest.mark.parametrize("loss", [prediction_divergences, feature_distances])
def test_properties(loss):
    assert_pure(loss, VIEWS)
    assert_one_graph(loss, VIEWS)
    assert_read_in_float32(loss, VIEWS)
    order = torch.tensor([2, 0, 1, 4, 3])
    torch.testing.assert_close(loss(VIEWS[:, order]), loss(VIEWS)[order])


def test_divergences_are_differentiable_also_of_certain_predictions():
    assert_differentiable(prediction_divergences, VIEWS)
    certain = (300 * torch.eye(3)[:, None]).requires_grad_()
    prediction_divergences(certain).sum().backward()
    assert certain.grad.isfinite().all()
