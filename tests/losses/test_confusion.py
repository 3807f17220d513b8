"""confusion_losses against hand-derived values and the cross-entropy to a uniform target."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.losses.confusion import confusion_losses
from tests.properties import (
    assert_differentiable,
    assert_finite_on_hard_logits,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)

LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_hand_derived_value():
    """softmax(log 3, 0) = (3/4, 1/4): -(log 3/4 + log 1/4) / 2 = log 4 - log(3) / 2."""
    losses = confusion_losses(torch.tensor([[math.log(3), 0.0]]))
    assert losses.tolist() == pytest.approx([math.log(4) - math.log(3) / 2])


def test_is_the_cross_entropy_to_a_uniform_target():
    expected = F.cross_entropy(LOGITS, torch.full_like(LOGITS, 1 / 3), reduction="none")
    torch.testing.assert_close(confusion_losses(LOGITS), expected)


def test_of_labels_is_the_binary_cross_entropy_to_one_half():
    expected = F.binary_cross_entropy_with_logits(
        LOGITS, torch.full_like(LOGITS, 0.5), reduction="none"
    ).mean(dim=1)
    torch.testing.assert_close(confusion_losses(LOGITS, multi_label=True), expected)


@pytest.mark.parametrize(("multi_label", "least"), [(False, math.log(3)), (True, math.log(2))])
def test_equal_logits_are_the_minimum(multi_label, least):
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    losses = confusion_losses(logits, multi_label=multi_label)
    assert losses.tolist() == pytest.approx([least, least])
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(logits))
    assert confusion_losses(LOGITS, multi_label=multi_label).min().item() > least


def test_gradient_is_softmax_minus_uniform():
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(confusion_losses(logits).sum(), logits)
    torch.testing.assert_close(gradient, torch.softmax(LOGITS, dim=1) - 1 / 3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_properties(multi_label):
    def mean(logits):
        return confusion_losses(logits, multi_label=multi_label).mean()

    assert_permutation_invariant(mean, LOGITS)
    assert_pure(mean, LOGITS)
    assert_differentiable(mean, LOGITS)
    assert_one_graph(mean, LOGITS)
    assert_read_in_float32(mean, LOGITS)
    assert_finite_on_hard_logits(lambda logits, target: mean(logits))


def test_computes_in_float32():
    """Logits 0 and 100 in bfloat16: the loss is 50, and large ones neither overflow nor vanish."""
    losses = confusion_losses(torch.tensor([[0.0, 100.0]], dtype=torch.bfloat16))
    assert losses.dtype == torch.float32
    assert losses.item() == pytest.approx(50.0)
