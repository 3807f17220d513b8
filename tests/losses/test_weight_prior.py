"""The prior of weights: values by hand, the sign of its gradient, and where it vanishes."""

import math

import pytest
import torch

from debias.losses.weight_prior import weight_prior
from tests.properties import assert_differentiable, assert_pure, assert_read_in_float32

WEIGHTS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
PRIOR = torch.tensor([[1.0, -1.0, 0.0, 1.0], [0.0, 0.0, -1.0, 1.0], [-1.0, 1.0, 1.0, 0.0]])


def test_by_hand():
    """tanh(0.5493) = 0.5. Of an unknown sign, the distance is |tanh W|."""
    half = torch.full((2, 3), math.atanh(0.5))
    assert weight_prior(half, torch.ones(2, 3)).item() == pytest.approx(0.5)
    assert weight_prior(half, -torch.ones(2, 3)).item() == pytest.approx(1.5)
    assert weight_prior(WEIGHTS, torch.zeros(3, 4)).item() == pytest.approx(
        WEIGHTS.tanh().abs().mean().item()
    )
    assert weight_prior(torch.zeros(3, 4), torch.zeros(3, 4)).item() == 0


def test_by_definition():
    gaps = [
        abs(math.tanh(w) - p)
        for w, p in zip(WEIGHTS.flatten().tolist(), PRIOR.flatten().tolist(), strict=True)
    ]
    assert weight_prior(WEIGHTS, PRIOR).item() == pytest.approx(sum(gaps) / 12)
    assert_differentiable(weight_prior, WEIGHTS, PRIOR.double())
    assert_pure(weight_prior, WEIGHTS, PRIOR)
    assert_read_in_float32(weight_prior, WEIGHTS, PRIOR)


def test_the_gradient_pulls_to_the_sign_and_vanishes_behind_it():
    """A step down raises a weight of sign 1, and lowers one of -1. At 20 nothing is left of it."""
    weights = torch.tensor([[0.0, 0.0, 20.0]], requires_grad=True)
    prior = torch.tensor([[1.0, -1.0, 1.0]])
    (gradient,) = torch.autograd.grad(weight_prior(weights, prior), weights)
    assert gradient[0].tolist() == pytest.approx([-1 / 3, 1 / 3, 0.0])
