"""Clicks: centroids by hand, what crop and flip do to them, and the smooth distance."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.clicks import click_from_mask, click_losses
from tests.properties import assert_differentiable, assert_pure, assert_read_in_float32

MASK = torch.rand(5, 1, 6, 8, generator=torch.Generator().manual_seed(0))


def foreground() -> torch.Tensor:
    """One mask of 10 by 20 pixels, with a rectangle in rows 2 to 4 and columns 6 to 11."""
    mask = torch.zeros(1, 1, 10, 20)
    mask[:, :, 2:5, 6:12] = 1
    return mask


def test_by_hand():
    """Columns 6 to 11 of 20 have their middle at 9 / 20, rows 2 to 4 of 10 at 3.5 / 10. Shares of a
    half and two quarters: (1 * 1 + 5 / 2 + 7 / 2) / 16 = 0.4375 with centres 1, 5, 7 of 8.
    """
    assert click_from_mask(foreground())[0].tolist() == pytest.approx([0.45, 0.35])
    half = torch.tensor([[0.5, 0.0, 0.25, 0.25]]).view(1, 1, 1, 4)
    assert click_from_mask(half)[0].tolist() == pytest.approx([0.4375, 0.5])


def test_by_definition():
    y, x = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    weights = MASK.double() / MASK.double().sum(dim=(2, 3), keepdim=True)
    expected = torch.stack([(weights[:, 0] * p).sum(dim=(1, 2)) for p in (x / 8, y / 6)], dim=1)
    torch.testing.assert_close(click_from_mask(MASK).double(), expected, rtol=1e-6, atol=1e-6)
    assert_pure(click_from_mask, MASK)
    assert_read_in_float32(click_from_mask, MASK)


def test_a_flip_mirrors_one_coordinate_and_twice_is_nothing():
    click = click_from_mask(MASK)
    across, down = (click_from_mask(MASK.flip(axis)) for axis in (3, 2))
    one = torch.ones(5)
    torch.testing.assert_close(across, torch.stack([one - click[:, 0], click[:, 1]], dim=1))
    torch.testing.assert_close(down, torch.stack([click[:, 0], one - click[:, 1]], dim=1))
    assert torch.equal(click_from_mask(MASK.flip(3).flip(3)), click)


def test_a_crop_moves_the_click():
    """A crop [a, b] that holds the foreground maps t to (t - a) / (b - a)."""
    (x, y), (left, right, top, bottom) = click_from_mask(foreground())[0].tolist(), (4, 14, 1, 9)
    cropped = click_from_mask(foreground()[:, :, top:bottom, left:right])[0]
    expected = [(20 * x - left) / (right - left), (10 * y - top) / (bottom - top)]
    assert cropped.tolist() == pytest.approx(expected)


def test_a_crop_without_foreground_has_no_click():
    assert click_from_mask(foreground()[:, :, 5:]).tolist() == [[-1, -1]]


def test_distances_by_hand():
    """SmoothL1(0.5) = 0.125 and SmoothL1(2) = 1.5; the loss is the mean over x and y."""
    click = torch.tensor([[0.5, 0.5], [0.0, 1.0], [0.25, 0.75]])
    predicted = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.75, 2.75]])
    assert click_losses(predicted, click).tolist() == pytest.approx([0.125, 1.5, 0.8125])


def test_without_a_click_there_is_no_loss_and_no_gradient():
    predicted = torch.tensor([[0.0, 1.0], [float("nan"), 3.0]], requires_grad=True)
    losses = click_losses(predicted, torch.tensor([[0.5, 0.5], [-1.0, -1.0]]))
    assert losses.tolist() == [0.125, 0.0]
    (gradient,) = torch.autograd.grad(losses.sum(), predicted)
    assert gradient.tolist()[0] == [-0.25, 0.25]
    assert gradient[1].nan_to_num().tolist() == [0, 0]


def test_gradients():
    click = torch.rand(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_differentiable(click_losses, 3 * torch.randn(4, 2), click)
    assert_differentiable(lambda scores: click_from_mask(scores.softmax(dim=3)), MASK)


def test_the_best_constant_for_random_clicks_is_the_middle():
    click = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    errors = [click_losses(torch.full((4000, 2), c), click).mean() for c in (0.4, 0.5, 0.6)]
    assert min(errors) == errors[1]


def test_expected_positions_are_centroids():
    """Soft-argmax: a score far above the others is its position."""
    scores = torch.zeros(1, 1, 4, 4)
    scores[0, 0, 1, 3] = 100
    shares = F.softmax(scores.flatten(1), dim=1).view_as(scores)
    assert click_from_mask(shares)[0].tolist() == pytest.approx([0.875, 0.375])
