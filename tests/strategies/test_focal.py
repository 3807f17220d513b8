"""Focal: its value by definition, ERM as its limit, weights of a batch, and labels."""

import pytest
import torch

from debias.strategies.erm import ERM
from debias.strategies.focal import Focal
from tests.fakes import TinyClassifier, batch_of

BATCH = batch_of(8)


def test_value_by_definition():
    model = TinyClassifier()
    p = torch.softmax(model(BATCH.image).logits.double(), dim=1)[torch.arange(8), BATCH.target]
    loss = Focal(gamma=2.0).loss(model, BATCH)
    assert loss.total.item() == pytest.approx(((1 - p) ** 2 * -p.log()).mean().item(), rel=1e-5)
    assert loss.terms == {}


@pytest.mark.parametrize(
    "weight", [None, torch.tensor([0.0, 2.0, 1.0, 0.5] * 2)], ids=["plain", "weighted"]
)
def test_gamma_0_is_erm(weight):
    model, batch = TinyClassifier(), BATCH._replace(weight=weight)
    torch.testing.assert_close(
        Focal(gamma=0.0).loss(model, batch).total, ERM().loss(model, batch).total
    )


def test_labels_are_trained_on_too():
    model, labels = TinyClassifier(), torch.stack([BATCH.target, BATCH.bias], dim=1)
    p = torch.sigmoid(model(BATCH.image).logits.double())
    p = torch.where(labels == 1, p, 1 - p)
    loss = Focal().loss(model, BATCH._replace(target=labels))
    assert loss.total.item() == pytest.approx(((1 - p) * -p.log()).mean().item(), rel=1e-5)


def test_refuses():
    with pytest.raises(ValueError, match=r"gamma must be at least 0 for Focal; got -1\.0"):
        Focal(gamma=-1.0)
