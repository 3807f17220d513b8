"""The copy of what follows a layer computes the model's features in timm's families, or fails."""

from __future__ import annotations

import pytest
import timm
import torch

from debias.models.classifier import Classifier
from debias.models.layers import read_layer
from debias.models.layers_after import layers_after

IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
CLASS_TOKEN = {"img_size": 64}
MEAN = {"img_size": 64, "global_pool": "avg"}
TINY = {"img_size": 64, "patch_size": 16, "depth": 2}


def classifier(name: str, options: dict[str, object]) -> Classifier:
    torch.manual_seed(0)
    return Classifier(timm.create_model(name, num_classes=3, **options))


@pytest.mark.parametrize(
    ("name", "layer", "options"),
    [
        ("test_resnet", "layer2", {}),
        ("test_convnext", "stages.1", {}),
        ("test_efficientnet", "blocks.2", {}),
        ("test_vit", "blocks.3", CLASS_TOKEN),
        ("test_vit", "blocks.5", MEAN),
        ("test_vit", "norm", CLASS_TOKEN),
        ("test_vit", "patch_drop", {"img_size": 64, "global_pool": "map", "class_token": False}),
        ("vit_tiny_patch16_224", "blocks.0", TINY),
        ("vit_tiny_patch16_224", "blocks.1", TINY | {"global_pool": "avg", "reg_tokens": 4}),
    ],
)
def test_they_give_the_features(name, layer, options):
    """On images they were not checked on; a change of the copy leaves the model alone."""
    model = classifier(name, options).eval()
    after = layers_after(model, layer, IMAGE[:1]).eval()
    outputs, activation = read_layer(model, layer, IMAGE)
    torch.testing.assert_close(after(activation), outputs.features)
    assert not {id(p) for p in after.parameters()} & {id(p) for p in model.parameters()}
    assert layer == "norm" or len(list(after.parameters())) > 0


def test_the_model_is_left_as_it_was():
    model = classifier("test_resnet", {})
    model.backbone.layer1.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    layers_after(model, "layer2", IMAGE[:1])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_vits_copy_holds_only_what_comes_after():
    """Of six blocks, two; and the last norm: nothing of the embedding, which would not move."""
    model = classifier("test_vit", CLASS_TOKEN)
    after = layers_after(model, "blocks.3", IMAGE[:1])
    wanted = [*model.backbone.blocks[4:].parameters(), *model.backbone.norm.parameters()]
    assert sum(p.numel() for p in after.parameters()) == sum(p.numel() for p in wanted)


def test_a_chain_that_is_not_one_is_refused():
    """Inside a block, what follows is added to the block's input."""
    with pytest.raises(ValueError, match=r"layers after 'blocks.3.attn'.*pooled or flattened"):
        layers_after(classifier("test_vit", CLASS_TOKEN), "blocks.3.attn", IMAGE[:1])
