"""Concept bottlenecks: which rows ground a concept, the head by a plain loop, and the prior."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from debias.heads import concepts as heads
from debias.heads.concepts import fit_bottleneck, ground_concepts, held_out_size
from debias.heads.linear import Rows, fresh_heads, worst_group_accuracies
from tests.fakes import seeded
from tests.heads.spurious_rows import SIZE, erm_head, spurious_rows, worst_group

ROWS = spurious_rows(400, aligned=0.9, seed=0)


def labels() -> torch.Tensor:
    """The class, a concept of 90 rows, and the sign of feature 5, of which 50 rows are unknown."""
    shown = torch.stack([ROWS.target, torch.arange(400) < 90, ROWS.features[:, 5] > 0], dim=1)
    shown = shown.long()
    shown[:50, 2] = -1
    return shown


def test_sizes_by_hand():
    """A tenth of the rarer side, rounded down, and at most 50."""
    assert [held_out_size(rows) for rows in (9, 99, 100, 499, 500, 9000)] == [0, 9, 10, 49, 50, 50]


def test_a_concept_without_ten_held_out_images_of_each_side_is_left_out():
    found = ground_concepts(ROWS.features, labels(), seeded())
    assert found.used.tolist() == [0, 2]
    assert found.weights.shape == (2, SIZE)
    assert found.accuracy.isnan().tolist() == [False, True, False]
    assert found.spread(torch.tensor([3.0, 4.0])).nan_to_num(0).tolist() == [3, 0, 4]
    more = ground_concepts(ROWS.features, labels(), seeded(), least_held_out=9)
    assert more.used.tolist() == [0, 1, 2]
    none = ground_concepts(ROWS.features, labels()[:, 1:2], seeded())
    assert none.used.tolist() == []


@pytest.mark.parametrize("most", [1000, 40])
def test_a_classifier_by_scikit_learn(most, monkeypatch):
    """150 rows with the concept and 250 without: 15 of each are held out. 135 of each are fitted,
    or the most that are allowed.
    """
    monkeypatch.setattr(heads, "MOST_FITTED", most)
    label = (torch.arange(400) < 150).long()
    features = ROWS.features + 0.8 * label[:, None]
    found = ground_concepts(features, label[:, None], seeded(3), inverse_penalty=0.7)
    generator = seeded(3)
    sides = []
    for side in (0, 1):
        rows = (label == side).nonzero().flatten()
        sides.append(rows[torch.randperm(len(rows), generator=generator)])
    fitting = torch.cat([rows[15 : min(150, 15 + most)] for rows in sides])
    unit = features.double() / features.double().norm(dim=1, keepdim=True)
    model = LogisticRegression(C=0.7, max_iter=1000)
    model.fit(unit[fitting].numpy(), label[fitting].numpy())
    np.testing.assert_allclose(found.weights[0].numpy(), model.coef_[0], rtol=1e-5, atol=1e-6)
    assert found.biases.item() == pytest.approx(model.intercept_.item(), rel=1e-5)
    judged = torch.cat([rows[:15] for rows in sides])
    score = model.score(unit[judged].numpy(), label[judged].numpy())
    assert found.accuracy.item() == pytest.approx(score)
    assert 0.6 < score < 1
    expected = model.predict_proba(unit.numpy())[:, 1]
    np.testing.assert_allclose(found.probabilities(features)[:, 0], expected, atol=1e-5)


def test_unknown_labels_are_never_read():
    given = labels()[:, 2:]
    features = torch.where(given < 0, torch.nan, ROWS.features)
    found = ground_concepts(features, given, seeded())
    assert found.weights.isfinite().all()
    assert found.accuracy.item() > 0.7


def concepts(rows: Rows) -> Rows:
    """Probabilities of three concepts: class, noise, and bias."""
    shown = rows.features[:, [0, 5, 1]].sigmoid()
    return rows._replace(features=shown)


def test_the_head_by_a_plain_loop():
    rows, prior = concepts(ROWS), torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    found = fit_bottleneck(
        rows, seeded(), classes=2, prior=prior, strength=0.3, epochs=3, batch_size=48,
        learning_rate=0.01,
    )  # fmt: skip
    generator = seeded()
    head = fresh_heads(1, classes=2, size=3, generator=generator).linear(0)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(3):
        for batch in torch.randperm(400, generator=generator).split(48):
            loss = F.cross_entropy(head(rows.features[batch]), rows.target[batch])
            loss = loss + 0.3 * (torch.tanh(head.weight) - prior).abs().sum() / 6
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(found.head.weight, head.weight)
    torch.testing.assert_close(found.head.bias, head.bias)
    assert found.epoch == 3
    assert math.isnan(found.score)


def test_held_out_rows_select_the_first_of_the_best_epochs():
    """Of each number of epochs, the last head is scored by its worst group."""
    rows, judged = concepts(ROWS), concepts(spurious_rows(60, aligned=0.5, seed=1))
    options = {"classes": 2, "learning_rate": 0.05, "batch_size": 100}
    found = fit_bottleneck(rows, seeded(2), held_out=judged, epochs=8, **options)
    scores, last = [], []
    for epochs in range(1, 9):
        last.append(fit_bottleneck(rows, seeded(2), epochs=epochs, **options).head)
        predictions = last[-1](judged.features).argmax(dim=1)[None]
        scores.append(worst_group_accuracies(predictions, judged.target, judged.group).item())
    best = scores.index(max(scores))
    assert found.score == scores[best]
    assert found.epoch == best + 1
    assert torch.equal(found.head.weight, last[best].weight)
    assert len({*scores}) > 2


def test_a_huge_prior_fixes_the_signs():
    rows, prior = concepts(ROWS), torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
    found = fit_bottleneck(
        rows, seeded(), classes=2, prior=prior, strength=1e4, epochs=20, learning_rate=0.05
    )
    assert torch.equal(found.head.weight.sign(), prior)
    free = fit_bottleneck(rows, seeded(), classes=2, strength=1e4, epochs=20, learning_rate=0.05)
    assert not torch.equal(free.head.weight.sign(), prior)


def test_constant_concepts_predict_the_frequency_of_the_classes():
    """Three balanced classes: the cross-entropy is log 3."""
    target = torch.arange(120) % 3
    rows = Rows(torch.full((120, 4), 0.7), target, target)
    found = fit_bottleneck(rows, seeded(), classes=3, epochs=60, learning_rate=0.01, batch_size=120)
    loss = F.cross_entropy(found.head(rows.features), target)
    assert loss.item() == pytest.approx(math.log(3), abs=1e-3)


def test_a_bottleneck_without_the_bias_cannot_use_it():
    """The worst group of ERM is at 0.63. Of concepts grounded where the bias is balanced, 0.91."""
    biased = spurious_rows(1000, aligned=0.97, seed=2)
    balanced = spurious_rows(1000, aligned=0.5, seed=3)
    test = spurious_rows(2000, aligned=0.5, seed=4)
    grounding = ground_concepts(balanced.features, (balanced.features[:, :1] > 0).long(), seeded())
    shown = [one._replace(features=grounding.probabilities(one.features)) for one in (biased, test)]
    head: nn.Linear = fit_bottleneck(
        shown[0], seeded(), classes=2, epochs=20, learning_rate=0.05
    ).head
    predictions = head(shown[1].features).argmax(dim=1)[None]
    found = worst_group_accuracies(predictions, test.target, test.group).item()
    assert found > worst_group(erm_head(biased), test) + 0.2


def test_refuses():
    with pytest.raises(ValueError, match="least_held_out must be at least 1 for KnoBo; got 0"):
        ground_concepts(ROWS.features, labels(), seeded(), least_held_out=0)
    with pytest.raises(ValueError, match="inverse_penalty must be positive for KnoBo; got 0"):
        ground_concepts(ROWS.features, labels(), seeded(), inverse_penalty=0.0)
    for name, value in {"strength": -1, "learning_rate": 0, "epochs": 0, "batch_size": 0}.items():
        with pytest.raises(ValueError, match=f"{name} must be .* for KnoBo; got {value}"):
            fit_bottleneck(concepts(ROWS), seeded(), classes=2, **{name: value})
