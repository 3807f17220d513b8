"""Losses against contextual bias: weights, maps and competition, by hand and by loops."""

import pytest
import torch

from debias.losses.contexts import (
    activation_maps,
    cell_weights,
    competition,
    exclusive_weight,
    map_distance,
    map_overlap,
)


def test_weights_of_the_three_kinds_of_images():
    """beta = 1/2: 1 image has .5 / .5 = 1, 2 have .5 / .75 = 2/3, many have 1/2; the least is 1."""
    weights = cell_weights(2, 1, 10_000, beta=0.5)
    assert weights.tolist() == pytest.approx([2.0, 4 / 3, 1.0])
    assert cell_weights(2, 0, 10_000, beta=0.5).tolist() == pytest.approx([1.0, 4 / 3, 1.0])


def test_weight_of_a_label_alone():
    assert exclusive_weight(900, 100, least=3.0) == 3.0
    assert exclusive_weight(400, 100, least=3.0) == 3.0
    assert exclusive_weight(1600, 100, least=3.0) == 4.0
    assert exclusive_weight(1600, 0, least=5.0) == 5.0


def test_maps_are_scaled_one_by_one():
    """Channels (0, 1, 2, 3) and (3, 2, 1, 0): weights (1, 0) give thirds, (0, -2) too, (1, 1) 0."""
    maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]], [[3.0, 2.0], [1.0, 0.0]]]])
    found = activation_maps(maps, torch.tensor([[[1.0, 0.0], [0.0, -2.0], [1.0, 1.0]]]))
    thirds = torch.arange(4).view(2, 2) / 3
    torch.testing.assert_close(found[0], torch.stack((thirds, thirds, torch.zeros(2, 2))))


def test_overlap_is_the_share_of_an_equal_area():
    area = torch.zeros(4, 4)
    area[:2, :3] = 1
    assert map_overlap(torch.stack((area, area))[None]).item() == pytest.approx(6 / 16)
    assert map_overlap(torch.stack((area, 1 - area))[None]).item() == 0
    assert map_distance(area[None], 1 - area[None]).item() == 1
    nothing = torch.zeros(0, 2, 4, 4, requires_grad=True)
    assert map_overlap(nothing).item() == map_distance(nothing, nothing).item() == 0


def test_competition_equals_the_minimum_over_shares():
    """By Cauchy-Schwarz the best shares are proportional to the norms; others cost more."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    groups = [[0, 2], [1]]
    norms = torch.stack([weight[group].norm(dim=0) for group in groups])
    shares = (norms / norms.sum()).detach()
    at_best = (norms.square() / shares).sum()
    found = competition(weight, groups)
    assert found.item() == pytest.approx(at_best.item())
    assert (norms.square() / torch.full_like(shares, 0.1)).sum() > found
    gradients = [torch.autograd.grad(value, weight)[0] for value in (found, at_best)]
    torch.testing.assert_close(*gradients)


def test_a_feature_without_weights_has_no_gradient():
    weight = torch.zeros(2, 3, requires_grad=True)
    competition(weight, [[0], [1]]).backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.zeros(2, 3))
