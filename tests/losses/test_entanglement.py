"""EnD's terms against their definitions in float64, values by hand, and their gradients."""

import itertools

import pytest
import torch

from debias.losses.entanglement import disentangling_loss, entangling_loss
from debias.losses.supervised_contrastive import cosine_similarities
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

FEATURES = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 1, 0, 1, 0, 1, 0, 0, 1])
BIAS = torch.tensor([0, 0, 1, 1, 2, 0, 2, -1, 1])


def apart(features, bias, cancelling=True):
    return disentangling_loss(cosine_similarities(features), bias, biases=4, cancelling=cancelling)


def together(features, target, bias):
    return entangling_loss(cosine_similarities(features), target, bias)


def naive_apart(gram, bias, cancelling):
    pairs = [
        (i, j) for i, j in itertools.combinations(range(len(bias)), 2) if bias[i] == bias[j] >= 0
    ]
    values = {b: [gram[i][j] for i, j in pairs if bias[i] == b] for b in set(bias)}
    if cancelling:
        return sum(abs(sum(row)) for row in values.values()) / len(pairs)
    return sum(abs(value) for row in values.values() for value in row) / len(pairs)


def naive_together(gram, target, bias):
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(len(bias)), 2)
        if target[i] == target[j] and bias[i] != bias[j] and min(bias[i], bias[j]) >= 0
    ]
    return 1 - sum((1 + gram[i][j]) / 2 for i, j in pairs) / len(pairs)


@pytest.mark.parametrize("cancelling", [True, False])
def test_disentangling_equals_the_definition(cancelling):
    """Of the four values of the bias, the last is absent."""
    expected = naive_apart(cosine_similarities(FEATURES).tolist(), BIAS.tolist(), cancelling)
    assert apart(FEATURES, BIAS, cancelling).item() == pytest.approx(expected, rel=1e-10)


def test_entangling_equals_the_definition():
    expected = naive_together(
        cosine_similarities(FEATURES).tolist(), TARGET.tolist(), BIAS.tolist()
    )
    assert together(FEATURES, TARGET, BIAS).item() == pytest.approx(expected, rel=1e-10)


def test_by_hand():
    """Along x, along -x, along y. All of one bias: cosines -1, 0, 0, so |-1| / 3, either way.

    With -x twice: cosines -1, -1, 0 to the first two and 1, 0, 0 between the rest: the sum is -1 of
    6 pairs, the absolute sum 3. Of one class, the first of bias 0 and the other two of bias 1: 1 -
    ((1 - 1) / 2 + (1 + 0) / 2) / 2.
    """
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    three, same = torch.stack([x, -x, y]), torch.zeros(3, dtype=torch.int64)
    assert apart(three, same).item() == pytest.approx(1 / 3)
    assert apart(three, same, cancelling=False).item() == pytest.approx(1 / 3)
    four = torch.stack([x, -x, -x, y])
    assert apart(four, torch.zeros(4, dtype=torch.int64)).item() == pytest.approx(1 / 6)
    assert apart(four, torch.zeros(4, dtype=torch.int64), cancelling=False).item() == pytest.approx(
        3 / 6
    )
    assert together(three, same, torch.tensor([0, 1, 1])).item() == pytest.approx(0.75)


def test_the_forms_agree_where_features_are_not_negative():
    features = FEATURES.abs()
    torch.testing.assert_close(apart(features, BIAS), apart(features, BIAS, cancelling=False))


def test_limits():
    """Orthogonal within biases: 0; equal: 1. Equal across a class's biases: 0; opposite: 1."""
    bias = torch.tensor([0, 0, 1, 1])
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert apart(torch.stack([x, y, y, x]), bias).item() == 0
    assert apart(torch.stack([x, x, y, y]), bias).item() == pytest.approx(1)
    target = torch.tensor([0, 1, 0, 1])
    assert together(torch.stack([x, y, x, y]), target, bias).item() == pytest.approx(0)
    assert together(torch.stack([x, y, -x, -y]), target, bias).item() == pytest.approx(1)


def test_no_pairs_no_loss_and_no_gradient():
    features = FEATURES.clone().requires_grad_()
    loss = apart(features[:3], torch.tensor([0, 1, -1])) + together(
        features, TARGET, torch.zeros_like(BIAS)
    )
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.eq(0).all()


def test_gradients():
    assert_differentiable(apart, FEATURES, BIAS)
    assert_differentiable(together, FEATURES, TARGET, BIAS)


def test_a_step_pulls_a_bias_apart_and_a_class_together():
    features = torch.tensor([[1.0, 0.3], [1.0, -0.2]], requires_grad=True)
    before = cosine_similarities(features.detach())[0, 1]
    (gradient,) = torch.autograd.grad(apart(features, torch.tensor([0, 0])), features)
    assert cosine_similarities(features.detach() - 0.1 * gradient)[0, 1] < before
    (gradient,) = torch.autograd.grad(
        together(features, torch.tensor([0, 0]), torch.tensor([0, 1])), features
    )
    assert cosine_similarities(features.detach() - 0.1 * gradient)[0, 1] > before


def test_an_unknown_bias_gets_no_gradient():
    features = FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        apart(features, BIAS) + together(features, TARGET, BIAS), features
    )
    assert gradient[7].eq(0).all()
    assert gradient[BIAS >= 0].ne(0).any(dim=1).all()


def test_properties():
    assert_permutation_invariant(apart, FEATURES, BIAS)
    assert_permutation_invariant(together, FEATURES, TARGET, BIAS)
    assert_pure(together, FEATURES, TARGET, BIAS)


def test_low_precision_is_avoided_and_one_graph_is_enough():
    features = FEATURES.float()

    def both(features, target, bias):
        return apart(features, bias) + together(features, target, bias)

    with torch.autocast("cpu", torch.bfloat16):
        low = both(features, TARGET, BIAS)
    assert torch.equal(low, both(features, TARGET, BIAS))
    assert low.item() == pytest.approx(both(FEATURES.double(), TARGET, BIAS).item(), rel=1e-6)
    assert_one_graph(both, FEATURES, TARGET, BIAS)
