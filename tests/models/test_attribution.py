"""Grad-CAM through captum: worked maps, the definition written out over timm's families, and a
model left as it was.
"""

import sys

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models.classifier import Classifier
from debias.types import Outputs

pytest.importorskip("captum")

from debias.models.attribution import grad_cam, last_map_layer
from tests.models.own_networks import (
    HuggingViT,
    SmallCNN,
    resnet18,
    torchvision_vit,
    transformers_vit,
)

SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1)}
WIDE = {"img_size": (64, 96)}
AVERAGED = {"img_size": (64, 96), "global_pool": "avg", "reg_tokens": 2}

#: (name, options, layer, grid, tokens that are no patch)
FAMILIES = [
    ("test_resnet", {}, "layer4", (2, 3), None),
    ("test_convnext", {}, "stages.3", (2, 3), None),
    ("test_efficientnet", {}, "blocks.4", (2, 3), None),
    ("swin_tiny_patch4_window7_224", SWIN, "layers.3", (2, 2), None),
    ("test_vit", WIDE, "blocks.5.norm1", (4, 6), 1),
    ("test_vit", AVERAGED, "blocks.5.norm1", (4, 6), 3),
]
IDS = ["resnet", "convnext", "efficientnet", "swin", "vit", "vit-averaged"]


class Patches(nn.Module):
    """The image's channels averaged over 2x2 patches; then over all patches, into a linear head."""

    def __init__(self, weight: list[list[float]]) -> None:
        super().__init__()
        self.backbone = nn.AvgPool2d(2)
        self.head = nn.Linear(3, len(weight), bias=False)
        self.head.weight.data = torch.tensor(weight)

    def forward(self, image: Tensor) -> Outputs:
        features = self.backbone(image).mean(dim=(2, 3))
        return Outputs(self.head(features), features)


def picture() -> Tensor:
    """One 4x4 image, constant over 2x2 patches: channel 0 is 1 2 / 3 4, channel 1 is 4 0 / 0 0,
    channel 2 is 0.
    """
    patches = torch.tensor(
        [[[1.0, 2.0], [3.0, 4.0]], [[4.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    )
    return patches.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2).unsqueeze(0)


def test_worked_maps():
    """The logit is w . mean over 4 patches, so each channel's weight is w / 4, its gradient.

    Target 0, w = (4, -4, 0): channel 0 minus channel 1 = -3 2 / 3 4; relu 0 2 / 3 4; over 4: 0 .5 /
    .75 1. Target 1, w = (-4, 0, 0): nothing is positive, the map is 0.
    """
    model = Patches([[4.0, -4.0, 0.0], [-4.0, 0.0, 0.0]])
    images = picture().expand(2, -1, -1, -1)
    found = grad_cam(model, images, target=torch.tensor([0, 1]), layer="backbone", upsample=False)
    assert found.tolist() == [[[0.0, 0.5], [0.75, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert torch.equal(
        grad_cam(model, images, target=0, layer="backbone", upsample=False)[1], found[0]
    )


def test_the_absolute_logit_explains_an_absence():
    """Target 1's logit is -4 * 2.5 < 0: |z| has gradient +4 on channel 0, whose map is 1 2 / 3 4,
    so 0 1/3 / 2/3 1.
    """
    model = Patches([[4.0, -4.0, 0.0], [-4.0, 0.0, 0.0]])
    found = grad_cam(model, picture(), target=1, layer="backbone", upsample=False, absolute=True)
    assert found.flatten().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


class Places(nn.Module):
    """A logit with one weight per channel and place."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.backbone, self.weight = nn.Identity(), weight

    def forward(self, image: Tensor) -> Outputs:
        score = (self.weight * self.backbone(image)).sum(dim=(1, 2, 3))[:, None]
        return Outputs(score, score)


@pytest.mark.parametrize(
    ("cam", "expected"), [("grad_cam", [0, 1 / 3, 2 / 3, 1]), ("xgrad_cam", [0, 3 / 11, 7 / 11, 1])]
)
def test_xgrad_cam_weights_a_channel_by_its_share_of_the_logit(cam, expected):
    """Channel 0 is 1 2 / 3 4 with gradients 4 0 / 0 1: their mean is 5 / 4, its share of the logit
    (4 + 4) / 10. Channel 1 is 1 everywhere, with the weight -1 by both. 5/4 A - 1 is 1/4 6/4 / 11/4
    4, and 4/5 A - 1 is 0 3/5 / 7/5 11/5 after the relu.
    """
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]]])
    weight = torch.tensor([[[4.0, 0.0], [0.0, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    found = grad_cam(Places(weight), image, target=0, layer="backbone", upsample=False, cam=cam)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_upsampling_is_bilinear_and_scaled_after():
    """0 2 / 3 4 at 4x4: corners keep their values, the rest is from half-pixel centres."""
    model = Patches([[4.0, -4.0, 0.0]])
    small = torch.tensor([[[[0.0, 2.0], [3.0, 4.0]]]])
    expected = F.interpolate(small, size=(4, 4), mode="bilinear").squeeze(1) / 4
    found = grad_cam(model, picture(), target=0, layer="backbone")
    assert torch.allclose(found, expected)
    assert (found[0, 0, 0], found[0, 3, 3]) == (0.0, 1.0)


def build(name: str, options: dict[str, object]) -> Classifier:
    torch.manual_seed(0)
    return Classifier(timm.create_model(name, num_classes=3, **options))


def images(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 3, 64, 64 if "swin" in name else 96, generator=generator)


def by_definition(
    model: Classifier, image: Tensor, target: int, layer: str, grid: tuple, prefix: int | None
) -> Tensor:
    """One image, place by place: mean gradients times the place's activations, relu, min-max."""
    returned: list[Tensor] = []
    handle = model.backbone.get_submodule(layer).register_forward_hook(
        lambda m, i, output: returned.append(output[0] if isinstance(output, tuple) else output)
    )
    logit = model(image.unsqueeze(0)).logits[0, target]
    handle.remove()
    gradient, values = torch.autograd.grad(logit, returned[0])[0][0], returned[0].detach()[0]
    if getattr(model.backbone, "output_fmt", "NCHW") == "NHWC":
        gradient, values = gradient.permute(2, 0, 1), values.permute(2, 0, 1)
    rows, columns = grid
    if prefix is None:
        gradient, values = gradient.flatten(1).T, values.flatten(1).T
    else:
        gradient, values = gradient[prefix:], values[prefix:]
    assert len(values) == rows * columns
    weights = gradient.mean(dim=0)
    flat = torch.stack([(weights * value).sum().clamp(min=0) for value in values])
    spread = flat.max() - flat.min()
    return ((flat - flat.min()) / spread if spread > 0 else flat * 0).view(rows, columns)


@pytest.mark.parametrize(("name", "options", "layer", "grid", "prefix"), FAMILIES, ids=IDS)
def test_every_family_agrees_with_the_definition(name, options, layer, grid, prefix):
    model, image = build(name, options).eval(), images(name)
    assert last_map_layer(model, image) == layer
    for target in range(3):
        found = grad_cam(model, image, target=target, upsample=False)
        expected = torch.stack(
            [by_definition(model, one, target, layer, grid, prefix) for one in image]
        )
        assert found.shape == (3, *grid)
        assert torch.allclose(found, expected, atol=1e-4)
    # otherwise nothing was compared
    assert found.amax() == 1 or grad_cam(model, image, target=0, upsample=False).amax() == 1


def test_the_block_after_the_last_attention_of_a_transformer_explains_nothing():
    """Its class token alone is read, hence the default layer; an average over tokens would do."""
    model, image = build("test_vit", WIDE), images("test_vit")
    assert grad_cam(model, image, target=0, layer="blocks.5", upsample=False).amax() == 0


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model, image = build("test_resnet", {}), images("test_resnet")
    model.train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = model.backbone.conv1[0].weight.requires_grad_(False)
    with torch.no_grad():
        found = grad_cam(model, image, target=torch.tensor([0, 1, 2]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training is training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert [part.requires_grad for part in (found, image, frozen)] == [False, False, False]
    assert found.shape == (3, 64, 96)


def test_a_wholly_frozen_model_is_explained_alike():
    model, image = build("test_resnet", {}).eval(), images("test_resnet")
    free = grad_cam(model, image, target=2)
    assert torch.equal(grad_cam(model.requires_grad_(False), image, target=2), free)


@pytest.mark.parametrize(
    ("network", "head", "layer"),
    [(resnet18, "fc", "layer4"), (SmallCNN, "classifier.1", "deep")],
    ids=["torchvision", "own"],
)
def test_the_last_map_of_a_wrapped_network_is_found(network, head, layer):
    """It is the layer that one names, also where the pass finds layers inside it."""
    torch.manual_seed(0)  # with other initial weights, a map may be empty
    model, image = Classifier.wrap(network(), head).eval(), images("resnet")
    assert last_map_layer(model, image) == layer
    found = grad_cam(model, image, target=1)
    assert torch.equal(found, grad_cam(model, image, target=1, layer=layer))
    assert found.amax() == 1


def test_a_transformer_of_hugging_face_is_explained_by_the_layer_that_one_names():
    """Its blocks give tuples; the class token is left out of the 8 x 12 patches. Unless one names a
    layer, it is the normalisation before the last attention, also if the network is frozen."""
    normalised = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    model = Classifier.wrap(HuggingViT(), "classifier", **normalised).eval()
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    for layer in ("layers.1", "layers.2.norm"):
        found = grad_cam(model, image, target=0, layer=layer, upsample=False)
        expected = torch.stack([by_definition(model, one, 0, layer, (8, 12), 1) for one in image])
        assert torch.allclose(found, expected, atol=1e-4)
    assert torch.equal(grad_cam(model, image, target=0, upsample=False), found)
    assert last_map_layer(model.requires_grad_(False), image) == "layers.2.norm"
    for block in model.backbone.layers:
        block.norm = nn.Identity()
    with pytest.raises(ValueError, match="in a transformer the normalisation before the last"):
        last_map_layer(model, image)


def transformers_vit_32():
    pytest.importorskip("transformers")
    return transformers_vit()


@pytest.mark.parametrize(
    ("network", "head", "layer"),
    [
        (torchvision_vit, "heads.head", "encoder.layers.encoder_layer_1.ln_1"),
        (transformers_vit_32, "classifier", "vit.layers.1.layernorm_before"),
    ],
    ids=["torchvision", "transformers"],
)
def test_the_last_attention_of_a_wrapped_transformer_is_found(network, head, layer):
    model = Classifier.wrap(network(), head, mean=(0.5,) * 3, std=(0.5,) * 3).eval()
    image = images("vit")[:, :, :32, :32]
    assert last_map_layer(model, image) == layer
    assert grad_cam(model, image, target=0, upsample=False).shape == (3, 4, 4)


def test_what_cannot_be_explained_is_refused(monkeypatch):
    model, image = build("test_resnet", {}), images("test_resnet")
    with pytest.raises(ValueError, match="no layer 'layer9'"):
        grad_cam(model, image, target=0, layer="layer9")
    with pytest.raises(ValueError, match="neither a map"):
        grad_cam(model, image, target=0, layer="global_pool")
    with pytest.raises(ValueError, match="AvgPool2d does not name its stages"):
        grad_cam(Patches([[1.0, 0.0, 0.0]]), picture(), target=0)
    tokens = Patches([[1.0] * 16])
    tokens.backbone = nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (16, 1)))
    with pytest.raises(
        ValueError, match="gives 3 tokens, which are not one per patch of a 4 x 4 image"
    ):
        grad_cam(tokens, picture(), target=0, layer="backbone.0")
    assert not any(module._forward_hooks for module in model.modules())
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ValueError, match=r"debias-vision\[attribution\]"):
        grad_cam(model, image, target=0)
