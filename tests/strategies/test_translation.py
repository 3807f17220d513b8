"""Translation: both objectives by their definitions, who moves when, and what it learns."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.strategies.translation import Translation
from debias.training.fit import fit, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import adam, constant
from debias.types import Batch, Groups
from tests.fakes import GROUPS, TinyClassifier, TinyData, batch_of, take_turns

SIDE, HALF = 8, (0.5, 0.5, 0.5)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
OPTIONS = {"width": 2, "blocks": 1, "depth": 2}


def strategy_of(**options) -> Translation:
    torch.manual_seed(0)
    return Translation(GROUPS, torch.zeros(1, 3, SIDE, SIDE), MEAN, STD, **OPTIONS, **options)


def signed(image: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1], by the normalisation."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    return (image * std + mean).clamp(0, 1) * 2 - 1


@pytest.fixture
def batch() -> Batch:
    return batch_of(8, side=SIDE)


def test_the_objective_of_the_critic(batch):
    """The draws are those of torch, first of the classes, then of the places between."""
    strategy = strategy_of(class_weight=0.5, penalty_weight=3.0)
    image = signed(batch.image)
    torch.manual_seed(5)
    found = strategy.critic_loss(nn.Identity(), batch)
    torch.manual_seed(5)
    drawn = torch.randint(2, (8,))
    place = torch.rand(8, 1, 1, 1)
    translated = strategy.translator(image, drawn).detach()
    points = (place * image + (1 - place) * translated).requires_grad_()
    (slope,) = torch.autograd.grad(strategy.critic(points)[0].sum(), points)
    penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    scores, logits = strategy.critic(image)
    gap = strategy.critic(translated)[0].mean() - scores.mean()
    task = F.cross_entropy(logits, batch.target)
    torch.testing.assert_close(found.total, gap + 3 * penalty + task / 2)
    expected = {"critic_gap": gap, "gradient_penalty": penalty, "critic_cross_entropy": task}
    torch.testing.assert_close(found.terms, {name: one.detach() for name, one in expected.items()})


def test_the_objective_of_the_generator(batch):
    strategy = strategy_of(class_weight=0.5, cycle_weight=7.0)
    image = signed(batch.image)
    torch.manual_seed(5)
    found = strategy.generator_loss(nn.Identity(), batch)
    torch.manual_seed(5)
    drawn = torch.randint(2, (8,))
    translated = strategy.translator(image, drawn)
    scores, logits = strategy.critic(translated)
    task = F.cross_entropy(logits, drawn)
    cycle = (image - strategy.translator(translated, batch.target)).abs().mean()
    torch.testing.assert_close(found.total, task / 2 + 7 * cycle - scores.mean())
    expected = {
        "translated_score": scores.mean(),
        "translated_cross_entropy": task,
        "cycle": cycle,
    }
    torch.testing.assert_close(found.terms, {name: one.detach() for name, one in expected.items()})


class Unchanged(nn.Module):
    """A translator that returns the image."""

    def forward(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return image


def test_the_identity_has_no_cycle_loss_and_the_class_loss_of_the_images(batch):
    strategy = strategy_of()
    strategy.translator = Unchanged()
    torch.manual_seed(5)
    found = strategy.generator_loss(nn.Identity(), batch).terms
    torch.manual_seed(5)
    logits = strategy.critic(signed(batch.image))[1]
    assert found["cycle"].item() == 0
    expected = F.cross_entropy(logits, torch.randint(2, (8,)))
    torch.testing.assert_close(found["translated_cross_entropy"], expected.detach())


def test_the_turns_and_who_gets_gradient(batch):
    strategy, model = strategy_of(critic_turns=3), TinyClassifier(3 * SIDE * SIDE)
    names = [[turn.player for turn in strategy.turns(step)] for step in range(6)]
    assert names == 2 * [["critic"], ["critic"], ["critic", "generator"]]
    players = strategy.players(model)
    assert list(players) == ["critic", "generator"]
    owned = {id(parameter) for each in players.values() for parameter in each}
    assert owned == {id(parameter) for parameter in strategy.parameters()}
    strategy.critic_loss(model, batch).total.backward()
    assert all(parameter.grad is None for parameter in players["generator"])
    assert all(parameter.grad.abs().sum() > 0 for parameter in players["critic"])
    for turn in strategy.turns(2):
        found = turn.objective(model, batch)
        assert found.total.requires_grad
        assert not any(term.requires_grad for term in found.terms.values())


def test_every_class_is_drawn_equally_often():
    drawn = strategy_of().drawn(torch.zeros(4000, dtype=torch.int64))
    assert drawn.unique().tolist() == [0, 1]
    assert abs(drawn.double().mean().item() - 0.5) < 0.05


def test_evaluation_uses_the_class_output_of_the_critic(batch):
    strategy = strategy_of()
    outputs = strategy.classify(nn.Identity(), batch.image)
    torch.testing.assert_close(outputs.logits, strategy.critic(signed(batch.image))[1])
    assert outputs.features.shape == (8, 4 * 2 * 2)


def test_lightning_equals_the_plain_loop(tmp_path, monkeypatch):
    """Without random draws, which the epochs of Lightning seed."""
    monkeypatch.setattr(torch, "rand", lambda *size: torch.full(size, 0.3))
    monkeypatch.setattr(Translation, "drawn", lambda self, target: 1 - target)
    ours, twin = strategy_of(critic_turns=2), strategy_of(critic_turns=2)
    players = twin.players(nn.Identity())
    optimizers = {name: adam(owned, lr=1e-2) for name, owned in players.items()}
    for step, batch in enumerate(TinyData(side=SIDE).batches()):
        take_turns(twin, nn.Identity(), batch, step, optimizers)
    module = DebiasModule(
        TinyClassifier(3 * SIDE * SIDE), ours, GROUPS, None,
        optimizer=lambda player, parameters: adam(parameters, lr=1e-2),
        scheduler=partial(constant, epochs=1),
    )  # fmt: skip
    before = [parameter.clone() for parameter in module.model.parameters()]
    lightning = trainer(tmp_path, epochs=1, seed=0, accelerator="cpu", progress=False)
    fit(module, TinyData(side=SIDE), lightning)
    torch.testing.assert_close(ours.state_dict(), twin.state_dict(), rtol=0, atol=0)
    for one, other in zip(before, module.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_learns_to_change_the_ground_that_predicts_the_class():
    """Dark and bright grounds are the classes. Translation to the other class turns the ground."""
    target = torch.arange(16) % 2
    pixels = 0.15 + 0.7 * target.view(16, 1, 1, 1) + 0.05 * torch.rand(16, 3, SIDE, SIDE)
    image = (pixels - 0.5) / 0.5
    batch, groups = Batch(image, target, target, target), Groups(("dark", "bright"), ("x",))
    torch.manual_seed(0)
    strategy = Translation(
        groups, image[:1], HALF, HALF, critic_turns=2, width=4, depth=2, blocks=0
    )
    players = strategy.players(nn.Identity())
    optimizers = {name: adam(owned, lr=1e-2, betas=(0.5, 0.99)) for name, owned in players.items()}
    for step in range(60):
        take_turns(strategy, nn.Identity(), batch, step, optimizers)
    turned = strategy.translator(image, 1 - target).mean(dim=(1, 2, 3))
    assert (turned[target == 0] > 0.2).all()
    assert (turned[target == 1] < -0.2).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": -1.0}, "class_weight must be at least 0"),
        ({"cycle_weight": -1.0}, "cycle_weight must be at least 0"),
        ({"penalty_weight": -1.0}, "penalty_weight must be at least 0"),
        ({"critic_turns": 0}, "critic_turns must be at least 1"),
        ({"width": 0}, "width must be at least 1"),
        ({"blocks": -1}, "blocks must be at least 0"),
        ({"depth": 4}, "got depth=4"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Translation(GROUPS, torch.zeros(1, 3, SIDE, SIDE), HALF, HALF, **OPTIONS | options)
    with pytest.raises(ValueError, match="multiples of 4 and at least 8 pixels"):
        Translation(GROUPS, torch.zeros(1, 3, 10, 10), HALF, HALF, **OPTIONS)
