"""The FLAC loss by hand, by a loop over pairs, its pairs, its gradient and its limits."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.flac import flac_loss
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(8, 3, generator=GENERATOR, dtype=torch.float64)
BIAS_FEATURES = torch.randn(8, 2, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1])


def similarity(x: Tensor, y: Tensor, exponent: float) -> float:
    distance = math.sqrt(
        sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True)) + 1e-6
    )
    return 1 / (1 + distance**exponent)


def naive(features: Tensor, bias_features: Tensor, target: Tensor, exponent: float) -> float:
    """The definition, pair by pair."""
    rows = range(len(target))
    of_bias = [
        [similarity(bias_features[i], bias_features[j], exponent) for j in rows] for i in rows
    ]
    threshold = (max(map(max, of_bias)) + min(map(min, of_bias))) / 2
    pairs = [
        [
            j
            for j in rows
            if (of_bias[i][j] < threshold if target[i] == target[j] else of_bias[i][j] > threshold)
        ]
        for i in rows
    ]
    total = 0.0
    for i in rows:
        wanted = {j: 1 - of_bias[i][j] for j in pairs[i]}
        found = {j: similarity(features[i], features[j], exponent) for j in pairs[i]}
        for j in pairs[i]:
            p, q = wanted[j] / sum(wanted.values()), found[j] / sum(found.values())
            total += (p - q) * (math.log(p) - math.log(q))
    count = sum(map(len, pairs))
    return total / count if count else 0.0


def test_hand_derived_value():
    """Classes (0, 0, 1), biases (a, b, a) one apart, exponent 1, features such that s is known.

    Bias similarities: 1/2 between unlike, nearly 1 between like; tau is half-way. Pairs: (0, 1) for
    the class they share, (0, 2) for the bias they share, and back. Sample 0 has both: P is
    proportional to (1/2, 0.001), Q to the similarities (1/2, 1/3) of features 1 and 2 away, so to
    (0.6, 0.4). Samples 1 and 2 have one pair each, P = Q = 1.
    """
    bias_features = torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64)
    features = torch.tensor([[0.0], [1.0], [-2.0]], dtype=torch.float64)
    unlike, like = 1 - 1 / (1 + math.sqrt(1 + 1e-6)), 1 - 1 / (1 + 1e-3)
    p = unlike / (unlike + like)
    expected = ((p - 0.6) * math.log(p / 0.6) + (1 - p - 0.4) * math.log((1 - p) / 0.4)) / 4
    found = flac_loss(features, bias_features, torch.tensor([0, 0, 1]), exponent=1.0)
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_equals_the_definition(exponent):
    expected = naive(FEATURES, BIAS_FEATURES, TARGET, exponent)
    assert expected > 1e-3
    assert flac_loss(FEATURES, BIAS_FEATURES, TARGET, exponent=exponent).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_one_hot_bias_labels_will_do():
    bias = F.one_hot(torch.tensor([0, 0, 1, 1, 0, 1, 1, 0])).double()
    expected = naive(FEATURES, bias, TARGET, 0.5)
    assert expected > 1e-3
    assert flac_loss(FEATURES, bias, TARGET).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("exponent", [3.0, 20.0])
def test_similarities_near_1_give_finite_losses_and_gradients(exponent):
    """One-hot labels have distances of 0.001 and 1.4: 1 - s is 1e-9 or less, in float32."""
    bias = F.one_hot(torch.tensor([0, 0, 1, 1, 0, 1, 1, 0])).float()
    features = F.normalize(FEATURES.float()).requires_grad_()
    loss = flac_loss(features, bias, TARGET, exponent=exponent)
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.isfinite()
    assert loss > 1e-3
    assert gradient.isfinite().all()


def test_no_pair_gives_zero_and_a_gradient_of_zero():
    """Two samples of two classes with unlike biases: nothing breaks the shortcut."""
    features = torch.tensor([[0.0], [1.0]], requires_grad=True)
    loss = flac_loss(features, torch.tensor([[0.0], [9.0]]), torch.tensor([0, 1]))
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.item() == 0.0
    assert gradient.tolist() == [[0.0], [0.0]]


def test_descent_joins_a_class_and_parts_a_bias():
    """Features that are the bias: a step joins a class's unlike biases and parts its unlikes."""
    target, bias = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    features = torch.stack([4.0 * bias, 0.1 * target], dim=1).double().requires_grad_()
    bias_features = F.one_hot(bias).double()
    before = torch.cdist(features, features).detach()
    for _ in range(100):
        (gradient,) = torch.autograd.grad(flac_loss(features, bias_features, target), features)
        features = (features - 1.0 * gradient).detach().requires_grad_()
    after = torch.cdist(features, features).detach()
    assert after[0, 1] < 0.8 * before[0, 1]
    assert after[0, 2] > 2 * before[0, 2]


def test_properties():
    assert_permutation_invariant(flac_loss, FEATURES, BIAS_FEATURES, TARGET)
    assert_pure(flac_loss, FEATURES, BIAS_FEATURES, TARGET)
    assert_differentiable(flac_loss, FEATURES, BIAS_FEATURES, TARGET)
    shifted = flac_loss(FEATURES + 100, BIAS_FEATURES - 50, TARGET)
    torch.testing.assert_close(shifted, flac_loss(FEATURES, BIAS_FEATURES, TARGET))


def test_gradient_goes_to_the_features_alone():
    features = FEATURES.clone().requires_grad_()
    bias_features = BIAS_FEATURES.clone().requires_grad_()
    flac_loss(features, bias_features, TARGET).backward()
    assert features.grad.ne(0).all()
    assert bias_features.grad is None


def test_equal_features_give_finite_gradients():
    features = torch.zeros(8, 3, requires_grad=True)
    loss = flac_loss(features, BIAS_FEATURES.float(), TARGET)
    loss.backward()
    assert loss.isfinite()
    assert features.grad.isfinite().all()


def test_one_graph_and_low_precision():
    assert_one_graph(flac_loss, FEATURES, BIAS_FEATURES, TARGET)
    rounded, bias = FEATURES.bfloat16(), BIAS_FEATURES.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = flac_loss(rounded, bias, TARGET)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(
        naive(rounded.double(), bias.double(), TARGET, 0.5), rel=1e-4
    )


def test_refuses():
    with pytest.raises(ValueError, match=r"exponent must be positive for FLAC; got 0\.0"):
        flac_loss(FEATURES, BIAS_FEATURES, TARGET, exponent=0.0)
