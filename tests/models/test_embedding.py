"""``model.embedding=true``: the features are the outputs of the pretrained last layer."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from debias.models import classifier as module
from debias.models.classifier import timm_classifier

NAME = "test_resnet"  # its weights have 1,000 outputs
IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def tower(name: str = NAME, outputs: int = 1000) -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = timm.create_model(name, num_classes=outputs)
    return network.eval()


def file_of(network: nn.Module, folder: Path, *without: str) -> str:
    path = folder / "tower.safetensors"
    state = {key: value for key, value in network.state_dict().items() if key not in without}
    save_file(state, path)
    return str(path)


def test_features_are_the_outputs_of_the_tower(tmp_path: Path) -> None:
    network = tower()
    model = timm_classifier(3, name=NAME, weights=file_of(network, tmp_path), embedding=True)
    assert model.checked  # a check would refuse the tokens of an attention pool
    with torch.no_grad():
        logits, features = model.eval()(IMAGE)
        torch.testing.assert_close(features, network(IMAGE))
        torch.testing.assert_close(logits, model.head(features))
    assert (model.feature_size, model.head.out_features) == (1000, 3)
    other = timm_classifier(3, name=NAME, pretrained=False, embedding=True)
    other.load_state_dict(model.state_dict())
    again = timm_classifier(3, name=NAME, pretrained=False, embedding=True)
    again.load_network_state_dict(model.network_state_dict())
    for copy in (other, again):
        assert torch.equal(copy.eval()(IMAGE).logits, logits)


def test_a_tower_with_an_attention_pool() -> None:
    """As CLIP's ResNets: its last layer reads tokens, of which one is kept."""
    config = timm.models.byobnet.model_cfgs["resnet50_clip"]
    small = timm.models.byobnet.ByoBlockCfg(type="basic", d=1, c=64, s=2, gs=None, br=1)
    kept = {key: getattr(config, key) for key in ("stem_type", "stem_pool", "head_type")}
    cfg = timm.models.byobnet.ByoModelCfg(blocks=(small, small), stem_chs=(8, 8, 16), **kept)
    network = timm.models.byobnet.ByobNet(cfg, num_classes=5, img_size=32).eval()
    try:
        network.get_classifier()
    except AttributeError:
        pytest.skip("this release of timm does not find the last layer of its own network")
    expected = network(IMAGE)
    last = module.append_layer(network, 3)
    model = module.Classifier(network, head=last)
    model.checked = True
    torch.testing.assert_close(model.eval()(IMAGE).features, expected)


def test_weights_without_the_last_layer_are_refused(tmp_path: Path) -> None:
    """Without the option the layer would be new."""
    for network, without, message in (
        (tower(), ("fc.weight", "fc.bias"), r"2 missing: fc\.weight, fc\.bias"),
        (tower(outputs=5), (), r"of another shape: fc\.weight is \(5, 96\), not \(1000, 96\)"),
    ):
        path = file_of(network, tmp_path, *without)
        timm_classifier(3, name=NAME, weights=path)
        with pytest.raises(ValueError, match=message):
            timm_classifier(3, name=NAME, weights=path, embedding=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_base_patch16_siglip_224.webli", "timm's weights of 'vit_base_patch16_siglip_224"),
        ("simple_conv_k1", "keeps the pretrained last layer, and timm's weights of 'simple_conv"),
        ("resnetv2_50x1_bit", "needs a network that ends in a linear layer; got Conv2d"),
        ("test_resnett", "timm has no model 'test_resnett'"),
    ],
)
def test_networks_without_such_a_layer_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timm_classifier(2, name=name, pretrained=False, embedding=True)


@pytest.mark.parametrize("embedding", [True, False])
def test_downloaded_weights_keep_their_last_layer(
    monkeypatch: pytest.MonkeyPatch, embedding: bool
) -> None:
    """Only without the option is the layer drawn again, for two classes."""
    network = tower(outputs=1000 if embedding else 2)
    last = next(iter(network.get_submodule("fc").parameters())).clone()
    monkeypatch.setattr(module, "_network", lambda outputs, name, pretrained: network)
    model = timm_classifier(2, name=NAME, embedding=embedding)
    kept = model.backbone.get_submodule("fc.0").weight if embedding else model.head.weight
    assert torch.equal(kept, last) == embedding
