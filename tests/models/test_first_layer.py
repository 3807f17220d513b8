"""TrAct: the closed form by hand, whole gradients, and the networks that it can change."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.models.classifier import timm_classifier
from debias.models.first_layer import TrActConvolution, activation_gradient
from debias.trained import export

IMAGE = torch.randn(10, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def convolution(**options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3, **options).double()  # type: ignore[arg-type]


def slope(layer: nn.Module, image: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(layer(image).pow(2).mean(), layer.weight)  # type: ignore[arg-type]
    return found.flatten(1)


def test_the_two_closed_forms_agree():
    """G' (x' x / b + l I)^-1 is also G' (x x' / b + l I)^-1 x."""
    generator = torch.Generator().manual_seed(1)
    x, g = (torch.randn(7, size, generator=generator, dtype=torch.float64) for size in (5, 3))
    other = g.T @ torch.linalg.inv(x @ x.T / 7 + 0.3 * torch.eye(7)) @ x
    torch.testing.assert_close(activation_gradient(g.T @ x, x.T @ x / 7, 0.3), other)
    whitened = activation_gradient(g.T @ x, torch.eye(5, dtype=torch.float64), 0.25)
    torch.testing.assert_close(whitened, g.T @ x / 1.25)


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "bias": False}]
)
def test_the_gradient_of_a_convolution(options):
    """The usual gradient, times the inverse over all patches; outputs and the rest are the same."""
    plain = convolution(**options)
    ours = TrActConvolution(copy.deepcopy(plain), ridge=0.2)
    assert torch.equal(ours(IMAGE), plain(IMAGE))
    geometry = (plain.dilation, plain.padding, plain.stride)
    patches = nn.functional.unfold(IMAGE, 3, *geometry).transpose(1, 2).flatten(0, 1)
    moments = patches.T @ patches / len(patches)
    expected = slope(plain, IMAGE) @ torch.linalg.inv(moments + 0.2 * torch.eye(27))
    torch.testing.assert_close(slope(ours, IMAGE), expected)
    for layer in (plain, ours):
        layer(IMAGE).pow(2).mean().backward()
    if plain.bias is not None:
        assert torch.equal(plain.bias.grad, ours.bias.grad)


def test_contrast_does_not_make_larger_steps():
    """With inputs scaled by s, activations move by s^2 for a usual gradient, and not for this."""
    moves = {}
    for kind in (nn.Identity, TrActConvolution):
        layer = convolution(bias=False)
        layer = layer if kind is nn.Identity else TrActConvolution(layer, ridge=1e-9)
        for scale in (1.0, 10.0):
            image = scale * IMAGE
            fixed = torch.autograd.grad(layer(image).sum(), layer.weight)[0]
            with torch.no_grad():
                moved = nn.functional.conv2d(image, fixed).norm()
            moves[kind, scale] = float(moved)
    assert moves[nn.Identity, 10.0] == pytest.approx(100 * moves[nn.Identity, 1.0])
    assert moves[TrActConvolution, 10.0] == pytest.approx(moves[TrActConvolution, 1.0])


def test_evaluation_and_passes_without_gradient_compute_no_moments(monkeypatch):
    layer = TrActConvolution(convolution())
    monkeypatch.setattr(layer, "moments", lambda image: pytest.fail("moments were computed"))
    layer.eval()(IMAGE)
    with torch.no_grad():
        layer.train()(IMAGE)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_networks_of_timm(name):
    """The state dict is that of the plain network, and logits are the same."""
    models = []
    for first in (None, "tract"):
        torch.manual_seed(0)
        models.append(timm_classifier(2, name=name, pretrained=False, first_layer=first).eval())
    plain, ours = models
    assert plain.state_dict().keys() == ours.state_dict().keys()
    size = timm.get_pretrained_cfg(name).input_size
    image = torch.randn(2, *size)
    assert torch.equal(plain(image).logits, ours(image).logits)
    assert sum(isinstance(module, TrActConvolution) for module in ours.modules()) == 1


def test_refuses():
    with pytest.raises(InputError, match=r"ridge must be positive; got 0\.0"):
        TrActConvolution(convolution(), ridge=0.0)
    for layer in (
        nn.Linear(2, 2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(3, 4, 3, padding="same"),
    ):
        with pytest.raises(InputError, match="needs a plain convolution as first layer; got"):
            TrActConvolution(layer)
    for options, message in (
        ({"first_layer": "sgd"}, "model.first_layer must be one of tract; got 'sgd'"),
        ({"first_layer": "tract", "name": "simple_conv_k1"}, "names no single first convolution"),
        ({"pooling": "mean"}, "model.pooling must be one of avg, max, avgmax; got 'mean'"),
        ({"pooling": "max", "name": "simple_conv_k1"}, "cannot change its pooling"),
    ):
        with pytest.raises(InputError, match=message):
            timm_classifier(2, **{"name": "test_resnet", "pretrained": False} | options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_max_pooling(name):
    """Features are the largest values over positions, of maps that average pooling gets too."""
    torch.manual_seed(0)
    model = timm_classifier(2, name=name, pretrained=False, pooling="max").eval()
    torch.manual_seed(0)
    other = timm_classifier(2, name=name, pretrained=False).eval()
    assert model.state_dict().keys() == other.state_dict().keys()
    image = torch.randn(2, *timm.get_pretrained_cfg(name).input_size)
    maps = model.backbone.forward_features(image)
    torch.testing.assert_close(maps, other.backbone.forward_features(image))
    if name == "test_resnet":
        torch.testing.assert_close(model(image).features, maps.amax((2, 3)))
    if name == "test_vit":
        torch.testing.assert_close(model(image).features, maps[:, 1:].amax(1))
    assert not torch.allclose(model(image).features, other(image).features, atol=1e-3)


def test_a_file_for_timm_cannot_say_how_to_pool():
    config = {"model": {"name": "test_resnet", "pooling": "max"}}
    model: Any = SimpleNamespace(report=SimpleNamespace(config=config))
    with pytest.raises(InputError, match=r"this run has model\.pooling=max: use format=onnx or"):
        export._check_network(model)
