"""SoftContrastive: each turn's value by definition, who gets gradient, what weights follow."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.soft_contrastive import SoftContrastive
from debias.types import Outputs
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.properties import assert_own_gradient

BATCH = batch_of(8)


def pair(**options: float) -> tuple[SoftContrastive, TinyClassifier]:
    torch.manual_seed(0)
    return SoftContrastive(GROUPS, **options), TinyClassifier()


class Seen(torch.nn.Module):
    """A biased network whose features are given."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, image: torch.Tensor) -> Outputs:
        return Outputs(self.features[:, :2], self.features)


def test_values_by_definition():
    """CE(g); then the weighted contrast, pair by pair in float64, and 0.5 CE(f)."""
    strategy, model = pair(temperature=0.5, task_weight=0.5)
    g, f = strategy.network(BATCH.image), model(BATCH.image)
    biased = strategy.biased_loss(model, BATCH)
    assert biased.total.item() == pytest.approx(
        F.cross_entropy(g.logits, BATCH.target).item(), rel=1e-5
    )
    loss = strategy.model_loss(model, BATCH)
    strategy.network.eval()
    bias = F.normalize(strategy.network(BATCH.image).features.double(), dim=1)
    features = F.normalize(f.features.double(), dim=1)
    losses = []
    for i in range(8):
        others = [j for j in range(8) if j != i]
        scores = {j: math.exp((features[i] @ features[j]).item() / 0.5) for j in others}
        weights = {
            j: 1 - (bias[i] @ bias[j]).item() for j in others if BATCH.target[i] == BATCH.target[j]
        }
        shares = sum(
            weight * math.log(scores[j] / sum(scores.values())) for j, weight in weights.items()
        )
        losses.append(-shares / sum(weights.values()))
    task = F.cross_entropy(f.logits, BATCH.target).item()
    assert loss.terms["contrast"].item() == pytest.approx(sum(losses) / 8, rel=1e-4)
    assert loss.terms["cross_entropy"].item() == pytest.approx(task, rel=1e-5)
    assert loss.total.item() == pytest.approx(sum(losses) / 8 + 0.5 * task, rel=1e-4)


def test_a_network_that_sees_the_bias_alone_stands_in_for_its_labels():
    """Features (1, 0) and (0, 1) by the bias: weights 0 and 1, as in BiasContrastive."""
    strategy, model = pair(temperature=0.1, task_weight=0.5)
    strategy.network = Seen(F.one_hot(BATCH.bias, 2).float())
    labelled = BiasContrastive(GROUPS, torch.tensor([2, 2, 2, 2]), temperature=0.1, task_weight=0.5)
    assert torch.equal(strategy.model_loss(model, BATCH).total, labelled.loss(model, BATCH).total)


def test_a_network_that_sees_no_difference_leaves_the_task():
    strategy, model = pair(task_weight=1.0)
    strategy.network = Seen(torch.ones(8, 3))
    loss = strategy.model_loss(model, BATCH)
    assert loss.terms["contrast"].item() == 0
    assert loss.total.item() == pytest.approx(
        F.cross_entropy(model(BATCH.image).logits, BATCH.target).item()
    )


def test_who_receives_gradient():
    """g from its own turn alone; f from the second, its head through the task only."""
    strategy, model = pair()
    assert [turn.player for turn in strategy.turns(3)] == ["biased", "model"]
    assert_own_gradient(strategy, model, BATCH, step=0)
    assert all(parameter.grad.ne(0).any() for parameter in model.parameters())
    strategy.task_weight = 0.0
    model.zero_grad()
    strategy.model_loss(model, BATCH).total.backward()
    assert all(parameter.grad.eq(0).all() for parameter in model.head.parameters())


def test_a_pair_is_drawn_near_by_its_weight():
    """A gradient step of the contrast raises the cosines of pairs of a class that g tells apart,
    above all others.
    """
    strategy, model = pair(temperature=0.5, task_weight=0.0)
    seen = torch.tensor([[1.0, 0.0]] * 8)
    seen[4] = torch.tensor([0.0, 1.0])  # of the class of 0, 2 and 6
    strategy.network = Seen(seen)
    features = model(BATCH.image).features.detach().requires_grad_()
    model.forward = lambda image: Outputs(model.head(features), features)  # type: ignore[method-assign]
    (gradient,) = torch.autograd.grad(strategy.model_loss(model, BATCH).total, features)
    moved = features - 0.01 * gradient
    change = F.cosine_similarity(moved[4], moved) - F.cosine_similarity(features[4], features)
    assert change[[0, 2, 6]].min() > max(0, change[[1, 3, 5, 7]].max())


def test_weights_do_not_hang_on_the_rest_of_the_batch():
    """g is in evaluation mode when it weighs, whatever its trainer says, and learns as usual."""
    strategy, model = pair()
    strategy.train()
    before = {name: value.clone() for name, value in strategy.state_dict().items()}
    strategy.model_loss(model, BATCH)
    torch.testing.assert_close(dict(strategy.state_dict()), before, rtol=0, atol=0)
    strategy.biased_loss(model, BATCH)
    assert any(
        not torch.equal(before[name], value) for name, value in strategy.state_dict().items()
    )


def test_refuses():
    with pytest.raises(
        ValueError, match=r"temperature must be positive for SoftContrastive; got 0\.0"
    ):
        SoftContrastive(GROUPS, temperature=0.0)
    with pytest.raises(
        ValueError, match=r"task_weight must be at least 0 for SoftContrastive; got -1\.0"
    ):
        SoftContrastive(GROUPS, task_weight=-1.0)
    with pytest.raises(ValueError, match="no small-receptive-field network 'k1'"):
        SoftContrastive(GROUPS, biased="k1")
    assert SoftContrastive.smallest_batch == 2
