"""Elastic: its objective by hand, ERM as its limit, and what a penalty does to features."""

import numpy as np
import pytest
import torch

from debias.strategies.elastic import Elastic
from debias.strategies.erm import ERM
from tests.fakes import TinyClassifier, batch_of
from tests.losses.test_scales import NETWORKS, at_the_head, of_strategy, share, watched

BATCH = batch_of(8)


def test_by_definition():
    model = TinyClassifier()
    values = np.linalg.svd(model(BATCH.image).features.detach().double().numpy())[1]
    norm = (0.5 * values.sum() + 0.25 * (values**2).sum()) / 8
    loss = Elastic(nuclear=0.5, frobenius=0.25).loss(model, BATCH)
    task = ERM().loss(model, BATCH).total.item()
    assert loss.terms["elastic_norm"].item() == pytest.approx(norm, rel=1e-5)
    assert loss.total.item() == pytest.approx(task + norm, rel=1e-5)


def test_weights_of_the_batch_are_of_the_task_alone():
    model, weight = TinyClassifier(), torch.linspace(0.5, 2, 8)
    weighted = BATCH._replace(weight=weight)
    gaps = [
        Elastic().loss(model, batch).total - ERM().loss(model, batch).total
        for batch in (BATCH, weighted)
    ]
    torch.testing.assert_close(gaps[0], gaps[1], rtol=1e-3, atol=1e-6)


def test_without_weights_it_is_erm_to_the_last_bit():
    """Training warns of no idle term then: warnings are errors here."""
    model, strategy = TinyClassifier(), Elastic(nuclear=0.0, frobenius=0.0)
    parameters = list(model.parameters())
    losses = [method.loss(model, BATCH).total for method in (strategy, ERM())]
    gradients = [torch.autograd.grad(loss, parameters) for loss in losses]
    assert torch.equal(*losses)
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    watched(strategy, model, BATCH)


def test_who_gets_gradient():
    """The norm reaches what computes the features, not the head."""
    model = TinyClassifier()
    norm = Elastic().loss(model, BATCH).total - ERM().loss(model, BATCH).total
    norm.backward()
    assert all(parameter.grad.ne(0).any() for parameter in model.body.parameters())
    assert all(parameter.grad.abs().max() < 1e-7 for parameter in model.head.parameters())


def test_a_large_penalty_leaves_fewer_directions():
    """Singular values after 200 steps, the largest being 4.5: ERM 0.70, 0.50, 0.18, 0.06.
    Here 0.31, 0.19, 0.02, 0.01, of which two are below a hundredth of the largest.
    """
    ranks = []
    for strategy in (ERM(), Elastic(nuclear=0.05)):
        torch.manual_seed(0)
        model = TinyClassifier()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            strategy.loss(model, BATCH).total.backward()
            optimizer.step()
        values = torch.linalg.svdvals(model(BATCH.image).features.detach())
        ranks.append(int((values > 0.01 * values[0]).sum()))
    assert ranks == [5, 3]


@pytest.mark.parametrize("network", NETWORKS)
def test_by_its_defaults_the_penalty_is_neither_nothing_nor_everything(network):
    """Its gradient beside that of cross-entropy, on features of the scale of real networks."""
    assert 1e-6 < share(of_strategy(Elastic), network) < 1e3
    watched(Elastic(), *at_the_head(network))


@pytest.mark.parametrize("name", ["nuclear", "frobenius"])
def test_refuses(name):
    with pytest.raises(ValueError, match=rf"{name} must be at least 0 for Elastic; got -0\.1"):
        Elastic(**{name: -0.1})
