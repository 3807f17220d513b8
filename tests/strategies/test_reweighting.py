"""Reweighting by effective number; plain and square-root reweighting are in ``test_strategies``."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.reweighting import ClassReweighting, GroupReweighting
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)


def losses_of(model: TinyClassifier) -> torch.Tensor:
    return F.cross_entropy(model(BATCH.image).logits, BATCH.target, reduction="none").double()


def test_class_balanced_loss_by_hand():
    """Counts 3, 1, beta = 1/2: E = 7/4, 1, weights as 4/7 and 1, 3 w0 + w1 = 4: 16/19, 28/19."""
    model = TinyClassifier()
    loss = ClassReweighting(GROUPS, torch.tensor([3, 1]), beta=0.5).loss(model, BATCH)
    weights = torch.tensor([16 / 19, 28 / 19], dtype=torch.float64)
    assert loss.total.item() == pytest.approx(
        (weights[BATCH.target] * losses_of(model)).mean().item(), rel=1e-6
    )


def test_by_group_in_float64():
    model, counts = TinyClassifier(), torch.tensor([30, 6, 2, 10])
    loss = GroupReweighting(GROUPS, counts, beta=0.9).loss(model, BATCH)
    inverse = 1 / (1 - 0.9 ** counts.double())
    weights = inverse * 48 / (inverse * counts).sum()
    by_hand = (weights[2 * BATCH.target + BATCH.bias] * losses_of(model)).mean()
    assert loss.total.item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_beta_0_is_erm():
    model = TinyClassifier()
    loss = GroupReweighting(GROUPS, torch.tensor([30, 6, 2, 10]), beta=0.0).loss(model, BATCH)
    torch.testing.assert_close(loss.total, ERM().loss(model, BATCH).total)


def test_an_unknown_group_has_no_weight():
    """Of four samples, one of each group, two biases are unknown: these are left out."""
    model, counts = TinyClassifier(), torch.tensor([3498, 184, 56, 1057])
    batch = batch_of(4)._replace(bias=torch.tensor([0, -1, 1, -1]))
    loss = GroupReweighting(GROUPS, counts).loss(model, batch)
    losses = F.cross_entropy(model(batch.image).logits, batch.target, reduction="none").double()
    by_hand = 4795 / 4 * (losses[0] / 3498 + losses[2] / 184) / 4
    assert loss.total.item() == pytest.approx(by_hand.item(), rel=1e-6)
