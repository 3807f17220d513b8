"""BAdd: its stages, who receives which gradient, and what evaluation reads."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.badd import BAdd
from debias.strategies.erm import ERM
from tests.fakes import GROUPS, TinyClassifier, batch_of


@pytest.fixture
def parts():
    torch.manual_seed(0)
    model = TinyClassifier()
    return model, BAdd(GROUPS, model, strength=2.0, warmup=3, refit_from=6), batch_of(8)


def test_stages(parts):
    _, strategy, _ = parts
    turns = [turn for step in range(8) for turn in strategy.turns(step)]
    assert [turn.player for turn in turns] == ["biased"] * 3 + ["model"] * 5
    assert [turn.objective for turn in turns[3:]] == [strategy.model_loss] * 3 + [
        strategy.head_loss
    ] * 2
    endless = BAdd(GROUPS, TinyClassifier(), warmup=3)
    assert endless.turns(10**6)[0].objective == endless.model_loss


def test_values(parts):
    model, strategy, batch = parts
    outputs, biased = model(batch.image), strategy.network(batch.image)
    expected = F.cross_entropy(biased.logits, batch.bias)
    assert strategy.biased_loss(model, batch).total.item() == pytest.approx(expected.item())
    told = model.head(outputs.features + 2 * biased.features)
    assert strategy.model_loss(model, batch).total.item() == pytest.approx(
        F.cross_entropy(told, batch.target).item()
    )
    expected = F.cross_entropy(outputs.logits, batch.target)
    assert strategy.head_loss(model, batch).total.item() == pytest.approx(expected.item())


def test_without_strength_it_is_erm(parts):
    model, _, batch = parts
    strategy = BAdd(GROUPS, model, strength=0.0)
    assert strategy.model_loss(model, batch).total.item() == pytest.approx(
        ERM().loss(model, batch).total.item()
    )


def test_evaluation_reads_the_model_alone(parts):
    model, strategy, batch = parts
    assert torch.equal(strategy.classify(model, batch.image).logits, model(batch.image).logits)


def test_the_biased_network_starts_as_the_model_and_is_another(parts):
    model, strategy, _ = parts
    assert torch.equal(strategy.network.body[1].weight, model.body[1].weight)
    assert strategy.network.head.out_features == GROUPS.biases
    players = strategy.players(model)
    assert not {id(p) for p in players["biased"]} & {id(p) for p in players["model"]}
    assert {name: len(owned) for name, owned in players.items()} == {"biased": 4, "model": 4}


@pytest.mark.parametrize(
    ("objective", "reached"),
    [("biased_loss", {"biased"}), ("model_loss", {"body", "head"}), ("head_loss", {"head"})],
)
def test_who_receives_gradient(parts, objective, reached):
    model, strategy, batch = parts
    getattr(strategy, objective)(model, batch).total.backward()
    found = {"biased": strategy.network, "body": model.body, "head": model.head}
    assert {
        name for name, part in found.items() if all(p.grad is not None for p in part.parameters())
    } == reached


def test_the_frozen_network_and_the_refitted_model_keep_their_statistics(parts):
    model, strategy, batch = parts
    for network in (model, strategy.network):
        network.body.append(torch.nn.BatchNorm1d(5))
    strategy.train()
    model.train()
    strategy.biased_loss(model, batch)
    statistics = strategy.network.body[3].running_mean.clone()
    assert statistics.ne(0).any()
    strategy.model_loss(model, batch)
    assert torch.equal(strategy.network.body[3].running_mean, statistics)
    trained = model.body[3].running_mean.clone()
    assert trained.ne(0).any()
    strategy.head_loss(model, batch)
    assert torch.equal(model.body[3].running_mean, trained)
    assert model.body[3].training


def test_unknown_biases_are_left_out_of_the_biased_networks_loss(parts):
    model, strategy, batch = parts
    known = torch.tensor([True, False, True, True] * 2)
    masked = batch._replace(bias=batch.bias.masked_fill(~known, -1))
    expected = F.cross_entropy(strategy.network(batch.image).logits[known], batch.bias[known])
    assert strategy.biased_loss(model, masked).total.item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, r"strength must be at least 0 for BAdd; got -1\.0"),
        ({"warmup": 0}, "warmup must be at least 1 for BAdd; got 0"),
        ({"warmup": 9, "refit_from": 9}, "must be 0 or greater than warmup=9 for BAdd; got 9"),
        ({"warmup": 9, "refit_from": -1}, "for BAdd; got -1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        BAdd(GROUPS, TinyClassifier(), **options)
