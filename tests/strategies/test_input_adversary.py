"""InputAdversary: its value, who receives which gradient, and that it hides the bias."""

from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.classifier import Classifier
from debias.strategies.input_adversary import InputAdversary
from debias.training.fit import fit, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import adamw, cosine
from debias.training.prediction import predict
from debias.training.recorder import Recorder
from debias.types import Batch, Groups, Outputs
from tests.fakes import GROUPS, TinyData, batch_of

SMALL = torch.zeros(1, 3, 16, 16)


class Means(nn.Module):
    """Logits and features from the mean colour of the left and of the right half of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.Tanh()), nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(
            torch.cat([image[..., :8].mean(dim=(2, 3)), image[..., 8:].mean(dim=(2, 3))], dim=1)
        )
        return Outputs(self.head(features), features)


def pictures(samples: int = 64, seed: int = 0) -> Batch:
    """The target is the sign of the left half's red, the bias that of the right's green."""
    batch = batch_of(samples)
    image = torch.randn(samples, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 0.3
    image[:, 0, :, :8] += (2 * batch.target - 1).view(-1, 1, 1)
    image[:, 1, :, 8:] += (2 * batch.bias - 1).view(-1, 1, 1)
    return batch._replace(image=image)


class PictureData(TinyData):
    """Those pictures in batches of eight."""

    def __init__(self) -> None:
        super().__init__()
        self.batch = pictures(48)


def module_of(model: nn.Module, **options: int) -> DebiasModule:
    def optimizer(player, parameters):
        return adamw(parameters, lr=0.01, weight_decay=0.1)

    strategy = InputAdversary(GROUPS, model, SMALL, strength=2.0, closeness=0.5, width=4, **options)
    scheduler = partial(cosine, epochs=4)
    return DebiasModule(
        model, strategy, GROUPS, torch.ones(4), optimizer=optimizer, scheduler=scheduler
    )


def trained(
    module: DebiasModule, folder: Path, *, epochs: int, callbacks=(), resume: Path | None = None
) -> None:
    players = len(module.players)
    lightning = trainer(
        folder,
        epochs=epochs,
        seed=0,
        accelerator="cpu",
        unused=players > 1,
        progress=False,
        callbacks=callbacks,
    )
    fit(module, PictureData(), lightning, resume=resume)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    model = Means()
    return (
        model,
        InputAdversary(GROUPS, model, SMALL, strength=2.0, closeness=0.5, width=4),
        pictures(),
    )


def test_value(parts):
    model, strategy, batch = parts
    loss = strategy.loss(model, batch)
    masked = strategy.mask(batch.image) * batch.image
    task = F.cross_entropy(model(masked).logits, batch.target)
    adversary = F.cross_entropy(strategy.adversary(masked).logits, batch.bias)
    closeness = (masked - batch.image).abs().sum() / batch.image.numel()
    assert loss.total.item() == pytest.approx((task + adversary + 0.5 * closeness).item(), rel=1e-5)
    assert loss.terms["closeness"].item() == pytest.approx(closeness.item(), rel=1e-5)


def test_who_receives_which_gradient(parts):
    """Model: task. Adversary: its cross-entropy. Mask: task - strength * adversary + closeness."""
    model, strategy, batch = parts
    strategy.loss(model, batch).total.backward()
    masked = strategy.prepare(batch.image)
    task = F.cross_entropy(model(masked).logits, batch.target)
    adversary = F.cross_entropy(strategy.adversary(masked).logits, batch.bias)
    mask_aim = task - 2.0 * adversary + 0.5 * (masked - batch.image).abs().mean()
    for module, aim in ((model, task), (strategy.adversary, adversary), (strategy.mask, mask_aim)):
        gradients = torch.autograd.grad(aim, list(module.parameters()), retain_graph=True)
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_adversary_is_a_copy_with_a_head_for_the_bias():
    torch.manual_seed(0)
    groups = Groups(("landbird", "waterbird"), ("land", "sea", "lake"))
    model = Classifier(timm.create_model("test_resnet", num_classes=2))
    strategy = InputAdversary(groups, model, torch.zeros(1, 3, 64, 64), width=4)
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(strategy.adversary.eval()(image).features, model.eval()(image).features)
    assert strategy.adversary(image).logits.shape == (2, 3)
    assert not {id(p) for p in strategy.adversary.parameters()} & {
        id(p) for p in model.parameters()
    }


def test_unknown_biases_are_ignored(parts):
    model, strategy, batch = parts
    nothing = strategy.loss(model, batch._replace(bias=torch.full_like(batch.bias, -1)))
    assert nothing.terms["adversary"].item() == 0.0


class NormalisedMeans(Means):
    """With batch normalisation, which the adversary's copy has too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh())


def test_unknown_biases_get_no_gradient_from_the_adversary():
    """Not even through its batch statistics; the known do. The mask's, of mixed pictures, stay."""
    torch.manual_seed(0)
    model, batch, unknown = NormalisedMeans(), pictures(8), torch.tensor([True, False] * 4)
    strategy = InputAdversary(GROUPS, model, SMALL, strength=2.0, closeness=0.5, width=4)
    strategy.mask.eval()
    batch = batch._replace(
        bias=batch.bias.masked_fill(unknown, -1), image=batch.image.requires_grad_()
    )
    strategy.loss(model, batch).total.backward()
    masked = strategy.prepare(batch.image)
    rest = (
        F.cross_entropy(model(masked).logits, batch.target)
        + 0.5 * (masked - batch.image).abs().mean()
    )
    (alone,) = torch.autograd.grad(rest, batch.image)
    from_adversary = (batch.image.grad - alone).flatten(1).abs().amax(dim=1)
    assert from_adversary[unknown].max().item() < 1e-8
    assert from_adversary[~unknown].min().item() > 1e-5


def test_it_hides_the_half_that_gives_the_bias_away(parts):
    """The mask lets 0.82 of the left half through and 0.0001 of the right, the task is learnt."""
    model, strategy, batch = parts
    strategy.closeness = 0.1
    optimizer = torch.optim.Adam([*model.parameters(), *strategy.parameters()], lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        strategy.loss(model, batch).total.backward()
        optimizer.step()
    strategy.eval()
    fresh = pictures(seed=1)
    mask = strategy.mask(fresh.image)
    accuracy = (
        (model(strategy.prepare(fresh.image)).logits.argmax(dim=1) == fresh.target).float().mean()
    )
    assert mask[..., :8].mean().item() > mask[..., 8:].mean().item() + 0.3
    assert accuracy.item() > 0.95


def test_who_moves_in_which_stage():
    """Two of model and adversary, three of the mask alone, then everybody; on the same loss."""
    model = Means()
    strategy = InputAdversary(GROUPS, model, SMALL, pretraining=2, warmup=3, width=4)
    players = [turn.player for step in range(7) for turn in strategy.turns(step)]
    assert players == ["predictors"] * 2 + ["mask"] * 3 + ["model"] * 2
    owners = {player: {id(p) for p in owned} for player, owned in strategy.players(model).items()}
    mask = {id(p) for p in strategy.mask.parameters()}
    predictors = {id(p) for p in [*model.parameters(), *strategy.adversary.parameters()]}
    assert owners == {"predictors": predictors, "mask": mask, "model": predictors | mask}
    assert {turn.objective for step in range(7) for turn in strategy.turns(step)} == {strategy.loss}


@pytest.mark.parametrize(
    ("options", "players"),
    [
        ({}, ["model"]),
        ({"warmup": 1}, ["mask", "model"]),
        ({"pretraining": 1}, ["predictors", "model"]),
    ],
)
def test_a_stage_without_steps_has_no_player(options, players):
    model = Means()
    assert list(InputAdversary(GROUPS, model, SMALL, width=4, **options).players(model)) == players


def test_only_the_mask_moves_in_the_warmup(tmp_path):
    """Under a weight decay that moves whatever the optimiser owns; the classifiers' statistics
    move, as published.
    """
    torch.manual_seed(0)
    module = module_of(Classifier(timm.create_model("test_resnet", num_classes=2)), warmup=6)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trained(module, tmp_path, epochs=1)
    moved = {
        name for name, value in module.state_dict().items() if not torch.equal(value, before[name])
    }
    parameters = {name for name, _ in module.named_parameters()}
    assert moved & parameters == {name for name in parameters if name.startswith("strategy.mask.")}
    assert {
        "model.backbone.bn1.running_mean",
        "strategy.adversary.backbone.bn1.running_mean",
    } <= moved


def test_resumed_within_the_warmup_equals_uninterrupted(tmp_path):
    """Six steps an epoch: it resumes at step 12, of which 8 to 15 are the mask's."""
    torch.manual_seed(0)
    modules = [module_of(Means(), pretraining=8, warmup=8) for _ in range(3)]
    for module in modules[1:]:
        module.load_state_dict(modules[0].state_dict())
    first, resumed, uninterrupted = modules
    recorders = [Recorder(tmp_path, write=lambda epoch, predicted: None) for _ in range(2)]
    trained(first, tmp_path / "first", epochs=2, callbacks=recorders[:1])
    trained(
        resumed, tmp_path / "second", epochs=4, callbacks=recorders[1:], resume=recorders[0].last
    )
    trained(uninterrupted, tmp_path / "other", epochs=4)
    torch.testing.assert_close(resumed.state_dict(), uninterrupted.state_dict(), rtol=0, atol=0)


def test_validation_and_prediction_see_masked_pictures(tmp_path):
    """In evaluation mode, of mask and model alike; a run without a mask is far from it."""
    torch.manual_seed(0)
    module = module_of(Means())
    trained(module, tmp_path, epochs=3)
    batch = pictures(48)
    predicted = predict(module, PictureData().batches())
    assert module.training
    assert module.strategy.mask.training
    module.eval()
    with torch.no_grad():
        mask = module.strategy.mask(batch.image)
        expected = module.model(mask * batch.image).logits
        plain = module.model(batch.image).logits
    torch.testing.assert_close(predicted.logits, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(predicted.logits, plain, rtol=1e-2)
    right = (expected.argmax(dim=1) == batch.target).double()
    group = GROUPS.encode(batch.target, batch.bias)
    for number, name in enumerate(GROUPS.names):
        assert module.validation[f"accuracy/{name}"] == pytest.approx(
            right[group == number].mean().item()
        )


@pytest.mark.parametrize(
    "options", [{"strength": -1.0}, {"closeness": -0.5}, {"pretraining": -1}, {"warmup": -1}]
)
def test_refuses(options):
    ((name, value),) = options.items()
    bound = f"{name} must be at least 0 for InputAdversary; got {value}"
    with pytest.raises(ValueError, match=bound):
        InputAdversary(GROUPS, Means(), SMALL, **options)


def test_refuses_a_mask_network_without_width():
    with pytest.raises(ValueError, match="width must be at least 1 for a mask network; got 0"):
        InputAdversary(GROUPS, Means(), SMALL, width=0)


def test_refuses_pictures_that_are_too_small():
    with pytest.raises(ValueError, match="sides of at least 16 pixels"):
        InputAdversary(GROUPS, Means(), torch.zeros(1, 3, 12, 12))
