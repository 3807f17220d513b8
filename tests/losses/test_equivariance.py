"""CatHarm's terms: cases by hand, a loop over pairs in float64, invariance, gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.equivariance import inverse_loss, morphism_loss
from tests.properties import (
    assert_differentiable,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


UP, DOWN = 0.7 * drawn(2, 3, 3, seed=1), 0.7 * drawn(2, 3, 3, seed=2)
VALUES = torch.tensor([[0, 2], [3, 0], [1, 1], [0, 2], [2, 0]])


def by_pairs(features: Tensor, covariates: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """The sum over ordered pairs, one product of repeated matrices each."""
    total, count = torch.zeros((), dtype=torch.float64), len(features)
    for i in range(count):
        for j in range(count):
            moved = features[i]
            for c in range(covariates.shape[1]):
                difference = int(covariates[i, c] - covariates[j, c])
                for _ in range(abs(difference)):
                    moved = moved @ (down[c] if difference > 0 else up[c])
            total = total + F.mse_loss(moved, features[j])
    return total / count**2


def test_the_loss_by_a_loop_over_pairs() -> None:
    given = [value.clone().requires_grad_() for value in (drawn(5, 3), UP, DOWN)]
    features, up, down = given
    found, expected = (loss(features, VALUES, up, down) for loss in (morphism_loss, by_pairs))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    slopes = (torch.autograd.grad(value, given) for value in (found, expected))
    for mine, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_matrices_that_are_inverse_carry_features_both_ways() -> None:
    """z = 1 and 2 one step apart: U = 2 and D = 1/2 have no error, U alone leaves (1 - 1/2)."""
    features, values = torch.tensor([[1.0], [2.0]]), torch.tensor([[0], [1]])
    up, down = torch.tensor([[[2.0]]]), torch.tensor([[[0.5]]])
    assert morphism_loss(features, values, up, down) == 0
    assert inverse_loss(up, down) == 0
    # 1 -> 1/2, not 2, and 2 -> 4, not 1: (9/4 + 9) / 4
    assert morphism_loss(features, values, down, up).item() == 2.8125


def test_a_rotation_has_no_error() -> None:
    """Four values, 90 degrees each: also over two and three steps, in both directions."""
    values = torch.tensor([[0], [1], [2], [3]])
    angle = 0.3 + values.double() * math.pi / 2
    features = torch.cat([angle.cos(), angle.sin()], dim=1)
    up = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]], dtype=torch.float64)
    down = up.transpose(1, 2)
    assert morphism_loss(features, values, up, down).item() < 1e-30
    assert inverse_loss(up, down) == 0
    assert morphism_loss(features, values, down, up).item() > 0.5


def test_identities_and_equal_features_have_no_error() -> None:
    identity = torch.eye(3).expand(2, 3, 3)
    assert morphism_loss(torch.ones(5, 3), VALUES, identity, identity) == 0
    assert inverse_loss(identity, identity) == 0


def test_equal_covariates_draw_features_together() -> None:
    """No matrix: two samples at a distance of 2 in each feature, in 2 of 4 pairs."""
    features, none = torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.zeros(1, 2, 2)
    assert morphism_loss(features, torch.tensor([[3], [3]]), none, none).item() == 2


def test_the_first_covariate_acts_first() -> None:
    features = drawn(2, 3)
    values = torch.tensor([[1, 1], [0, 0]])
    there = features[0] @ DOWN[0] @ DOWN[1] - features[1]
    back = features[1] @ UP[0] @ UP[1] - features[0]
    expected = (there.square().mean() + back.square().mean()) / 4
    assert morphism_loss(features, values, UP, DOWN).item() == pytest.approx(expected.item())


def test_the_inverse_loss_by_definition() -> None:
    identity = torch.eye(3, dtype=torch.float64)
    pairs = zip(UP, DOWN, strict=True)
    expected = sum(F.mse_loss(u @ d, identity) + F.mse_loss(d @ u, identity) for u, d in pairs)
    assert inverse_loss(UP, DOWN).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_inverse_loss_of_small_matrices() -> None:
    """Products of nearly 0 are 1 / D from the identity, in each of both orders."""
    up, down = 0.01 * drawn(1, 50, 50), 0.01 * drawn(1, 50, 50, seed=3)
    assert inverse_loss(up, down).item() == pytest.approx(2 / 50, rel=0.01)


def test_properties() -> None:
    features = drawn(5, 3)
    loss = lambda z, values: morphism_loss(z, values, UP, DOWN)  # noqa: E731
    assert_permutation_invariant(loss, features, VALUES)
    assert_pure(loss, features, VALUES)
    assert_differentiable(loss, features, VALUES)
    small = UP.float(), DOWN.float()
    assert_read_in_float32(morphism_loss, features.float(), VALUES, *small)
    assert_read_in_float32(inverse_loss, UP, DOWN.float())
    assert_differentiable(inverse_loss, UP, DOWN)
