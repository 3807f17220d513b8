"""SagNet: both randomisations by hand, the turns of its players, and what evaluation uses."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias import processes
from debias.errors import InputError
from debias.models.layers import read_until
from debias.strategies import sagnet
from debias.strategies.sagnet import (
    SagNet,
    randomise_content,
    randomise_style,
    smoothed_confusion,
)
from debias.types import Batch
from tests.fakes import GROUPS, BackboneNetwork, batch_of

PARTNER = torch.tensor([1, 2, 3, 0])
IMAGE = torch.zeros(1, 3, 8, 8)


class Backbone(nn.Module):
    """Two stages of maps, and their mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, image: Tensor) -> Tensor:
        return self.pool(self.layer2(self.layer1(image))).flatten(1)


class Network(BackboneNetwork):
    """The backbone with a head."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(Backbone(), nn.Linear(5, 2))
        self.feature_size = 5


def made(**options: float) -> tuple[Network, SagNet, Batch]:
    model = Network()
    strategy = SagNet(GROUPS, model, IMAGE, layer="layer1", **options)  # type: ignore[arg-type]
    return model, strategy, batch_of(8, side=8)


@pytest.fixture
def same_partner(monkeypatch) -> None:
    """Partners of all draws in a fixed order."""
    monkeypatch.setattr(sagnet, "_partner", lambda maps: torch.arange(len(maps)).roll(1))


def maps() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 5, 6, generator=generator, dtype=torch.float64) * 3 + 1


def test_random_styles():
    x = maps()
    torch.testing.assert_close(randomise_style(x, PARTNER, torch.ones(4)), x)
    mixed = randomise_style(x, PARTNER, torch.full((4,), 0.25))
    mean, variance = x.mean((2, 3)), x.var((2, 3))
    torch.testing.assert_close(mixed.mean((2, 3)), 0.25 * mean + 0.75 * mean[PARTNER])
    expected = 0.25 * variance + 0.75 * variance[PARTNER]
    torch.testing.assert_close(mixed.var((2, 3)), expected, rtol=1e-5, atol=1e-5)
    # the content, which is the picture with mean 0 and deviation 1, stays
    torch.testing.assert_close(content(mixed), content(x), rtol=1e-4, atol=1e-4)


def content(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True)


def test_random_contents():
    x = maps().requires_grad_()
    torch.testing.assert_close(randomise_content(x, torch.arange(4)), x)
    mixed = randomise_content(x, PARTNER)
    torch.testing.assert_close(mixed.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(mixed.var((2, 3)), x.var((2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(content(mixed), content(x[PARTNER]), rtol=1e-4, atol=1e-4)
    # the partner gives its content without gradient
    (slope,) = torch.autograd.grad(mixed[0].square().sum(), x)
    assert float(slope[0].abs().max()) > 0
    assert not slope[1:].any()


def test_a_uniform_prediction_fools_most():
    uniform = smoothed_confusion(torch.zeros(1, 3), multi_label=False)
    assert float(uniform) == pytest.approx(math.log(3), abs=1e-4)
    assert float(smoothed_confusion(torch.tensor([[1.0, 0, 0]]), multi_label=False)) > float(
        uniform
    )
    labels = smoothed_confusion(torch.zeros(1, 3), multi_label=True)
    assert float(labels) == pytest.approx(math.log(2), abs=1e-4)


def test_players_and_their_parameters():
    model, strategy, _ = made()
    players = strategy.players(model)
    assert [turn.player for turn in strategy.turns(0)] == ["style", "early", "model"]
    norm = model.backbone.layer1[1]
    assert {id(each) for each in players["early"]} == {id(norm.weight), id(norm.bias)}
    own = {id(each) for each in model.parameters()}
    assert {id(each) for each in players["model"]} == own
    assert not own & {id(each) for each in players["style"]}
    # the style network begins as a copy of the later layers
    maps = read_until(model.eval(), "layer1", batch_of(4, side=8).image)
    features = strategy.network.eval()[0](maps)
    torch.testing.assert_close(features, model(batch_of(4, side=8).image).features)


def test_objectives(same_partner):
    """Each by its definition. The early layers' gradient is that of 0.1 times the confusion."""
    model, strategy, batch = made(adversarial_clip=1e9)
    for module in (model, strategy):
        module.eval()
    z = read_until(model, "layer1", batch.image)
    style = strategy.network(randomise_content(z, torch.arange(8).roll(1)))
    turns = {turn.player: turn.objective(model, batch) for turn in strategy.turns(0)}
    torch.testing.assert_close(turns["style"].total, F.cross_entropy(style, batch.target))
    adversarial = 0.1 * -(style.softmax(1) + 1e-5).log().mean()
    torch.testing.assert_close(turns["early"].total, adversarial)
    owned = strategy.players(model)["early"]
    slopes = torch.autograd.grad(turns["early"].total, owned)
    torch.testing.assert_close(slopes, torch.autograd.grad(adversarial, owned))
    # evaluation passes have their own styles, and training passes mixed ones
    plain = F.cross_entropy(model(batch.image).logits, batch.target)
    torch.testing.assert_close(turns["model"].total, plain)
    model.train()
    torch.manual_seed(1)
    own = torch.rand(8)
    torch.manual_seed(1)
    mixed = strategy.learn_content(model, batch).total
    z = read_until(model, "layer1", batch.image)
    styled = model.backbone.layer2(randomise_style(z, torch.arange(8).roll(1), own))
    logits = model.head(model.backbone.pool(styled).flatten(1))
    torch.testing.assert_close(mixed, F.cross_entropy(logits, batch.target))
    assert not model.backbone.layer1._forward_hooks


def test_the_gradient_of_the_early_layers_is_clipped(same_partner):
    slopes = []
    for clip in (1e9, 1e-4):
        model, strategy, batch = made(adversarial_clip=clip)
        total = strategy.fool(model, batch).total
        slopes.append(torch.autograd.grad(total, strategy.players(model)["early"]))
    norms = [float(torch.cat([each.flatten() for each in slope]).norm()) for slope in slopes]
    assert norms[0] > 2e-4
    assert norms[1] == pytest.approx(1e-4, rel=2e-2)
    for free, clipped in zip(*slopes, strict=True):
        torch.testing.assert_close(free * norms[1] / norms[0], clipped)


def test_the_gradient_of_all_processes_is_clipped(same_partner, monkeypatch):
    """With a mean over processes that is -0.01 times the own gradient, this mean is clipped."""
    slopes = []
    for factor, clip in ((1.0, 1e9), (-0.01, 1e-4), (-0.01, 1e9)):
        monkeypatch.setattr(processes, "mean", lambda value, factor=factor: factor * value)
        model, strategy, batch = made(adversarial_clip=clip)
        total = strategy.fool(model, batch).total
        found = torch.autograd.grad(total, strategy.players(model)["early"])
        slopes.append(torch.cat([slope.flatten() for slope in found]))
    assert float(slopes[0].norm()) > 2e-4
    torch.testing.assert_close(slopes[2], -0.01 * slopes[0])
    torch.testing.assert_close(slopes[1], slopes[2] * min(1.0, 1e-4 / float(slopes[2].norm())))


def test_refuses():
    model = Network()
    bare = Network()
    bare.backbone.layer1[1] = nn.Identity()
    for given, options, message in (
        (model, {"adversarial_weight": -1.0}, "adversarial_weight must be at least 0 for SagNet"),
        (
            model,
            {"adversarial_clip": 0.0},
            r"adversarial_clip must be positive for SagNet; got 0\.0",
        ),
        (model, {"layer": "pool"}, r"layer=pool gives \(5, 1, 1\): name a stage of a conv"),
        (model, {"layer": "layer9"}, "no layer 'layer9'"),
        (bare, {"layer": "layer1"}, "none comes before strategy.layer=layer1: name a later layer"),
    ):
        with pytest.raises(InputError, match=message):
            SagNet(GROUPS, given, IMAGE, **{"layer": "layer1"} | options)  # type: ignore[arg-type]
