"""LC: both losses by definition, whose turn moves what, the ramp of its mixing, and a toy."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.logit_correction import LogitCorrection
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.strategies.shortcut_toy import mean_worst_group

BATCH = batch_of(8)


def pair(**options: float) -> tuple[LogitCorrection, TinyClassifier]:
    torch.manual_seed(0)
    model = TinyClassifier()
    return LogitCorrection(GROUPS, model, **options), model


def prior_of(strategy: LogitCorrection, temperature: float) -> torch.Tensor:
    """The prior of the first batch, by loops over its samples."""
    logits = strategy.network(BATCH.image).logits.detach() / temperature
    cells: dict[tuple[int, int], list[float]] = {}
    for p, y in zip(logits.softmax(dim=1), BATCH.target.tolist(), strict=True):
        cells.setdefault((y, int(p.argmax())), []).append(float(p[y]))
    mean = {cell: sum(values) / len(values) for cell, values in cells.items()}
    rows = []
    for a in logits.argmax(dim=1).tolist():
        column = torch.tensor([mean.get((y, a), 0.0) for y in (0, 1)])
        rows.append(column / column.sum())
    return torch.stack(rows)


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_values_by_definition_without_mixing(temperature):
    strategy, model = pair(mixing=0.0, temperature=temperature, q=0.6, biased_weight=3.0)
    prior, logits = prior_of(strategy, temperature), model(BATCH.image).logits
    biased = F.cross_entropy(strategy.network(BATCH.image).logits, BATCH.target, reduction="none")
    first, second = (turn.objective(model, BATCH) for turn in strategy.turns(0))
    amplified = 0.6 * (-biased).exp() ** 0.6 * biased
    assert first.total.item() == pytest.approx(3 * amplified.mean().item(), rel=1e-5)
    expected = F.cross_entropy(logits + (prior + 1e-4).log(), BATCH.target)
    assert second.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_mixed_images_and_priors_by_definition(monkeypatch):
    """Every sample has sample 0 or 1 of its class as its partner."""
    strategy, model = pair()
    partner = torch.tensor([BATCH.target.tolist().index(y) for y in BATCH.target.tolist()])
    module = "debias.strategies.logit_correction.group_partners"
    monkeypatch.setattr(module, lambda target, predicted, generator: partner)
    strategy.turns(5)[0].objective(model, BATCH)
    found = strategy.turns(5)[1].objective(model, BATCH).total.item()
    own = 1 - 0.5 * (1 + torch.rand(1, generator=torch.Generator().manual_seed(5)).item())
    assert 0 < own < 0.5
    prior = prior_of(strategy, 1.0)
    image = own * BATCH.image + (1 - own) * BATCH.image[partner]
    mixed = own * prior + (1 - own) * prior[partner]
    logits = model(image).logits + (mixed + 1e-4).log()
    assert found == pytest.approx(F.cross_entropy(logits, BATCH.target).item(), rel=1e-5)


def test_a_turn_moves_only_its_own_network():
    strategy, model = pair()
    players = strategy.players(model)
    losses = [turn.objective(model, BATCH).total for turn in strategy.turns(0)]
    for own, other, loss in (("biased", "model", losses[0]), ("model", "biased", losses[1])):
        grads = {
            p: torch.autograd.grad(loss, players[p], allow_unused=True, retain_graph=True)
            for p in (own, other)
        }
        assert all(gradient is not None for gradient in grads[own])
        assert all(gradient is None for gradient in grads[other])


def test_the_ramp():
    strategy, _ = pair(ramp=100)
    assert strategy._grown(0) == pytest.approx(math.exp(-5))
    assert strategy._grown(50) == pytest.approx(math.exp(-1.25))
    assert strategy._grown(100) == strategy._grown(10_000) == 1
    assert pair()[0]._grown(0) == 1


@pytest.mark.slow
def test_beats_erm_on_a_shortcut():
    """Worst group at seed 0: ERM 88.4 per cent; LC without mixing 97.5."""
    corrected = mean_worst_group(lambda model: LogitCorrection(GROUPS, model, mixing=0.0), seeds=1)
    assert corrected > mean_worst_group(lambda model: ERM(), seeds=1) + 0.03


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("q", 0.0),
        ("mixing", 0.6),
        ("temperature", 0.0),
        ("biased_weight", -1.0),
        ("ramp", -1),
        ("momentum", 1.0),
    ],
)
def test_refuses(option, value):
    with pytest.raises(ValueError, match=f"{option} must"):
        pair(**{option: value})
