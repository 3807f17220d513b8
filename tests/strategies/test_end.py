"""EnD: its loss from the definition, and who receives gradient."""

import pytest
import torch
from torch.nn import functional as F

from debias.losses.supervised_contrastive import cosine_similarities
from debias.strategies.end import EnD
from debias.strategies.erm import ERM
from tests.fakes import GROUPS, TinyClassifier, batch_of


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return TinyClassifier(), batch_of(8)


def test_value(parts):
    """Targets 0 1 0 1 0 1 0 1 and biases 0 0 1 1 0 0 1 1: the pairs by hand.

    Of one bias: 0 1 4 5, six pairs, and 2 3 6 7, six. Of one class across the biases: 0 and 4 with
    2 and 6; 1 and 5 with 3 and 7.
    """
    model, batch = parts
    gram = cosine_similarities(model(batch.image).features)
    sums = [
        sum(gram[i, j] for i in biased for j in biased if i < j)
        for biased in ((0, 1, 4, 5), (2, 3, 6, 7))
    ]
    apart = sum(abs(value) for value in sums) / 12
    across = [
        gram[i, j] for i, j in ((0, 2), (0, 6), (4, 2), (4, 6), (1, 3), (1, 7), (5, 3), (5, 7))
    ]
    together = 1 - sum((1 + value) / 2 for value in across) / 8
    loss = EnD(GROUPS, disentangling=0.5, entangling=2.0).loss(model, batch)
    task = F.cross_entropy(model(batch.image).logits, batch.target)
    assert loss.total.item() == pytest.approx((task + 0.5 * apart + 2 * together).item(), rel=1e-5)
    assert {name: value.item() for name, value in loss.terms.items()} == pytest.approx(
        {"disentangling": apart.item(), "entangling": together.item()}, rel=1e-5
    )


def test_without_weights_it_is_erm(parts):
    model, batch = parts
    strategy = EnD(GROUPS, disentangling=0.0, entangling=0.0)
    assert strategy.loss(model, batch).total.item() == ERM().loss(model, batch).total.item()


def test_the_terms_reach_the_features_and_not_the_head(parts):
    model, batch = parts
    task = torch.autograd.grad(ERM().loss(model, batch).total, list(model.parameters()))
    loss = EnD(GROUPS, disentangling=1.0, entangling=1.0).loss(model, batch).total
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    changed = [not torch.allclose(one, other) for one, other in zip(task, gradients, strict=True)]
    assert dict(zip(dict(model.named_parameters()), changed, strict=True)) == {
        "body.1.weight": True, "body.1.bias": True, "head.weight": False, "head.bias": False,
    }  # fmt: skip


def test_every_pair_by_itself_where_asked_for(parts):
    model, batch = parts
    either = [
        EnD(GROUPS, cancelling=cancelling).loss(model, batch).terms["disentangling"]
        for cancelling in (0, 1)
    ]
    assert either[0].item() > either[1].item() + 0.01


def test_refuses():
    with pytest.raises(ValueError, match=r"disentangling must be at least 0 for EnD; got -1\.0"):
        EnD(GROUPS, disentangling=-1.0)
    with pytest.raises(ValueError, match=r"^entangling must be at least 0 for EnD; got -1\.0"):
        EnD(GROUPS, entangling=-1.0)
