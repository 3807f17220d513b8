"""Styles inside the model: moments and ranks by hand, gradients, and which passes are changed."""

import copy
import itertools

import pytest
import timm
import torch
from torch import Tensor, nn

from debias import config as configs
from debias.augment.augmentation import Augmentation
from debias.augment.feature_styles import (
    EFDMix,
    MixStyle,
    PermutedAdaIN,
    match_values,
    mix_moments,
    swap_moments,
)
from debias.augment.random_convolution import RandomConvolution
from debias.build import build
from debias.errors import InputError
from debias.models.classifier import Classifier
from debias.models.layers import read_layer
from debias.strategies.attribute_decorrelation import AttributeDecorrelation
from debias.training.accumulation import accumulate
from debias.training.module import check_targets
from debias.types import Batch, Groups, Outputs
from tests.commands.conftest import overrides

IMAGE = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))
PARTNER = torch.tensor([1, 2, 3, 0])
ALL = torch.ones(4)
MAKES = (MixStyle, EFDMix, PermutedAdaIN)


def maps(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, 5, 6, generator=generator, dtype=torch.float64) * 3 + 1


class Network(nn.Module):
    """Two convolutions with batch normalisation, and a head on the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer1 = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.pool(self.layer2(self.layer1(image))).flatten(1)
        return Outputs(self.head(features), features)


def changed(make: type[Augmentation], **options: object) -> Network:
    """A model that is changed in every training pass."""
    model = Network()
    make(model, IMAGE[:1], probability=1.0, **options)
    return model


def test_mixstyle_keeps_or_takes_moments():
    x = maps()
    torch.testing.assert_close(mix_moments(x, PARTNER, ALL), x)
    taken = mix_moments(x, PARTNER, 0 * ALL)
    torch.testing.assert_close(taken.mean((2, 3)), x[PARTNER].mean((2, 3)))
    torch.testing.assert_close(taken.std((2, 3)), x[PARTNER].std((2, 3)), rtol=1e-5, atol=1e-5)
    half = mix_moments(x, PARTNER, 0.5 * ALL)
    torch.testing.assert_close(half.mean((2, 3)), (x + x[PARTNER]).mean((2, 3)) / 2)


def test_the_gradient_of_mixstyle_is_one_number_per_channel():
    """It is the mixed deviation over the own one, since moments have no gradient."""
    x = maps().requires_grad_()
    weight = torch.randn(x.shape, dtype=torch.float64)
    (slope,) = torch.autograd.grad((weight * mix_moments(x, PARTNER, 0.25 * ALL)).sum(), x)
    deviation = (x.detach().var((2, 3), keepdim=True) + 1e-6).sqrt()
    ratio = (0.25 * deviation + 0.75 * deviation[PARTNER]) / deviation
    torch.testing.assert_close(slope, weight * ratio)


def test_padain_takes_the_partner_s_moments_and_has_no_gradient_through_its_own():
    x = maps().requires_grad_()
    swapped = swap_moments(x, PARTNER)
    torch.testing.assert_close(swapped.mean((2, 3)), x[PARTNER].mean((2, 3)))
    torch.testing.assert_close(swapped.std((2, 3)), x[PARTNER].std((2, 3)), rtol=1e-4, atol=0)
    weight = maps(2)
    (slope,) = torch.autograd.grad((weight * swapped).sum(), x)
    zero = torch.zeros(4, 3, dtype=torch.float64)
    torch.testing.assert_close(slope.sum((2, 3)), zero)
    centred = x.detach() - x.detach().mean((2, 3), keepdim=True)
    torch.testing.assert_close((slope * centred).sum((2, 3)), zero, rtol=0, atol=1e-2)
    assert float((weight * centred).sum((2, 3)).abs().min()) > 0.1


def test_matched_values_are_the_nearest_permutation_of_the_partner_s():
    x = maps()
    matched = match_values(x, PARTNER, 0 * ALL)
    torch.testing.assert_close(
        matched.flatten(2).sort(2).values, x[PARTNER].flatten(2).sort(2).values
    )
    assert torch.equal(matched.flatten(2).argsort(2), x.flatten(2).argsort(2))
    torch.testing.assert_close(match_values(x, torch.arange(4), 0 * ALL), x)
    few = torch.randn(2, 1, 5, dtype=torch.float64)
    nearest = min(
        (few[1, 0][list(order)] for order in itertools.permutations(range(5))),
        key=lambda values: float((values - few[0, 0]).square().sum()),
    )
    torch.testing.assert_close(match_values(few, PARTNER[[0, 3]], 0 * ALL[:2])[0, 0], nearest)


def test_the_gradient_of_matched_values_is_the_identity_and_the_partner_s_share():
    x = maps().requires_grad_()
    (slope,) = torch.autograd.grad(match_values(x, PARTNER, 0.25 * ALL).sum(), x)
    torch.testing.assert_close(slope, torch.full_like(slope, 1.75))


@pytest.mark.parametrize("make", MAKES)
def test_only_training_passes_are_changed(make):
    """Weights keep their names; a copy changes its own passes, by its own mode."""
    plain, model = Network(), changed(make)
    assert model.state_dict().keys() == plain.state_dict().keys()
    twin = copy.deepcopy(model).train()
    with torch.no_grad():
        assert torch.equal(model.eval()(IMAGE).logits, plain.eval()(IMAGE).logits)
        trained = plain.train()(IMAGE).logits
        assert not torch.allclose(twin(IMAGE).logits, trained, rtol=1e-3)
        assert torch.equal(model.eval()(IMAGE).logits, Network().eval()(IMAGE).logits)


@pytest.mark.parametrize("make", MAKES)
def test_a_probability_of_zero_changes_nothing(make):
    plain, model = Network(), Network()
    make(model, IMAGE[:1], probability=0.0)
    with torch.no_grad():
        assert torch.equal(model(IMAGE).logits, plain(IMAGE).logits)


def test_how_often_and_how_far_styles_are_mixed():
    """A quarter of the passes; shares of Beta(a, a), whose variance is 1 / (8 a + 4)."""
    torch.manual_seed(0)
    augment = MixStyle(Network(), IMAGE[:1], probability=0.25, alpha=0.1)
    shares = augment.shares(torch.zeros(4000, 1))
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shares.var()) == pytest.approx(1 / 4.8, abs=0.01)
    passes = sum(augment.changed((), IMAGE) is not IMAGE for _ in range(400))
    assert 70 < passes < 130


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_type_of_an_activation_stays(dtype):
    x = maps().to(dtype)
    for result in (
        mix_moments(x, PARTNER, 0 * ALL),
        swap_moments(x, PARTNER),
        match_values(x, PARTNER, 0 * ALL),
    ):
        assert (result.dtype, result.shape) == (dtype, x.shape)
        torch.testing.assert_close(
            result.mean((2, 3)), x[PARTNER].mean((2, 3)), rtol=0.02, atol=0.02
        )


@pytest.mark.parametrize("make", MAKES)
def test_batches_in_parts_have_the_same_gradients(make):
    """The backward pass of a part draws as its forward pass: gradients are those of two passes."""
    model = changed(make)
    slopes = []
    for parts in (1, 2):
        torch.manual_seed(3)
        copied = copy.deepcopy(model)
        if parts > 1:
            accumulate(copied, parts)
        passes = [IMAGE] if parts > 1 else IMAGE.split(2)
        sum(copied(each).logits.square().sum() for each in passes).backward()
        slopes.append([parameter.grad for parameter in copied.parameters()])
    torch.testing.assert_close(slopes[0], slopes[1])


CASES = [
    ("test_vit", "blocks.1", {"img_size": 32}),
    ("swin_tiny_patch4_window7_224", "layers.1", {"img_size": 32, "window_size": 2}),
]


@pytest.mark.parametrize(("name", "layer", "options"), CASES, ids=["tokens", "channels last"])
def test_layers_of_transformers_take_styles_per_channel(name, layer, options):
    small = {"embed_dim": 16, "depths": (1, 1, 1, 1)} if "window_size" in options else {}
    torch.manual_seed(0)
    model = Classifier(timm.create_model(name, num_classes=2, **options, **small))
    image = torch.randn(4, 3, options["img_size"], options["img_size"])
    own = read_layer(model.eval(), layer, image).activation
    augment = MixStyle(model, image[:1], layers=(layer,), probability=1.0)
    augment.shares = lambda activation: 0 * ALL  # type: ignore[method-assign]
    torch.manual_seed(5)
    given = read_layer(model.train(), layer, image).activation
    own, given = own.detach(), given.detach()
    axes = (2, 3) if own.ndim == 4 else (1,)
    means = own.mean(axes)
    distance = torch.cdist(given.mean(axes), means)
    assert sorted(distance.argmin(1).tolist()) == [0, 1, 2, 3]
    assert float(distance.min(1).values.max()) < 5e-3


def test_values_of_one_position_stay():
    """A squeeze-and-excitation convolution gives one value per channel, which has no deviation."""
    layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1))
    PermutedAdaIN(layer, IMAGE[:1], probability=1.0)
    plain = layer[1].weight.flatten(1) @ IMAGE.mean((2, 3))[..., None] + layer[1].bias[:, None]
    torch.testing.assert_close(layer(IMAGE).flatten(1), plain.flatten(1))


def test_refuses():
    model = Network()
    for options, message in (
        ({"probability": 1.5}, r"probability must lie in \[0, 1\] for MixStyle; got 1.5"),
        ({"alpha": 0.0}, "alpha must be positive for MixStyle; got 0.0"),
        ({"layers": ("layer9",)}, "no layer 'layer9'; .*layer"),
        ({"layers": ("pool",)}, "gives one vector per image, of shape .*: name an earlier"),
        ({"layers": ()}, r"names no layer: name one, as in augment.layers=\[layer1\]"),
    ):
        with pytest.raises(InputError, match=message):
            MixStyle(model, IMAGE[:1], **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="names no layer"):
        PermutedAdaIN(nn.Linear(2, 2), IMAGE[:1])


def test_the_command_line_names_layers_and_refuses_to_compile(tmp_path):
    sections = ["augment.name=mixstyle", "augment.layers=[layer1]", "accumulate=2"]
    parts = build(configs.load("drawn_birds", overrides(tmp_path, *sections)))
    assert len(parts.module.model.backbone.layer1._forward_hooks) == 1
    with pytest.raises(InputError, match=r"augment.name=mixstyle changes layers .* leave compile"):
        build(configs.load("drawn_birds", overrides(tmp_path, *sections[:2], "compile=true")))


def test_a_strategy_that_trains_no_layer_inside_the_model_refuses_changes():
    """The loss of a head on fixed layers is that of the unchanged model."""
    names = ("no beak", "beak", "no web", "web")
    strategy = AttributeDecorrelation(Groups(names, ("land", "water"), multi_label=True))
    target = torch.tensor([[0, 1], [1, 0], [1, 1], [0, 0]])
    batch = Batch(IMAGE, target, torch.zeros(4, dtype=torch.int64), torch.arange(4))
    plain, mixed = Network(), changed(MixStyle)
    assert strategy.loss(mixed, batch).total.item() == strategy.loss(plain, batch).total.item()
    message = "AttributeDecorrelation trains no layer inside the model, so MixStyle has no effect"
    with pytest.raises(InputError, match=message):
        check_targets(strategy, MixStyle(plain, IMAGE[:1]))
    check_targets(strategy, RandomConvolution())
