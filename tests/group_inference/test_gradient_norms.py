"""Norms of gradients on the last layer: as autograd has them, and as self-influence has them."""

import pytest
import torch
from torch.nn import functional as F

from debias.group_inference.gradient_norms import gradient_norms
from debias.group_inference.influence import self_influence

GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(12, 5, generator=GENERATOR, dtype=torch.float64)
WEIGHT = torch.randn(3, 5, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.randint(3, (12,), generator=GENERATOR)


@pytest.mark.parametrize("norm", [0.7, 1, 2])
def test_they_are_the_norms_of_the_gradients_of_single_samples(norm: float) -> None:
    weight = WEIGHT.clone().requires_grad_()
    found = gradient_norms(FEATURES, TARGET, FEATURES @ WEIGHT.T, norm=norm)
    for z, y, size in zip(FEATURES, TARGET, found.tolist(), strict=True):
        (slope,) = torch.autograd.grad(F.cross_entropy((weight @ z)[None], y[None]), weight)
        expected = slope.abs().pow(norm).sum().pow(1 / norm).item()
        assert size == pytest.approx(expected, rel=1e-12)


def test_with_flat_curvature_self_influence_is_the_squared_norm() -> None:
    """H tends to damping times I, if the damping is large. It has the bias too: z has a 1 more."""
    logits = FEATURES @ WEIGHT.T
    influence = 1e9 * self_influence(FEATURES, TARGET, logits, damping=1e9)
    longer = F.pad(FEATURES, (0, 1), value=1.0)
    torch.testing.assert_close(gradient_norms(longer, TARGET, logits).square(), influence)


def test_a_norm_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="norm must be positive for the norms of gradients; got 0"):
        gradient_norms(FEATURES, TARGET, FEATURES @ WEIGHT.T, norm=0)
