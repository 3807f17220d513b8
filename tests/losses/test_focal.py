"""focal_losses against hand-derived values, a definition in float64 and its limits."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.losses.classification import classification_losses
from debias.losses.focal import focal_losses
from tests.properties import (
    assert_differentiable,
    assert_finite_on_hard_logits,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 3, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
LABELS = torch.randint(2, (6, 3), generator=GENERATOR)


def test_hand_derived_value():
    """p = 3/4 for the true class: (1/4)^2 * log(4/3) for gamma 2."""
    losses = focal_losses(torch.tensor([[math.log(3), 0.0]]), torch.tensor([0]), gamma=2.0)
    assert losses.tolist() == pytest.approx([math.log(4 / 3) / 16])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_equals_the_definition(gamma):
    p = torch.softmax(LOGITS, dim=1)[torch.arange(6), CLASSES]
    torch.testing.assert_close(
        focal_losses(LOGITS, CLASSES, gamma=gamma), (1 - p) ** gamma * -p.log()
    )


def test_of_labels_is_the_mean_of_each_labels_own_focal_loss():
    """Two states of each label, as if it were a class of two: p is that of the state it has."""
    p = torch.where(LABELS == 1, torch.sigmoid(LOGITS), 1 - torch.sigmoid(LOGITS))
    torch.testing.assert_close(
        focal_losses(LOGITS, LABELS, gamma=2.0), ((1 - p) ** 2 * -p.log()).mean(dim=1)
    )


@pytest.mark.parametrize(
    "target", [CLASSES, LABELS, torch.softmax(LOGITS, dim=1)], ids=["classes", "labels", "soft"]
)
def test_gamma_0_is_cross_entropy(target):
    expected = classification_losses(LOGITS, target)
    torch.testing.assert_close(focal_losses(LOGITS, target, gamma=0.0), expected)


def test_what_is_classified_well_counts_less():
    """The share of p = 0.9 beside one of p = 0.5: (0.1/0.5)^gamma of that in cross-entropy."""
    logits = torch.tensor([[math.log(9), 0.0], [0.0, 0.0]], dtype=torch.float64)
    target = torch.tensor([0, 0])
    plain = F.cross_entropy(logits, target, reduction="none")
    focal = focal_losses(logits, target, gamma=2.0)
    assert (focal[0] / focal[1]).item() == pytest.approx((plain[0] / plain[1]).item() / 25)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_a_certain_sample_has_a_loss_and_a_gradient_of_0(gamma):
    """p rounds to 1, so the loss is 0; a power of a fraction has an infinite slope there, and must
    not become NaN.
    """
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    losses = focal_losses(logits, torch.tensor([0]), gamma=gamma)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert losses.tolist() == [0.0]
    assert gradient.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("target", [CLASSES, LABELS], ids=["classes", "labels"])
def test_properties(target):
    def mean(logits, target):
        return focal_losses(logits, target, gamma=1.5).mean()

    assert_permutation_invariant(mean, LOGITS, target)
    assert_pure(mean, LOGITS, target)
    assert_differentiable(mean, LOGITS, target)
    assert_one_graph(mean, LOGITS, target)
    assert_read_in_float32(mean, LOGITS, target)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_hard_logits(gamma):
    assert_finite_on_hard_logits(lambda logits, target: focal_losses(logits, target, gamma=gamma))


def test_computes_in_float32():
    """Logits 0 and 8 in bfloat16: 1 - p is 1 / (1 + e^8) = 0.000335, where bfloat16 has nothing
    between 0.996 and 1.
    """
    losses = focal_losses(torch.tensor([[0.0, 8.0]], dtype=torch.bfloat16), torch.tensor([1]))
    assert losses.dtype == torch.float32
    assert losses.item() == pytest.approx(math.log1p(math.exp(-8)) / (1 + math.exp(8)), rel=1e-3)


def test_refuses():
    with pytest.raises(ValueError, match=r"gamma must be at least 0 for the focal loss; got -1\.0"):
        focal_losses(LOGITS, CLASSES, gamma=-1.0)
