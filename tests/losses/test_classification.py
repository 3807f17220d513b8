"""classification_losses for class indices, class probabilities and several labels."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.losses.classification import classification_losses
from tests.properties import (
    assert_differentiable,
    assert_finite_on_hard_logits,
    assert_one_graph,
    assert_read_in_float32,
)

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0]], dtype=torch.float64)


def naive_softmax_loss(logits, probabilities):
    total = math.log(sum(math.exp(z) for z in logits))
    return sum(p * (total - z) for z, p in zip(logits, probabilities, strict=True))


def test_class_indices():
    expected = [
        naive_softmax_loss(LOGITS[0].tolist(), [1, 0, 0]),
        naive_softmax_loss(LOGITS[1].tolist(), [0, 0, 1]),
    ]
    assert classification_losses(LOGITS, torch.tensor([0, 2])).tolist() == pytest.approx(expected)


def test_class_probabilities():
    target = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.5, 0.5]], dtype=torch.float64)
    expected = [
        naive_softmax_loss(z, p) for z, p in zip(LOGITS.tolist(), target.tolist(), strict=True)
    ]
    assert classification_losses(LOGITS, target).tolist() == pytest.approx(expected)


def test_one_hot_probabilities_equal_class_indices():
    target = torch.tensor([1, 2])
    soft = classification_losses(LOGITS, F.one_hot(target, 3).double())
    torch.testing.assert_close(soft, classification_losses(LOGITS, target))


def test_several_labels():
    """Mean over labels of log(1 + exp(-s z)), s = 1 where the label holds and -1 where not."""
    target = torch.tensor([[1, 0, 0], [0, 1, 1]])
    expected = [
        sum(math.log1p(math.exp(-z if t else z)) for z, t in zip(row, labels, strict=True)) / 3
        for row, labels in zip(LOGITS.tolist(), target.tolist(), strict=True)
    ]
    assert classification_losses(LOGITS, target).tolist() == pytest.approx(expected)


def test_low_precision_logits_are_raised_to_float32():
    losses = classification_losses(LOGITS.bfloat16(), torch.tensor([0, 2]))
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, classification_losses(LOGITS, torch.tensor([0, 2])).float())


@pytest.mark.parametrize("target", [torch.tensor([0, 2]), torch.tensor([[1, 0, 1], [0, 0, 1]])])
def test_gradient(target):
    assert_differentiable(classification_losses, LOGITS, target)
    assert_one_graph(classification_losses, LOGITS, target)
    assert_read_in_float32(classification_losses, LOGITS, target)
    assert_finite_on_hard_logits(classification_losses)
