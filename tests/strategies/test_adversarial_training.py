"""Adversarial training: what it equals, whom it updates, and what it makes a model forget."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.adversarial_examples import Ball
from debias.strategies.adversarial_training import AdversarialTraining, FreeAdversarialTraining
from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.types import Batch, Outputs
from tests.fakes import TinyClassifier, batch_of

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
IMAGE = torch.zeros(1, 3, 2, 2)
SCALE = torch.tensor(STD).view(3, 1, 1)


def free(images: int = 8, **options) -> FreeAdversarialTraining:
    return FreeAdversarialTraining(MEAN, STD, IMAGE, images, **options)


class Normed(nn.Module):
    """A batch normalisation of the pixels, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.BatchNorm2d(3), nn.Linear(12, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(image).flatten(1)
        return Outputs(self.head(features), features)


def gradients(strategy: Strategy, model: nn.Module, batch: Batch) -> list[Tensor]:
    total = strategy.loss(model, batch).total
    return [total, *torch.autograd.grad(total, list(model.parameters()))]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_without_a_ball_it_is_erm_bit_for_bit(norm):
    """Also if pixels lie outside [0, 1], as those of batch_of do."""
    torch.manual_seed(0)
    model, batch = TinyClassifier(), batch_of(8)
    options = {"norm": norm, "epsilon": 0.0}
    expected = gradients(ERM(), model, batch)
    for strategy in (AdversarialTraining(MEAN, STD, steps=3, **options), free(**options)):
        found = gradients(strategy, model, batch)
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_examples_are_worse_by_up_to_epsilon_in_units_of_pixels():
    torch.manual_seed(0)
    model, batch = TinyClassifier(), batch_of(8)
    batch = batch._replace(image=0.5 * batch.image.clamp(-1, 1))
    strategy = AdversarialTraining(MEAN, STD, epsilon=0.05)
    change = (strategy.perturbed(model, batch) - batch.image) * SCALE
    assert change.abs().max().item() == pytest.approx(0.05, rel=1e-4)
    losses = [each.loss(model, batch).total for each in (ERM(), strategy)]
    assert losses[1] > losses[0]


def test_the_published_steps_are_the_defaults():
    make = AdversarialTraining
    assert make(MEAN, STD).step == pytest.approx(10 / 255)
    assert make(MEAN, STD, steps=7).step == pytest.approx(2 / 255)
    assert make(MEAN, STD, step=0.5).step == 0.5


@pytest.mark.parametrize(("mode", "updates"), [("eval", 1), ("train", 3)])
def test_the_attack_updates_running_statistics_in_training_mode_alone(mode, updates):
    model = Normed()
    model.body.requires_grad_(False)
    strategy = AdversarialTraining(MEAN, STD, steps=2, attack_mode=mode)
    strategy.loss(model, batch_of(8)).total.backward()
    assert model.body.num_batches_tracked.item() == updates
    assert all(module.training for module in model.modules())


def test_a_turn_of_free_training_gives_both_gradients():
    """From a change of zero, one replay steps on clean images, and then the change is FGSM's."""
    torch.manual_seed(0)
    model, batch = TinyClassifier(), batch_of(8)
    strategy = free(replays=1, epsilon=0.05)
    expected = gradients(ERM(), model, batch)
    found = gradients(strategy, model, batch)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))
    fgsm = AdversarialTraining(MEAN, STD, epsilon=0.05, step=0.05, random_start=False)
    changed = fgsm.perturbed(model, batch)
    torch.testing.assert_close(batch.image + strategy.change / SCALE, changed)
    # the next turn trains on it, by a gradient that a plain loop can scale
    total = strategy.loss(model, batch).total
    torch.testing.assert_close(total, F.cross_entropy(model(changed).logits, batch.target))
    (2 * total).backward()
    weight = torch.autograd.grad(
        F.cross_entropy(model(changed).logits, batch.target), model.head.weight
    )[0]
    torch.testing.assert_close(model.head.weight.grad, 2 * weight)


def test_the_change_is_kept_between_batches_and_in_checkpoints():
    torch.manual_seed(0)
    model, strategy = TinyClassifier(), free(replays=3, epsilon=0.05)
    assert len(strategy.turns(0)) == 3
    strategy.loss(model, batch_of(8))
    before = strategy.change.clone()
    strategy.loss(model, batch_of(4, seed=1))
    assert torch.equal(strategy.change[4:], before[4:])
    assert not torch.equal(strategy.change[:4], before[:4])
    again = free()
    again.load_state_dict(strategy.state_dict())
    assert torch.equal(again.change, strategy.change)
    with pytest.raises(ValueError, match=r"process_batch_size=8 must be at least .* got 12$"):
        strategy.loss(model, batch_of(12))


def test_a_cue_weaker_than_epsilon_is_forgotten():
    """Of two pixels, one shows the class by 0.2 and the other by 0.02; epsilon is 0.05."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(64) % 2
    shown = torch.tensor([0.2, 0.02, 0.0]).view(1, 3, 1, 1) * (2 * target - 1).view(-1, 1, 1, 1)
    noise = torch.tensor([0.2, 0.01, 0.0]).view(1, 3, 1, 1)
    image = shown + noise * torch.randn(64, 3, 1, 1, generator=generator).clamp(-1, 1)
    one, half = (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)
    batch = Batch(image, target, target, torch.arange(64))
    weights = []
    for epsilon in (0.0, 0.05):
        torch.manual_seed(0)
        model = Linear()
        optimizer = torch.optim.SGD(model.parameters(), lr=20.0)
        strategy = AdversarialTraining(half, one, epsilon=epsilon, step=epsilon, random_start=False)
        for step in range(60):
            optimizer.zero_grad()
            strategy.loss(model, batch).total.backward()
            optimizer.param_groups[0]["lr"] = 20 * (1 - step / 60)
            optimizer.step()
        weights.append((model.head.weight[1] - model.head.weight[0]).detach())
    erm, robust = weights
    assert erm[1] > 10 * robust[1].abs()
    assert robust[0] > 10 * robust[1].abs()


class Linear(nn.Module):
    """Logits of the three values of a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = image.flatten(1)
        return Outputs(self.head(features), features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l1"}, "norm"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"steps": 0}, "steps"),
        ({"step": -1.0}, "step"),
        ({"attack_mode": "both"}, "attack_mode"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=f"AdversarialTraining.*{message}|{message}.*"):
        AdversarialTraining(MEAN, STD, **options)
    with pytest.raises(ValueError, match="replays"):
        free(replays=0)


def test_the_ball_is_that_of_the_options():
    assert AdversarialTraining(MEAN, STD, norm="l2", epsilon=3.0).ball == Ball("l2", 3.0)
