"""Reading the inside of a model: what a layer gives, what it depends on, over timm's families."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from debias.models.classifier import Classifier
from debias.models.layers import (
    early_parameters,
    evaluating,
    find_layer,
    layer_shape,
    pooled,
    read_layer,
    read_layers,
    read_until,
)
from debias.types import Outputs

IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1)}

#: (name, layer, shape of one sample, options): maps first, tokens, and maps that the network keeps
#: channels last.
LAYERS = [
    ("test_resnet", "layer2", (48, 8, 8), {}),
    ("test_convnext", "stages.1", (32, 8, 8), {}),
    ("test_efficientnet", "blocks.2", (32, 8, 8), {}),
    ("test_vit", "blocks.3", (17, 64), {"img_size": 64}),
    ("swin_tiny_patch4_window7_224", "layers.1", (32, 8, 8), SWIN),
]


def classifier(name: str = "test_resnet", options: dict[str, object] | None = None) -> Classifier:
    torch.manual_seed(0)
    return Classifier(timm.create_model(name, num_classes=3, **(options or {})))


@pytest.fixture
def resnet():
    return classifier()


@pytest.mark.parametrize(
    ("name", "layer", "shape", "options"), LAYERS, ids=[case[0] for case in LAYERS]
)
def test_a_layer_of_every_family(name, layer, shape, options):
    """Read on the way, or by stopping there, it is what the layer returned; the outputs are those
    of a plain pass.
    """
    model = classifier(name, options).eval()
    assert layer_shape(model, layer, IMAGE[:1]) == shape
    returned: list[Tensor] = []
    model.get_submodule("backbone." + layer).register_forward_hook(
        lambda m, i, output: returned.append(output)
    )
    outputs, activation = read_layer(model, layer, IMAGE)
    stopped = read_until(model, layer, IMAGE)
    assert torch.equal(outputs.logits, model(IMAGE).logits)
    assert torch.equal(activation, stopped)
    layout = returned[0].permute(0, 3, 1, 2) if "swin" in name else returned[0]
    assert torch.equal(activation, layout)
    assert activation.shape == (2, *shape)


@pytest.mark.parametrize(
    ("name", "layer", "shape", "options"), LAYERS, ids=[case[0] for case in LAYERS]
)
def test_early_parameters_are_those_that_move_the_layer(name, layer, shape, options):
    """Adding noise to all others leaves the activation as it was; to any one of them, does not."""
    model = classifier(name, options).eval()
    early = early_parameters(model, layer, IMAGE[:1])
    before = read_until(model, layer, IMAGE).detach()
    others = copy.deepcopy(model)
    with torch.no_grad():
        for parameter_name, parameter in others.named_parameters():
            if parameter_name not in early:
                parameter.add_(1.0)
    assert torch.equal(read_until(others, layer, IMAGE), before)
    assert 0 < len(early) < len(list(model.parameters()))
    for chosen in (early[0], early[-1]):
        moved = copy.deepcopy(model)
        with torch.no_grad():
            parameter = moved.get_parameter(chosen)
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        assert not torch.equal(read_until(moved, layer, IMAGE), before)


def test_early_parameters_of_a_resnet_by_name(resnet):
    early = early_parameters(resnet, "layer1", IMAGE[:1])
    prefixes = ("backbone.conv1", "backbone.bn1", "backbone.layer1.")
    assert list(early) == [
        name for name, _ in resnet.named_parameters() if name.startswith(prefixes)
    ]


def test_gradients_flow_through_both(resnet):
    """The activation is the very tensor that the outputs are computed from."""
    outputs, activation = read_layer(resnet, "layer2", IMAGE)
    (gradient,) = torch.autograd.grad(outputs.logits.sum(), activation, retain_graph=True)
    assert gradient.ne(0).any()
    activation.sum().backward()
    reached = {name for name, parameter in resnet.named_parameters() if parameter.grad is not None}
    assert reached == set(early_parameters(resnet, "layer2", IMAGE[:1]))


def test_no_layer_reads_the_features(resnet):
    outputs, activation = read_layer(resnet, None, IMAGE)
    assert activation is outputs.features
    assert layer_shape(resnet, None, IMAGE[:1]) == (resnet.feature_size,)


def test_stopping_computes_nothing_beyond(resnet):
    """Batch statistics move up to the layer, and nowhere after it; no hook is left behind."""
    before = {
        name: value.clone()
        for name, value in resnet.named_buffers()
        if name.endswith("running_mean")
    }
    read_until(resnet, "layer2", IMAGE)
    moved = {
        name for name, value in before.items() if not torch.equal(value, resnet.get_buffer(name))
    }
    assert moved == {
        name for name in before if not name.startswith(("backbone.layer3", "backbone.layer4"))
    }
    assert not any(module._forward_hooks for module in resnet.modules())


def test_several_layers_are_read_in_one_pass_without_the_head(resnet):
    calls: list[str] = []
    watched = {"head": resnet.head, "body": resnet.backbone}
    for name, module in watched.items():
        module.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    found = read_layers(resnet.eval(), ("layer3", "backbone.layer1"), IMAGE)
    assert calls == ["body"]
    for activation, layer in zip(found, ("layer3", "layer1"), strict=True):
        torch.testing.assert_close(activation, read_until(resnet, layer, IMAGE))
    assert found[0].requires_grad
    assert not any(module._forward_hooks for module in resnet.modules())


def test_a_model_that_fails_is_left_without_hooks(resnet):
    with pytest.raises(RuntimeError):
        read_layer(resnet, "layer2", torch.zeros(2, 4, 64, 64))
    assert not any(module._forward_hooks for module in resnet.modules())


def test_looking_leaves_the_model_as_it_was(resnet):
    resnet.backbone.layer1.eval()
    state = {name: value.clone() for name, value in resnet.state_dict().items()}
    modes = [module.training for module in resnet.modules()]
    layer_shape(resnet, "layer2", IMAGE[:1])
    early_parameters(resnet, "layer2", IMAGE[:1])
    assert [module.training for module in resnet.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in resnet.state_dict().items())
    assert all(parameter.grad is None for parameter in resnet.parameters())


def test_under_autocast_the_activation_is_what_the_model_computed(resnet):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, activation = read_layer(resnet.eval(), "layer2", IMAGE)
        assert activation.dtype == torch.bfloat16
        assert torch.equal(outputs.logits, resnet(IMAGE).logits)


def test_pooled_by_definition():
    maps, tokens = torch.randn(2, 3, 4, 5), torch.randn(2, 7, 3)
    torch.testing.assert_close(pooled(maps), maps.sum(dim=(2, 3)) / 20)
    torch.testing.assert_close(pooled(tokens), tokens.sum(dim=1) / 7)
    assert torch.equal(pooled(maps[:, :, 0, 0]), maps[:, :, 0, 0])


def test_names_with_and_without_the_backbone(resnet):
    assert (
        find_layer(resnet, "layer1")
        is find_layer(resnet, "backbone.layer1")
        is resnet.backbone.layer1
    )
    assert find_layer(resnet, "head") is resnet.head


def test_an_unknown_layer_lists_the_near_ones(resnet):
    with pytest.raises(ValueError, match=r"no layer 'layer5'; did you mean 'layer4'"):
        read_layer(resnet, "layer5", IMAGE)
    with pytest.raises(
        ValueError, match=r"no layer 'transformer'; there are 72 valid names, such as .*"
    ):
        layer_shape(resnet, "transformer", IMAGE[:1])


def test_a_layer_that_is_overwritten_in_place_is_refused(resnet):
    """The ReLU after bn1 works in place: what one would read is not what bn1 gave."""
    with pytest.raises(ValueError, match="overwrites the output of layer"):
        layer_shape(resnet, "bn1", IMAGE[:1])


class Named(nn.Module):
    """Gives a dictionary."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"image": image}


class Odd(nn.Module):
    """Calls one layer twice, one never; one gives a pair, one a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never, self.pair = nn.Tanh(), nn.Tanh(), nn.LSTM(4, 3)
        self.named = Named()

    def forward(self, image: Tensor) -> Outputs:
        features = self.named(self.twice(self.twice(image)))["image"]
        return Outputs(self.pair(features)[0], features)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("twice", "called 2 times"), ("never", "called 0 times"), ("named", "gives a dict")],
)
def test_odd_layers_are_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        layer_shape(Odd(), layer, torch.zeros(1, 4))


def test_the_first_entry_of_a_tuple_is_read():
    outputs, activation = read_layer(Odd(), "pair", torch.ones(2, 4))
    assert torch.equal(activation, outputs.logits)


def test_frozen_early_layers_cannot_be_trained(resnet):
    for parameter in resnet.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="depends on no trainable parameter"):
        early_parameters(resnet, "layer1", IMAGE[:1])


def test_evaluating_restores_after_an_error(resnet):
    with pytest.raises(RuntimeError, match="expected input"), evaluating(resnet):
        resnet(torch.zeros(2, 4, 64, 64))
    assert all(module.training for module in resnet.modules())
