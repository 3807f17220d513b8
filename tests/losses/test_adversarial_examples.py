"""Adversarial examples: exact for linear models, always inside the ball and in [0, 1]."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.adversarial_examples import Ball, perturb

WEIGHT = torch.tensor([0.6, -0.8, 0.0]).double()


def random_pixels(seed: int, samples: int = 8) -> Tensor:
    """Pixels of which some are 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (1.4 * torch.rand(samples, 3, generator=generator).double() - 0.2).clamp(0, 1)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1.4), ("l2", 1.0)])
def test_one_step_is_the_worst_case_of_a_linear_model(norm, dual):
    """The margin of y w.x falls by epsilon times the dual norm of w, which has length 1 in L2."""
    pixels, sign = torch.full((4, 3), 0.5).double(), torch.tensor([1.0, -1.0, 1.0, -1.0]).double()

    def losses_of(change: Tensor) -> Tensor:
        return F.softplus(-sign * ((pixels + change) @ WEIGHT))

    zero = torch.zeros_like(pixels)
    ball = Ball(norm, 0.1)
    change = perturb(losses_of, pixels, zero, ball=ball, step=0.1, steps=1)
    worst = F.softplus(-(sign * (pixels @ WEIGHT) - 0.1 * dual))
    torch.testing.assert_close(losses_of(change), worst)
    again = perturb(losses_of, pixels, zero, ball=ball, step=0.04, steps=7)
    torch.testing.assert_close(losses_of(again), worst)
    assert torch.equal(perturb(losses_of, pixels, zero, ball=ball, step=1.0, steps=0), zero)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("seed", range(3))
def test_changes_stay_in_the_ball_and_pixels_in_range(norm, seed):
    pixels, ball = random_pixels(seed), Ball(norm, 0.3)
    torch.manual_seed(seed)
    change = ball.random(pixels)
    for _ in range(3):
        lengths = torch.linalg.vector_norm(change, ord=torch.inf if norm == "linf" else 2, dim=1)
        assert lengths.max() <= 0.3 + 1e-7
        assert torch.equal((pixels + change).clamp(0, 1), pixels + change)
        assert change.abs().sum() > 0
        change = ball.climb(change, torch.randn_like(pixels), pixels, step=0.5)


def test_random_starts_fill_the_ball():
    """Uniform numbers have the variance epsilon^2 / 3; in L2 the length is epsilon."""
    pixels = torch.full((500, 12), 0.5)
    generator = torch.Generator().manual_seed(0)
    uniform = Ball("linf", 0.3).random(pixels, generator=generator)
    assert uniform.var().item() == pytest.approx(0.03, rel=0.05)
    assert abs(uniform.mean().item()) < 0.01
    lengths = Ball("l2", 0.3).random(pixels, generator=generator).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((500,), 0.3))


def test_a_gradient_of_zero_moves_nothing():
    pixels, zero = random_pixels(0), torch.zeros(8, 3).double()
    for norm in ("linf", "l2"):
        assert torch.equal(Ball(norm, 0.3).climb(zero, zero, pixels, step=0.3), zero)
