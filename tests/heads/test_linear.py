"""Heads, their scores and which rows they are fitted on."""

import math

import pytest
import torch
from torch import nn

from debias.heads.linear import FittedHeads, Rows, fresh_heads, repeated, worst_group_accuracies
from debias.heads.orders import balanced_order, balanced_subsample, halves, shuffled_order
from tests.fakes import seeded

LABEL = torch.tensor([0] * 20 + [1] * 5 + [-1] * 3 + [3] * 8)


def test_logits_and_layer_agree_with_a_linear_layer():
    layer = nn.Linear(4, 3)
    features = torch.randn(6, 4, generator=seeded())
    heads = repeated(layer, count=2)
    torch.testing.assert_close(heads.logits(features), layer(features).expand(2, -1, -1))
    before = torch.get_rng_state()
    torch.testing.assert_close(heads.linear(1)(features), layer(features))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_layer_made_of_a_head_has_weights_of_its_own():
    heads = fresh_heads(2, classes=3, size=4, generator=seeded())
    kept = heads.weights.clone()
    with torch.no_grad():
        heads.linear(0).weight.zero_()
    assert torch.equal(heads.weights, kept)


def test_fresh_heads_are_drawn_as_linear_layers_are():
    """Uniform in +-1/sqrt(D): that is the bound, the variance is 1/(3D); the generator decides."""
    heads = fresh_heads(50, classes=2, size=16, generator=seeded())
    assert heads.weights.abs().max() <= 0.25
    assert heads.biases.abs().max() <= 0.25
    assert heads.weights.var().item() == pytest.approx(1 / 48, rel=0.1)
    again = fresh_heads(50, classes=2, size=16, generator=seeded())
    assert torch.equal(heads.weights, again.weights)
    assert not torch.equal(heads.weights[0], heads.weights[1])


def test_a_layer_without_bias_gets_one_of_zeros():
    layer = nn.Linear(4, 2, bias=False)
    heads = repeated(layer, count=3)
    assert torch.equal(heads.biases, torch.zeros(3, 2))
    assert torch.equal(heads.weights[2], layer.weight)


def test_worst_group_by_hand():
    """Group 0: 1/2 and 1; group 1 does not occur; group 2: 2/3 and 1/3; no group at the end."""
    target, group = torch.tensor([0, 1, 1, 0, 1, 0]), torch.tensor([0, 0, 2, 2, 2, -1])
    predictions = torch.tensor([[0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 1, 1]])
    assert worst_group_accuracies(predictions, target, group).tolist() == pytest.approx(
        [1 / 2, 1 / 3]
    )


def test_rows_without_groups_have_no_worst_one():
    with pytest.raises(ValueError, match="give the class as the group"):
        worst_group_accuracies(torch.zeros(1, 2), torch.zeros(2), torch.tensor([-1, -1]))


def test_the_best_head_is_the_first_with_the_highest_score():
    heads = fresh_heads(3, classes=2, size=2, generator=seeded())
    steps = torch.ones(3, dtype=torch.int64)
    assert FittedHeads(heads, torch.tensor([0.5, 0.9, 0.9]), steps).best == 1
    with pytest.raises(ValueError, match="fit them with held-out rows"):
        _ = FittedHeads(heads, torch.full((3,), math.nan), steps).best


def test_rows_are_taken_together():
    rows = Rows(
        torch.arange(8.0).view(4, 2), torch.tensor([0, 1, 0, 1]), torch.tensor([3, 2, 1, 0])
    )
    taken = rows.take(torch.tensor([2, 0]))
    assert taken.features.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert taken.target.tolist() == [0, 0]
    assert taken.group.tolist() == [1, 3]


def test_a_subsample_has_as_many_rows_of_every_label_as_the_rarest():
    rows = balanced_subsample(LABEL, seeded())
    assert torch.bincount(LABEL[rows]).tolist() == [5, 5, 0, 5]
    assert len(rows.unique()) == 15


def test_subsamples_come_from_the_generator_and_reach_every_row():
    generator = seeded()
    draws = [balanced_subsample(LABEL, generator) for _ in range(60)]
    assert torch.equal(draws[0], balanced_subsample(LABEL, seeded()))
    assert not torch.equal(draws[0], draws[1])
    assert torch.cat(draws).unique().tolist() == (LABEL >= 0).nonzero()[:, 0].tolist()


def test_halves_share_every_label():
    first, second = halves(LABEL, seeded())
    assert torch.bincount(LABEL[first]).tolist() == [10, 3, 0, 4]
    assert torch.bincount(LABEL[second]).tolist() == [10, 2, 0, 4]
    assert (
        torch.cat([first, second]).sort().values.tolist() == (LABEL >= 0).nonzero()[:, 0].tolist()
    )
    assert not torch.equal(first, halves(LABEL, seeded(1))[0])


def test_a_label_with_one_row_cannot_be_halved():
    with pytest.raises(ValueError, match="group 1 has one row"):
        halves(torch.tensor([0, 0, 1]), seeded())


def test_a_shuffled_order_visits_every_row_once_a_pass():
    order = shuffled_order(10, batch_size=4, steps=7, generator=seeded())
    assert order.shape == (7, 4)
    first, second, rest = order.flatten().split([10, 10, 8])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(10))
    assert len(rest.unique()) == 8
    assert not torch.equal(first, second)


def test_a_balanced_order_draws_every_label_equally():
    """10,000 draws of three labels: a third each, to five deviations (0.024); -1 never comes."""
    order = balanced_order(LABEL, batch_size=100, steps=100, generator=seeded())
    shares = torch.bincount(LABEL[order].flatten(), minlength=4) / 10_000
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=0.024)
    assert torch.equal(order, balanced_order(LABEL, batch_size=100, steps=100, generator=seeded()))


def test_orders_refuse():
    with pytest.raises(ValueError, match="none of 2 rows has a label"):
        balanced_order(torch.tensor([-1, -1]), batch_size=1, steps=1, generator=seeded())
    with pytest.raises(ValueError, match="got 5, 0 and 1"):
        shuffled_order(5, batch_size=0, steps=1, generator=seeded())
    with pytest.raises(ValueError, match="none of 1 rows has a label"):
        balanced_subsample(torch.tensor([-1]), seeded())
