"""Networks of torchvision, Hugging Face and one's own: the plain network's logits, with its own
keys, or one clear refusal.
"""

import copy
import re
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from debias.models.classifier import Classifier
from debias.models.copies import layers_after, twin
from debias.models.layers import layer_shape, read_layer
from tests.models import own_networks
from tests.models.own_networks import HuggingViT, SmallCNN

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
#: Network, name of its head, feature size, a layer, its shape in one sample, and normalisation.
NETWORKS = {
    "torchvision": (own_networks.resnet18, "fc", 512, "layer3", (256, 2, 2), {}),
    "own": (SmallCNN, "classifier.1", 16, "stem", (8, 16, 16), {}),
    "in the manner of Hugging Face": (HuggingViT, "classifier", 16, "layers.1", (17, 16), HALF),
    "Hugging Face": (
        *(own_networks.transformers_vit, "classifier", 16),
        *("vit.layers.0", (17, 16), HALF),
    ),
}
FAMILIES = pytest.mark.parametrize("family", NETWORKS)
IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def plain(family: str) -> nn.Module:
    if family == "Hugging Face":
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    return NETWORKS[family][0]()


def wrapped(network: nn.Module, family: str) -> Classifier:
    _, head, _, _, _, pixels = NETWORKS[family]
    return Classifier.wrap(network, head, **pixels)


def logits_of(network: nn.Module) -> Tensor:
    torch.manual_seed(2)  # of dropout
    output = network(IMAGE)
    return output if isinstance(output, Tensor) else output.logits


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@FAMILIES
def test_logits_are_the_plain_networks(family: str, training: bool) -> None:
    network = plain(family)
    model = wrapped(copy.deepcopy(network), family).train(training)
    expected = logits_of(network.train(training))
    found = logits_of(model)
    assert torch.equal(found, expected)
    torch.manual_seed(2)
    outputs = model(IMAGE)
    assert outputs.features.shape == (2, NETWORKS[family][2]) == (2, model.feature_size)
    assert torch.equal(model.head(outputs.features), outputs.logits)


@FAMILIES
def test_weights_keep_the_keys_of_the_network_both_ways(family: str) -> None:
    network = plain(family)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    model = wrapped(network, family).eval()
    state = model.network_state_dict()
    assert state.keys() == before.keys()
    assert all(torch.equal(state[key], value) for key, value in before.items())
    other = NETWORKS[family][0]().eval()
    model.load_network_state_dict(other.state_dict())
    assert torch.equal(logits_of(model), logits_of(other))
    other.load_state_dict(model.network_state_dict())


def test_a_convolution_as_head_keeps_its_shape_in_the_network() -> None:
    import timm

    network = timm.create_model("resnetv2_18", num_classes=3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    model = Classifier(network)
    state = model.network_state_dict()
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in before.items()
    }
    assert all(torch.equal(state[key], value) for key, value in before.items())
    model.load_network_state_dict({key: value + 1 for key, value in before.items()})
    assert torch.equal(model.head.weight, before["head.fc.weight"].flatten(1) + 1)


def test_keys_of_another_network_are_an_error() -> None:
    model = wrapped(SmallCNN(), "own")
    with pytest.raises(RuntimeError, match=r"Unexpected key.*conv1"):
        model.load_network_state_dict(own_networks.resnet18().state_dict())


@FAMILIES
def test_layers_inside_are_read(family: str) -> None:
    _, _, _, layer, shape, _ = NETWORKS[family]
    model = wrapped(plain(family), family).eval()
    assert layer_shape(model, layer, IMAGE[:1]) == shape
    outputs, activation = read_layer(model, layer, IMAGE)
    assert activation.shape == (2, *shape)
    (gradient,) = torch.autograd.grad(outputs.logits.square().sum(), activation)
    assert gradient.abs().sum() > 0


def test_layers_of_torchvisions_swin_are_read_channels_first() -> None:
    model = Classifier.wrap(own_networks.torchvision_swin(3), "head").eval()
    assert layer_shape(model, "features.1", IMAGE[:1]) == (16, 8, 8)
    assert layer_shape(model, "norm", IMAGE[:1]) == (32, 4, 4)
    _, first = read_layer(model, "norm", IMAGE)
    _, permuted = read_layer(model, "permute", IMAGE)
    assert torch.equal(first, permuted)


def test_the_layers_after_one_are_copied_with_the_flattening_that_is_code() -> None:
    model = Classifier.wrap(own_networks.resnet18(), "fc").eval()
    outputs, activation = read_layer(model, "layer2", IMAGE)
    after = layers_after(model, "layer2", IMAGE[:1]).eval()
    torch.testing.assert_close(after(activation), outputs.features)


def test_the_class_token_is_pooled_after_the_copied_layers() -> None:
    pytest.importorskip("transformers")
    model = wrapped(plain("Hugging Face"), "Hugging Face").eval()
    outputs, activation = read_layer(model, "vit.layers.0", IMAGE)
    after = layers_after(model, "vit.layers.0", IMAGE[:1]).eval()
    torch.testing.assert_close(after(activation), outputs.features)


def test_layers_that_give_tuples_cannot_be_copied_as_a_chain() -> None:
    model = Classifier.wrap(HuggingViT(), "classifier", **HALF)
    with pytest.raises(ValueError, match=r"layers after 'layers.0'.*read it pooled or flattened"):
        layers_after(model, "layers.0", IMAGE[:1])


def test_a_twin_shares_nothing() -> None:
    model = wrapped(SmallCNN(), "own")
    other = twin(model, outputs=4)
    assert other(IMAGE).logits.shape == (2, 4)
    assert model(IMAGE).logits.shape == (2, 10)


def test_mean_and_std() -> None:
    given = Classifier.wrap(HuggingViT(), "classifier", mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    assert (given.mean, given.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    known = Classifier.wrap(own_networks.resnet18(), "fc")
    assert (known.mean, known.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_frozen_batch_norm_stays_in_evaluation_mode() -> None:
    model = Classifier.wrap(SmallCNN(), "classifier.1", freeze_batch_norm=True).train()
    assert not model.backbone.deep[1].training
    assert model.backbone.deep.training


def test_the_check_leaves_the_network_as_it_was() -> None:
    """``check`` computes in evaluation mode, without a random number."""
    model = wrapped(SmallCNN(), "own").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(2)
    model.check(IMAGE[:1])
    assert torch.initial_seed() == 2
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(2)))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert model.checked


@pytest.mark.parametrize("make", [own_networks.ByView, SmallCNN])
def test_channels_last_is_used_where_the_network_can(make) -> None:
    network = make()
    head = "fc" if make is own_networks.ByView else "classifier.1"
    model = Classifier.wrap(copy.deepcopy(network), head).eval()
    model.use_channels_last(IMAGE[:1])
    expected = network.eval()(IMAGE)
    for form in (torch.contiguous_format, torch.channels_last):
        found = model(IMAGE.contiguous(memory_format=form)).logits
        torch.testing.assert_close(found, expected)
    weight = next(model.backbone.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last) is (make is SmallCNN)
    assert model.contiguous is (make is own_networks.ByView)


def test_a_network_without_convolutions_gets_contiguous_images() -> None:
    """Flattening images of channels last would copy them in every pass."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(IMAGE[0].numel(), 3))
    model = Classifier.wrap(network, "1", mean=(0.0,) * 3, std=(1.0,) * 3).eval()
    model.use_channels_last(IMAGE[:1])
    assert (model.contiguous, model.checked) == (True, True)
    assert torch.equal(
        model(IMAGE.contiguous(memory_format=torch.channels_last)).features, IMAGE.flatten(1)
    )


class Changed(SmallCNN):
    """A network that changes the outputs of its last layer."""

    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def forward(self, image: Tensor) -> object:
        return self.change(super().forward(image), self)


class PerToken(nn.Module):
    """A last layer on every token; the mean follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(image.flatten(2).mT).mean(dim=1)


@pytest.mark.parametrize(
    ("network", "head", "message"),
    [
        (
            Changed(lambda logits, _: logits.softmax(1)),
            "classifier.1",
            "Changed does not return the outputs of its layer 'classifier.1' on one vector of "
            "16 features (the layer reads (2, 16) from (2, 3, 32, 32)): name its last layer, leave",
        ),
        (
            Changed(lambda logits, self: logits[:, :1] + self.classifier(torch.ones(1, 16))),
            "classifier.1",
            "(the layer reads (2, 16) and (1, 16) from",
        ),
        (PerToken(), "fc", "(the layer reads (2, 1024, 3) from"),
        (
            own_networks.ByView(side=64),
            "fc",
            "1024 features (the layer reads (2, 256) from (2, 3, 32, 32))",
        ),
        (
            Changed(lambda logits, _: (logits, logits)),
            "classifier.1",
            "a network must return logits, or an object with logits; got a tuple",
        ),
        (
            Changed(lambda logits, _: SimpleNamespace(scores=logits)),
            "classifier.1",
            "got a SimpleNamespace",
        ),
    ],
    ids=["softmax", "twice", "tokens", "other size", "tuple", "other object"],
)
def test_outputs_that_are_not_the_heads_are_refused_in_the_first_pass(
    network: nn.Module, head: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Classifier.wrap(network, head)(IMAGE)


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (
            "classifier",
            {},
            "head must name the last layer of SmallCNN, an nn.Linear; got 'classifier': did you "
            "mean 'classifier.1'? valid: classifier.1",
        ),
        ("stem.0", {}, "got 'stem.0': valid: classifier.1"),
        ("classifier.1", {"mean": (0.5, 0.5, 0.5)}, "got std=None: give both mean and std, or"),
        ("classifier.1", HALF | {"mean": [0.5]}, "mean must be three numbers"),
        ("classifier.1", HALF | {"std": (1, 0, 1)}, "std[1] must be positive for SmallCNN"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(head: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Classifier.wrap(SmallCNN(), head, **options)


def test_hugging_face_must_say_its_normalisation() -> None:
    with pytest.raises(ValueError, match="image_mean and image_std of the Hugging Face"):
        Classifier.wrap(HuggingViT(), "classifier")


def test_a_network_without_linear_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 'fc': it has no nn\.Linear"):
        Classifier.wrap(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()), "fc")
