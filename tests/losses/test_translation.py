"""Losses of image translation: by hand, and what gets their gradient."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.translation import (
    gradient_penalties,
    reconstruction_losses,
    wasserstein_losses,
)


@pytest.mark.parametrize(("length", "penalty"), [(0.0, 1.0), (1.0, 0.0), (3.0, 4.0)])
def test_penalty_of_a_linear_critic(length, penalty):
    """D(x) = w x has the gradient w everywhere: the penalty is (|w| - 1)^2 for every sample."""
    weight = torch.tensor([0.6, -0.8], dtype=torch.float64) * length
    points = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    found = gradient_penalties(points @ weight, points)
    torch.testing.assert_close(found, torch.full((5,), penalty, dtype=torch.float64))


def test_penalty_adds_up_positions_and_keeps_samples_apart():
    """D has the positions x^2 and 3 x: the gradient at x is 2 x + 3."""
    points = torch.tensor([[1.0], [-1.0], [-2.0]], requires_grad=True)
    found = gradient_penalties(torch.cat([points**2, 3 * points], dim=1), points)
    assert found.tolist() == [16.0, 0.0, 0.0]


def test_penalty_moves_the_critic_towards_length_one():
    """The derivative of (|w| - 1)^2 by w is 2 (|w| - 1) w / |w|."""
    for weight in ([3.0, 4.0], [0.3, 0.4]):
        critic = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
        points = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
        gradient_penalties(points @ critic, points).mean().backward()
        length = torch.tensor(weight).norm().item()
        expected = 2 * (length - 1) * torch.tensor(weight, dtype=torch.float64) / length
        torch.testing.assert_close(critic.grad, expected)


def test_wasserstein_losses_by_hand():
    real = torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]], requires_grad=True)
    translated = torch.tensor([[[5.0, 7.0]], [[-1.0, 0.0]]], requires_grad=True)
    found = wasserstein_losses(real, translated)
    assert found.tolist() == [4.0, -0.5]
    found.sum().backward()  # a critic that minimises it raises the score of real images
    assert real.grad.unique().tolist() == [-0.5]
    assert translated.grad.unique().tolist() == [0.5]


def test_reconstruction_losses_are_those_of_torch():
    image, again = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = F.l1_loss(again, image, reduction="none").mean(dim=(1, 2, 3))
    torch.testing.assert_close(reconstruction_losses(image, again), expected)
    assert reconstruction_losses(image, image).eq(0).all()


def test_half_precision_is_computed_in_float32():
    real, translated = torch.full((2, 1, 9), 3.0).bfloat16(), torch.full((2, 1, 9), 3.1).bfloat16()
    for found in (wasserstein_losses(real, translated), reconstruction_losses(real, translated)):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, (translated.float() - real.float())[:, 0, 0])
