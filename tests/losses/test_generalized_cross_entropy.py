"""Generalized cross-entropy by hand, by its limits, and its gradient beside cross-entropy's."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from tests.properties import (
    assert_differentiable,
    assert_finite_on_hard_logits,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 1, 2, 0, 1, 2])


def test_hand_derived_values():
    """Logits (log 3, 0): p = 3/4 or 1/4; q = 1/2: (1 - sqrt p) / q; scaled: q sqrt(p) (-log p)."""
    logits = torch.tensor([[math.log(3), 0.0]] * 2, dtype=torch.float64)
    target = torch.tensor([0, 1])
    expected = [2 * (1 - math.sqrt(3) / 2), 2 * (1 - 1 / 2)]
    assert generalized_cross_entropy(logits, target, q=0.5).tolist() == pytest.approx(
        expected, rel=1e-9
    )
    expected = [0.5 * math.sqrt(3) / 2 * math.log(4 / 3), 0.5 * 0.5 * math.log(4)]
    assert generalized_cross_entropy(logits, target, q=0.5, scaled=True).tolist() == pytest.approx(
        expected, rel=1e-9
    )


def test_limits():
    """q to 0 is cross-entropy, q = 1 is 1 - p."""
    losses = F.cross_entropy(LOGITS, TARGET, reduction="none")
    torch.testing.assert_close(
        generalized_cross_entropy(LOGITS, TARGET, q=1e-9), losses, rtol=1e-7, atol=1e-9
    )
    torch.testing.assert_close(
        generalized_cross_entropy(LOGITS, TARGET, q=1.0), 1 - (-losses).exp()
    )


@pytest.mark.parametrize(("scaled", "factor"), [(False, 1.0), (True, 0.7)])
def test_gradient_is_that_of_cross_entropy_times_the_probability(scaled, factor):
    """d/dz (1 - p^q) / q = p^q d(-log p)/dz; the code's form has q times that."""
    logits = LOGITS.clone().requires_grad_()
    losses = F.cross_entropy(logits, TARGET, reduction="none")
    (of_cross_entropy,) = torch.autograd.grad(losses.sum(), logits)
    found = generalized_cross_entropy(logits, TARGET, q=0.7, scaled=scaled)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    probability = (-losses.detach()).exp()[:, None]
    torch.testing.assert_close(gradient, factor * probability**0.7 * of_cross_entropy)


def test_properties():
    assert_permutation_invariant(
        lambda *given: generalized_cross_entropy(*given).sum(), LOGITS, TARGET
    )
    assert_pure(generalized_cross_entropy, LOGITS, TARGET)
    assert_differentiable(generalized_cross_entropy, LOGITS, TARGET)


def test_a_sure_sample_keeps_its_digits_and_a_hopeless_one_is_finite():
    """-log p is about e^-12 here: 1 - p^q in float32 would be off by up to a hundredth."""
    logits = torch.tensor([[12.0, 0.0], [0.0, 200.0]], requires_grad=True)
    target = torch.tensor([0, 0])
    losses = generalized_cross_entropy(logits, target)
    cross_entropies = F.cross_entropy(logits, target, reduction="none").tolist()
    expected = [(1 - math.exp(-0.7 * value)) / 0.7 for value in cross_entropies]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("scaled", [False, True])
def test_low_precision_and_one_graph(scaled):
    loss = partial(generalized_cross_entropy, scaled=scaled)
    assert_one_graph(loss, LOGITS, TARGET)
    assert_read_in_float32(loss, LOGITS, TARGET)
    assert_finite_on_hard_logits(loss)


@pytest.mark.parametrize("q", [0.0, -0.1, 1.1])
def test_refuses(q):
    with pytest.raises(
        ValueError, match=rf"q must lie in \(0, 1\] for generalized cross-entropy; got {q}"
    ):
        generalized_cross_entropy(LOGITS, TARGET, q=q)
