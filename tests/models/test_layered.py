"""Networks from a list of layers: their shapes, sizes and first weights, and what is refused."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias import components
from debias.errors import InputError
from debias.models.classifier import Classifier

MLP = ["channels 2", "flatten", "linear 390", "relu", "linear 390", "relu"]
LENET = [
    *("conv 6 5", "relu", "max_pool 2", "conv 16 5", "relu", "max_pool 2", "flatten"),
    *("linear 120", "relu", "linear 84", "relu"),
]


def made(outputs: int = 2, **section: object) -> Classifier:
    """A classifier from the section ``model`` of a config."""
    return components.construct("model", {"name": "layers", **section}, {"outputs": outputs})


@pytest.mark.parametrize(
    ("outputs", "options", "parameters"),
    [
        # IRM's network on coloured MNIST: 392, 390, 390, 1
        (2, {"layers": MLP, "size": 14, "one_logit": True}, 393 * 390 + 391 * 390 + 391),
        # LeNet on 32 x 32: 28, 14, 10, 5 pixels
        (5, {"layers": LENET, "size": 32}, 456 + 2416 + 401 * 120 + 121 * 84 + 85 * 5),
        (10, {"layers": ["flatten"], "size": 28}, (3 * 28 * 28 + 1) * 10),
        (3, {"layers": ["conv 4 3 1 2", "batch_norm", "average_pool 4", "flatten"], "size": 8},
         28 * 4 + 8 + 15),
        (3, {"layers": ["conv 4 3", "global_pool"], "size": 9}, 28 * 4 + 15),
    ],
)  # fmt: skip
def test_sizes(outputs, options, parameters):
    model = made(outputs, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.eval()(torch.rand(2, 3, options["size"], options["size"])).logits.shape == (
        2,
        outputs,
    )


def test_one_logit_is_binary_cross_entropy():
    model = made(layers=["flatten", "linear 5", "relu"], size=4, one_logit=True)
    image, target = torch.rand(6, 3, 4, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    logits, features = model(image)
    score = features @ model.head.weight[0] + model.head.bias
    assert torch.allclose(logits[:, 1] - logits[:, 0], score)
    expected = F.binary_cross_entropy_with_logits(score, target.float())
    assert torch.allclose(F.cross_entropy(logits, target), expected)


def test_grey_and_channels_see_what_they_say():
    image = torch.rand(4, 3, 5, 5)
    turned = image.flip(1)
    grey, two = (made(layers=[name, "flatten"], size=5) for name in ("grey", "channels 2"))
    assert torch.allclose(grey(image).features, image.sum(dim=1).flatten(1))
    assert torch.allclose(grey(image).logits, grey(turned).logits)
    assert torch.equal(two(image).features, image[:, :2].flatten(1))


def test_global_pool_is_the_mean_of_each_map():
    model = made(layers=["global_pool"], size=4)
    image = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(model(image).features, image.mean(dim=(2, 3)))


def test_pixels_are_not_normalised_by_default():
    model = made(layers=["flatten"], size=2)
    assert (model.mean, model.std) == ((0.0,) * 3, (1.0,) * 3)
    raw = made(layers=["flatten"], size=2, std=[255, 255, 255])
    assert raw.std == (255.0,) * 3


def test_a_relu_overwrites_outputs_and_never_the_image():
    layers = ["channels 2", "relu", "conv 3 3", "relu", "flatten", "linear 5", "relu"]
    model = made(layers=layers, size=6)
    image = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    before, (_, first, *_, last) = image.clone(), relus(model)
    assert (first.inplace, last.inplace) == (True, True)
    logits = model(image).logits
    assert torch.equal(image, before)
    for each in relus(model):
        each.inplace = False
    assert torch.equal(model(image).logits, logits)


def relus(model: nn.Module) -> list[nn.ReLU]:
    return [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]


def test_xavier():
    torch.manual_seed(0)
    model = made(layers=["flatten", "linear 300"], size=10, initialisation="xavier")
    weight, bias = model.backbone.body[1].weight, model.backbone.body[1].bias
    bound = math.sqrt(6 / (300 + 300))
    assert bound * 0.99 < weight.abs().max() <= bound
    assert not bias.any()
    assert not model.head.bias.any()
    assert model.head.weight.abs().max() <= math.sqrt(6 / (300 + 2))


def test_weights_of_a_file(tmp_path):
    options = {"layers": ["flatten", "linear 3"], "size": 2}
    model = made(**options)
    torch.save(model.network_state_dict(), tmp_path / "weights.pt")
    again = made(**options, weights=str(tmp_path / "weights.pt"))
    image = torch.rand(2, 3, 2, 2)
    assert torch.equal(again(image).logits, model(image).logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["linear 3"]}, r"\[0\]='linear 3' does not fit maps of 3 x 6 x 6: put flatten"),
        ({"layers": ["flatten", "conv 3 3"]}, "does not fit a vector of 108: put it before flat"),
        ({"layers": ["conv 3 7", "flatten"]}, r"does not fit maps of 3 x 6 x 6 \(.*kernel smaller"),
        ({"layers": ["conv 3", "flatten"]}, "the numbers CHANNELS KERNEL PADDING STRIDE, at least"),
        ({"layers": ["relu 3"]}, r"'relu 3' needs no number; got 1"),
        ({"layers": ["flaten"]}, "'flaten' is no layer; did you mean 'flatten'"),
        ({"layers": ["flatten", "linear ten"]}, "units must be a whole number from 1; got 'ten'"),
        ({"layers": ["flatten", "linear 0"]}, "units must be a whole number from 1; got '0'"),
        ({"layers": ["relu"]}, "end in maps of 3 x 6 x 6, and the last linear layer needs a vect"),
        ({"layers": ["flatten"], "std": [1, 0, 1]}, "model.std must be three positive numbers"),
        ({"layers": ["flatten"], "pretrained": True}, "no pretrained weights exist for layers"),
        ({"layers": ["flatten"], "initialisation": "he"}, "must be one of torch, xavier"),
        ({}, "model needs layers: add model.layers="),
    ],
)  # fmt: skip
def test_refused(options, message):
    with pytest.raises(InputError, match=message):
        made(size=6, **options)


def test_one_logit_is_for_two_classes():
    with pytest.raises(InputError, match="is for two logits, one per class; got 3: leave it out"):
        made(3, layers=["flatten"], size=6, one_logit=True)
