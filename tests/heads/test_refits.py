"""The published refits against loops from the papers' formulas, and what becomes of a shortcut."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.group_inference.disagreement import largest_losses
from debias.heads.linear import Heads, Rows, fresh_heads
from debias.heads.orders import balanced_order, halves, shuffled_order
from debias.heads.refits import balanced_heads, focal_heads, selected_heads
from tests.fakes import seeded
from tests.heads.spurious_rows import SIZE, erm_head, spurious_rows, worst_group

TRAIN = spurious_rows(300, aligned=0.8, seed=0)
TRAIN = TRAIN._replace(features=TRAIN.features.double())
HELD_OUT = spurious_rows(200, aligned=0.5, seed=1)


def start_head():
    heads = fresh_heads(1, classes=2, size=SIZE, generator=seeded(7))
    # centred, for weight decay leaves the mean over the classes
    return Heads(*(value.double() - value.double().mean(dim=1, keepdim=True) for value in heads))


def sgd(start, batches, weights, *, rate, momentum=0.9, decay=1e-4, rows=TRAIN):
    """A plain loop over minibatches."""
    layer = start.linear(0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
    for batch in batches:
        losses = F.cross_entropy(layer(rows.features[batch]), rows.target[batch], reduction="none")
        optimizer.zero_grad()
        (weights[batch] * losses).mean().backward()
        optimizer.step()
    return layer


def assert_is(heads, layer, head=0):
    torch.testing.assert_close(heads.weights[head], layer.weight.detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(heads.biases[head], layer.bias.detach(), atol=1e-12, rtol=0)


def test_focal_heads_follow_the_papers_objective():
    """AFR as written: weights that sum to one, the pull towards the start, norm clipped to 1; every
    step is judged.
    """
    start, gamma, penalty = start_head(), 6.0, 0.2
    chosen = start.logits(TRAIN.features)[0].softmax(dim=1).gather(1, TRAIN.target[:, None])[:, 0]
    weights = torch.exp(-gamma * chosen) / torch.bincount(TRAIN.target)[TRAIN.target]
    weights = weights / weights.sum()
    layer, ends, scores = start.linear(0), [], []
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for _ in range(60):
        losses = F.cross_entropy(layer(TRAIN.features), TRAIN.target, reduction="none")
        pull = (layer.weight - start.weights[0]).square().sum() + (
            layer.bias - start.biases[0]
        ).square().sum()
        optimizer.zero_grad()
        ((weights * losses).sum() + penalty * pull).backward()
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()
        ends.append(Heads(layer.weight.detach().clone()[None], layer.bias.detach().clone()[None]))
        scores.append(worst_group(ends[-1], HELD_OUT))
    fitted = focal_heads(
        TRAIN.features, TRAIN.target, start, gamma=torch.tensor([0.0, gamma]),
        start_penalty=penalty, steps=60, held_out=HELD_OUT,
    )  # fmt: skip
    best = scores.index(max(scores))
    assert fitted.steps[1].item() == best + 1
    assert fitted.scores[1].item() == max(scores)
    torch.testing.assert_close(fitted.heads.weights[1], ends[best].weights[0], atol=1e-7, rtol=0)


def test_focal_weights_come_from_one_head():
    start = fresh_heads(2, classes=2, size=SIZE, generator=seeded())
    with pytest.raises(ValueError, match="one earlier head; got 2"):
        focal_heads(*TRAIN[:2], start, gamma=1.0, start_penalty=0.0, held_out=HELD_OUT)


def test_resampled_heads_are_sgd_on_balanced_draws():
    start = start_head()
    order = balanced_order(TRAIN.group, batch_size=16, steps=40, generator=seeded())
    fitted = balanced_heads(
        *TRAIN, start, seeded(), steps=40, batch_size=16, learning_rate=torch.tensor([1e-3, 1e-2])
    )
    for head, rate in enumerate((1e-3, 1e-2)):
        layer = sgd(start, order, torch.ones(300), rate=torch.tensor(rate).item())
        assert_is(fitted.heads, layer, head)
    assert fitted.steps.tolist() == [40, 40]


def test_reweighted_heads_are_sgd_on_inverse_frequencies():
    """A row without a group has weight 0, and the mean weight over the others is one."""
    start, group = start_head(), TRAIN.group.clone()
    group[:10] = -1
    counts = torch.bincount(group[10:]).double()
    weights = torch.cat([torch.zeros(10), 290 / (4 * counts[group[10:]])]).double()
    order = shuffled_order(300, batch_size=16, steps=40, generator=seeded())
    fitted = balanced_heads(
        TRAIN.features,
        TRAIN.target,
        group,
        start,
        seeded(),
        steps=40,
        batch_size=16,
        weighted=True,
        learning_rate=0.01,
    )
    # weights are float32
    torch.testing.assert_close(
        fitted.heads.weights[0],
        sgd(start, order, weights, rate=0.01).weight.detach(),
        atol=1e-7,
        rtol=0,
    )


def test_selected_heads_see_the_chosen_rows_alone():
    start, chosen = start_head(), torch.tensor([3, 250, 17, 40, 99])
    features = torch.full_like(TRAIN.features, math.nan)
    features[chosen] = TRAIN.features[chosen]
    fitted = selected_heads(
        features,
        TRAIN.target,
        chosen,
        start,
        seeded(),
        learning_rate=0.01,
        steps=30,
        batch_size=8,
        held_out=HELD_OUT,
    )
    few = Rows(*(column[chosen] for column in TRAIN))
    # no batch is larger than what was chosen
    order = balanced_order(few.target, batch_size=5, steps=30, generator=seeded())
    layer = sgd(start, order, torch.ones(5), rate=0.01, momentum=0.0, rows=few)
    assert_is(fitted.heads, layer)
    assert fitted.steps.item() == 30
    assert fitted.scores.item() == worst_group(fitted.heads, HELD_OUT)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_refits_undo_a_spurious_feature(seed):
    """Worst-group accuracy where 95 of 100 rows are aligned with a bias louder than the class.

    Measured with seeds 0, 1, 2: ERM 0.69, 0.71, 0.70; AFR 0.84, 0.84, 0.81; CRT 0.90, 0.89, 0.90;
    ReWeightCRT 0.90, 0.88, 0.90. AFR reads no group but those of validation.
    """
    train, fresh = (
        spurious_rows(count, aligned=0.95, seed=4 * seed + k)
        for k, count in enumerate((2000, 1000))
    )
    validation, test = (
        spurious_rows(count, aligned=0.5, seed=4 * seed + 2 + k)
        for k, count in enumerate((800, 4000))
    )
    head, generator = erm_head(train), seeded(seed)
    base = worst_group(head, test)
    focal = focal_heads(
        *fresh[:2], head, gamma=torch.tensor([2.0, 4.0, 8.0, 12.0]), start_penalty=0.0,
        held_out=validation, learning_rate=0.05, steps=150,
    )  # fmt: skip
    resampled = balanced_heads(*train, head, generator, steps=400, learning_rate=0.01)
    reweighted = balanced_heads(
        *train, head, generator, steps=400, learning_rate=0.01, weighted=True
    )
    assert base < 0.72
    assert worst_group(focal.heads, test, focal.best) > base + 0.08
    assert worst_group(resampled.heads, test) > 0.87
    assert worst_group(reweighted.heads, test) > 0.87


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_few_misclassified_rows_undo_it_better_than_as_many_at_random(seed):
    """SELF as published: 20 rows of one half of validation, groups read on the other half alone.

    Measured with seeds 0, 1, 2: ERM 0.69, 0.71, 0.70; 20 misclassified rows 0.89, 0.89, 0.89; 20 at
    random 0.81, 0.87, 0.80.
    """
    train, generator = spurious_rows(2000, aligned=0.95, seed=4 * seed), seeded(seed)
    validation, test = (
        spurious_rows(count, aligned=0.5, seed=4 * seed + 2 + k)
        for k, count in enumerate((800, 4000))
    )
    first, second = (validation.take(rows) for rows in halves(validation.group, generator))
    head = erm_head(train)
    wrong = largest_losses(head.logits(first.features)[0], first.target, count=20)
    by_chance = torch.randperm(len(first.target), generator=generator)[:20]
    rates = torch.tensor([1e-4, 1e-3, 1e-2])
    scores = []
    for chosen in (wrong, by_chance):
        fitted = selected_heads(
            *first[:2], chosen, head, generator, learning_rate=rates, held_out=second
        )
        scores.append(worst_group(fitted.heads, test, fitted.best))
    assert scores[0] > worst_group(head, test) + 0.12
    assert scores[0] > scores[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_class_balanced_draws_on_rows_without_the_shortcut_undo_it(seed):
    """As Waterbirds has it: one row of four is of class 1, and in validation the bias is even
    within each class.

    Measured with seeds 0, 1, 2: ERM 0.61, 0.56, 0.56; plain draws 0.88, 0.85, 0.85; balanced 0.93,
    0.92, 0.91.
    """
    train = spurious_rows(2000, aligned=0.95, seed=10 + 3 * seed, positive=0.25)
    validation = spurious_rows(1000, aligned=0.5, seed=11 + 3 * seed, positive=0.25)
    test = spurious_rows(4000, aligned=0.5, seed=12 + 3 * seed, positive=0.25)
    head = erm_head(train)
    start = fresh_heads(1, classes=2, size=SIZE, generator=seeded(seed))
    plain, balanced = (
        balanced_heads(
            *validation[:2],
            label,
            start,
            seeded(seed),
            steps=3200,
            learning_rate=0.003,
            momentum=0.0,
            batch_size=32,
        )
        for label in (torch.zeros_like(validation.target), validation.target)
    )
    assert worst_group(balanced.heads, test) > worst_group(head, test) + 0.2
    assert worst_group(balanced.heads, test) > worst_group(plain.heads, test) + 0.02
