"""Soft groups, the discoverer's loss and the model's weights, by hand and by loops in float64."""

import math

import pytest
import torch

from debias.losses.soft_groups import discovered_weights, discovery_loss, soft_groups
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

GENERATOR = torch.Generator().manual_seed(0)
PROBABILITY = torch.rand(9, generator=GENERATOR, dtype=torch.float64)
MEMBERSHIP = torch.rand(9, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.tensor([0, 0, 0, 1, 1, 1, 1, 3, 3])  # class 2 of 4 is absent


def naive(probability, membership, target, balance):
    """Per class present: p+, p-, mean u; then the loss, and each sample's weight."""
    terms, weights = [], [0.0] * len(target)
    for t in sorted(set(target)):
        rows = [i for i, y in enumerate(target) if y == t]
        u, p = [membership[i] for i in rows], [probability[i] for i in rows]
        inside = sum(a * b for a, b in zip(u, p, strict=True)) / sum(u)
        outside = sum((1 - a) * b for a, b in zip(u, p, strict=True)) / sum(1 - a for a in u)
        share = sum(u) / len(u)
        terms.append(
            -math.log(abs(inside - outside)) - balance * math.log(1 - abs(share - (1 - share)))
        )
        for i, a in zip(rows, u, strict=True):
            weights[i] = 1 + (a if inside <= outside else 1 - a)
    return sum(terms) / len(terms), weights


def loss_of(probability, membership, target, balance=1.0):
    return discovery_loss(soft_groups(probability, membership, target, 4), balance=balance)


def test_hand_derived_values():
    """u = (1, 0), p = (0.2, 0.7): p+ = 0.2, p- = 0.7, mean u = 1/2, so the loss is log 2 + 0 and
    the weights (2, 1).
    """
    probability, membership = torch.tensor([0.2, 0.7]), torch.tensor([1.0, 0.0])
    target = torch.tensor([1, 1])
    groups = soft_groups(probability, membership, target, 2)
    assert groups.inside.tolist() == pytest.approx([0.0, 0.2], rel=1e-4)
    assert groups.outside.tolist() == pytest.approx([0.0, 0.7], rel=1e-4)
    assert groups.share.tolist() == [0.0, 0.5]
    assert discovery_loss(groups).item() == pytest.approx(math.log(2), rel=1e-4)
    assert discovered_weights(groups, membership, target).tolist() == [2.0, 1.0]
    flipped = soft_groups(probability, 1 - membership, target, 2)
    assert discovered_weights(flipped, 1 - membership, target).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("balance", [0.0, 0.3, 1.0])
def test_equals_the_definition(balance):
    groups = soft_groups(PROBABILITY, MEMBERSHIP, TARGET, 4)
    expected, weights = naive(PROBABILITY.tolist(), MEMBERSHIP.tolist(), TARGET.tolist(), balance)
    assert discovery_loss(groups, balance=balance).item() == pytest.approx(expected, rel=1e-4)
    assert discovered_weights(groups, MEMBERSHIP, TARGET).tolist() == pytest.approx(
        weights, rel=1e-9
    )
    assert groups.counts.tolist() == [3, 4, 0, 2]


def test_a_group_of_hardly_any_members_keeps_its_mean():
    """The divisor is the sum of the memberships and 1e-6, not their mean and 1e-6: of 100 samples
    with u = 1e-4.
    """
    probability = torch.full((100,), 0.7, dtype=torch.float64)
    target = torch.zeros(100, dtype=torch.int64)
    groups = soft_groups(probability, torch.full_like(probability, 1e-4), target, 1)
    assert groups.inside.item() == pytest.approx(0.7 * 0.01 / (0.01 + 1e-6), rel=1e-9)
    assert groups.outside.item() == pytest.approx(0.7 * 99.99 / (99.99 + 1e-6), rel=1e-9)


def test_an_absent_class_contributes_nothing():
    """With a fifth class, or without the absent third, the loss is the same."""
    wider = discovery_loss(soft_groups(PROBABILITY, MEMBERSHIP, TARGET, 5))
    narrower = discovery_loss(soft_groups(PROBABILITY, MEMBERSHIP, TARGET.clamp(max=2), 3))
    torch.testing.assert_close(wider, loss_of(PROBABILITY, MEMBERSHIP, TARGET))
    torch.testing.assert_close(narrower, loss_of(PROBABILITY, MEMBERSHIP, TARGET))


def test_properties():
    assert_permutation_invariant(loss_of, PROBABILITY, MEMBERSHIP, TARGET)
    assert_pure(loss_of, PROBABILITY, MEMBERSHIP, TARGET)
    assert_differentiable(lambda membership: loss_of(PROBABILITY, membership, TARGET), MEMBERSHIP)
    assert_one_graph(loss_of, PROBABILITY, MEMBERSHIP, TARGET)


def test_naming_the_groups_the_other_way_changes_nothing():
    swapped = soft_groups(PROBABILITY, 1 - MEMBERSHIP, TARGET, 4)
    groups = soft_groups(PROBABILITY, MEMBERSHIP, TARGET, 4)
    torch.testing.assert_close(discovery_loss(swapped), discovery_loss(groups))
    torch.testing.assert_close(
        discovered_weights(swapped, 1 - MEMBERSHIP, TARGET),
        discovered_weights(groups, MEMBERSHIP, TARGET),
    )


def test_descent_moves_the_hard_samples_to_one_group():
    """p is low for samples 0 and 2, high for 1 and 3; from nearly equal memberships, theirs part
    from one another.
    """
    probability, target = torch.tensor([0.1, 0.9, 0.2, 0.8]), torch.zeros(4, dtype=torch.int64)
    scores = torch.tensor([0.05, -0.02, 0.0, 0.0], requires_grad=True)
    for _ in range(200):
        loss = discovery_loss(soft_groups(probability, scores.sigmoid(), target, 1))
        (gradient,) = torch.autograd.grad(loss, scores)
        scores = (scores - 0.5 * gradient).detach().requires_grad_()
    membership = scores.sigmoid()
    assert membership[[0, 2]].min() > 0.9
    assert membership[[1, 3]].max() < 0.1


@pytest.mark.parametrize("membership", [0.0, 1.0, 0.5])
def test_stays_finite_where_a_group_is_empty_or_none_differs(membership):
    given = torch.full((4,), membership, requires_grad=True)
    loss = discovery_loss(soft_groups(torch.full((4,), 0.5), given, torch.tensor([0, 0, 1, 1]), 2))
    loss.backward()
    assert loss.isfinite()
    assert given.grad.isfinite().all()


def test_weights_carry_no_gradient():
    membership = MEMBERSHIP.clone().requires_grad_()
    groups = soft_groups(PROBABILITY, membership, TARGET, 4)
    assert not discovered_weights(groups, membership, TARGET).requires_grad


def test_low_precision_memberships_are_summed_in_float32():
    groups = soft_groups(
        torch.full((1000,), 0.5),
        torch.full((1000,), 1 / 256).bfloat16(),
        torch.zeros(1000).long(),
        1,
    )
    assert groups.share.dtype == torch.float32
    assert groups.share.item() == pytest.approx(1 / 256, rel=1e-6)
