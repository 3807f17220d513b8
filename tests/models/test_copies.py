"""A twin has the weights and a head of its own; a copy of later layers computes the features."""

import pytest
import timm
import torch
from torch import nn

from debias.models.classifier import Classifier, timm_classifier
from debias.models.copies import layers_after, twin
from debias.models.layers import read_layer
from tests.fakes import TinyClassifier

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


@pytest.mark.parametrize(
    "model", [TinyClassifier(), timm_classifier(2, name="test_resnet", pretrained=False)]
)
def test_same_weights_but_the_head(model):
    copied = twin(model)
    own, other = model.state_dict(), copied.state_dict()
    assert own.keys() == other.keys()
    differing = {name for name in own if not torch.equal(own[name], other[name])}
    assert differing == {"head.weight", "head.bias"}
    assert not {value.data_ptr() for value in own.values()} & {
        value.data_ptr() for value in other.values()
    }


def test_a_redrawn_twin_shares_no_weight():
    """Every weight and bias is drawn anew, and the model keeps its own."""
    model = timm_classifier(2, name="test_resnet", pretrained=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = dict(twin(model, redrawn=True).named_parameters())
    drawn = {name for name, value in copied.items() if value.ndim > 1}
    assert len(drawn) > 5
    assert not any(torch.equal(copied[name], before[name]) for name in drawn)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_batch_normalisation_of_a_redrawn_twin_is_not_frozen():
    """With the statistics 0 and 1 of a new network, it would pass on almost nothing."""
    torch.manual_seed(0)
    options = {"name": "test_resnet", "pretrained": False, "freeze_batch_norm": True}
    model = timm_classifier(2, **options).train()
    drawn, same = twin(model, redrawn=True), twin(model)
    image = torch.randn(4, 3, 32, 32)
    assert drawn(image).features.std(dim=0).mean() > 0.01
    for network, updated in ((drawn, True), (same, False), (model, False)):
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert {layer.training for layer in norms} == {updated}


def test_moving_one_leaves_the_other():
    model = TinyClassifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = twin(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_other_outputs():
    assert twin(TinyClassifier(), outputs=7)(torch.zeros(4, 3, 2, 2)).logits.shape == (4, 7)


def test_a_model_without_head_is_refused():
    with pytest.raises(ValueError, match=r"Sequential has no nn\.Linear called head"):
        twin(nn.Sequential(nn.Linear(2, 2)))
