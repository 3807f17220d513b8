"""DebiAN: each turn by definition, who moves, modes, and what it discovers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.strategies.debian import DebiAN
from debias.types import Groups
from tests.fakes import GROUPS, BodyNetwork, TinyClassifier, batch_of
from tests.properties import assert_gradient
from tests.strategies.shortcut_toy import ALIGNED, SAMPLES, toy, trained

BATCH = batch_of(12)
THREE = Groups(("a", "b", "c"), ("land", "water"))


class Normalised(BodyNetwork):
    """A classifier whose batch normalisation tells in which mode it was."""

    def __init__(self) -> None:
        body = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5))
        super().__init__(body, nn.Linear(5, 2))


def pair(classes: int = 2, **options: float) -> tuple[DebiAN, TinyClassifier]:
    torch.manual_seed(0)
    model = TinyClassifier(outputs=classes)
    return DebiAN(GROUPS if classes == 2 else THREE, model, **options), model


@pytest.mark.parametrize("classes", [2, 3])
def test_values_by_definition(classes):
    strategy, model = pair(classes, balance=0.4)
    target = torch.arange(12) % classes
    batch = BATCH._replace(target=target)
    losses = F.cross_entropy(model(batch.image).logits.double(), target, reduction="none")
    p = (-losses).exp()
    u = strategy.discoverer(batch.image).logits.double().gather(1, target[:, None])[:, 0].sigmoid()
    weights, terms, gaps = torch.zeros(12, dtype=torch.float64), [], []
    for t in range(classes):
        rows = target == t
        inside = (u[rows] * p[rows]).sum() / u[rows].sum()
        outside = ((1 - u[rows]) * p[rows]).sum() / (1 - u[rows]).sum()
        weights[rows] = 1 + u[rows] if inside <= outside else 2 - u[rows]
        share = u[rows].mean()
        gaps.append((inside - outside).abs())
        terms.append(-gaps[-1].log() - 0.4 * (1 - (share - (1 - share)).abs()).log())
    found = strategy.model_loss(model, batch)
    assert found.total.item() == pytest.approx((weights * losses).mean().item(), rel=1e-4)
    assert found.terms["cross_entropy"].item() == pytest.approx(losses.mean().item(), rel=1e-5)
    found = strategy.discover(model, batch)
    assert found.total.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-2)
    assert found.terms["discovered_gap"].item() == pytest.approx(
        torch.stack(gaps).mean().item(), rel=1e-2
    )


def test_each_turn_has_its_own_half():
    """Of five images, the first two train the model and the other three the discoverer."""
    whole, model = pair(separate_start=True)
    halves, twin = pair(separate_start=True, own_halves=True)
    assert not torch.equal(whole.discoverer.body[1].weight, model.body[1].weight)
    batch = batch_of(5)
    first = type(batch)(*(None if field is None else field[:2] for field in batch))
    second = type(batch)(*(None if field is None else field[2:] for field in batch))
    assert torch.equal(halves.model_loss(twin, batch).total, whole.model_loss(model, first).total)
    assert torch.equal(halves.discover(twin, batch).total, whole.discover(model, second).total)
    with pytest.raises(ValueError, match=r"own_halves=true needs at least two images .* got 1"):
        halves.model_loss(twin, batch_of(1))


def test_the_model_moves_first():
    strategy, model = pair()
    for step in (0, 7):
        assert [turn.player for turn in strategy.turns(step)] == ["model", "discoverer"]
    players = strategy.players(model)
    assert set(map(id, players["model"])) == set(map(id, model.parameters()))
    assert set(map(id, players["discoverer"])) == set(map(id, strategy.parameters()))


def test_the_discoverer_sees_the_moved_model():
    strategy, model = pair()
    still = strategy.discover(model, BATCH).total.item()
    of_model, of_discoverer = strategy.turns(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    of_model.objective(model, BATCH).total.backward()
    optimizer.step()
    assert abs(of_discoverer.objective(model, BATCH).total.item() - still) > 1e-4


def test_who_receives_gradient():
    """In its turn each side alone, even if the other is not frozen; the weights are constants."""
    strategy, model = pair()
    strategy.model_loss(model, BATCH).total.backward()
    assert_gradient(reached=model, untouched=strategy)
    model.zero_grad()
    strategy.discover(model, BATCH).total.backward()
    assert_gradient(reached=strategy, untouched=model)


def test_the_other_is_in_evaluation_mode():
    """Only the statistics of the one that moves take in the batch, and modes are as before."""
    model = Normalised()
    strategy = DebiAN(GROUPS, model)

    def batches_seen() -> list[int]:
        return [
            int(network.body[2].num_batches_tracked) for network in (model, strategy.discoverer)
        ]

    strategy.model_loss(model, BATCH)
    assert batches_seen() == [1, 0]
    strategy.discover(model, BATCH)
    assert batches_seen() == [1, 1]
    assert all(module.training for owner in (model, strategy) for module in owner.modules())


@pytest.mark.slow
def test_the_discoverer_finds_the_bias():
    """Mean memberships of the two biases of a class are 0.36 to 0.55 apart after 3 epochs, over
    seeds 0, 1, 2.

    The model gains little on this toy: after 12 epochs its worst group has 88.2, 90.5, 94.3 per
    cent, by ERM 88.4, 88.8, 93.4.
    """
    for seed in range(3):
        _, strategy = trained(lambda model: DebiAN(GROUPS, model), seed=seed, epochs=3)
        assert isinstance(strategy, DebiAN)
        data = toy(SAMPLES, aligned=ALIGNED, seed=seed)
        logits = strategy.discoverer(data.image).logits
        membership = logits.gather(1, data.target[:, None])[:, 0].sigmoid()
        for label in (0, 1):
            land, water = (
                membership[(data.target == label) & (data.bias == bias)].mean() for bias in (0, 1)
            )
            assert abs(land - water) > 0.2


@pytest.mark.parametrize("balance", [-0.1])
def test_refuses(balance):
    with pytest.raises(ValueError, match=f"balance must be at least 0 for DebiAN; got {balance}"):
        DebiAN(GROUPS, TinyClassifier(), balance=balance)
