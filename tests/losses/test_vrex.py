"""Mean and variance of environments' risks, by hand."""

import pytest
import torch

from debias.losses.vrex import environment_risks
from tests.properties import (
    assert_differentiable,
    assert_ignores,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)

LOSSES = torch.tensor([1.0, 3.0, 0.5, 1.5, 6.0], dtype=torch.float64)
ENVIRONMENT = torch.tensor([0, 0, 1, 1, 3])


def variance(losses, environment):
    return environment_risks(losses, environment, 4).variance


def test_hand_derived_value():
    """Risks 2, 1, 6, and environment 2 absent: mean 3, variance (1 + 4 + 9) / 3."""
    risks = environment_risks(LOSSES, ENVIRONMENT, 4)
    assert risks.mean.item() == pytest.approx(3.0)
    assert risks.variance.item() == pytest.approx(14 / 3)


def test_gradient_lowers_large_risks_and_raises_small_ones():
    """dVar/dl_i = 2 (R_e - mean) / (|E| n_e): negative, a rise of the loss, below the mean."""
    losses = LOSSES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(variance(losses, ENVIRONMENT), losses)
    expected = torch.tensor([-1 / 3, -1 / 3, -2 / 3, -2 / 3, 2.0], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected)


def test_one_environment_has_no_variance_and_none_no_risk():
    risks = environment_risks(LOSSES, torch.zeros(5, dtype=torch.int64), 2)
    assert (risks.mean.item(), risks.variance.item()) == (pytest.approx(2.4), 0)
    nothing = environment_risks(LOSSES, torch.full((5,), -1), 2)
    assert (nothing.mean.item(), nothing.variance.item()) == (0, 0)


def test_properties():
    assert_permutation_invariant(variance, LOSSES, ENVIRONMENT)
    assert_pure(variance, LOSSES, ENVIRONMENT)
    assert_ignores(variance, LOSSES, torch.tensor([0, -1, 1, 1, 0]), torch.arange(5) == 1)
    assert_differentiable(variance, LOSSES, ENVIRONMENT)
    assert_read_in_float32(variance, LOSSES, ENVIRONMENT)
    for part in (0, 1):
        assert_one_graph(
            lambda losses, environment, part=part: environment_risks(losses, environment, 4)[part],
            LOSSES,
            ENVIRONMENT,
        )
