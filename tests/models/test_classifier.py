"""The logits are the plain network's, the features what the head read, over timm's families."""

from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import Tensor, nn

from debias.models.classifier import Classifier, timm_classifier

# (name, feature size, options that make it small); together they cover the ways timm lays out a
# head.
FAMILIES: dict[str, tuple[int, dict[str, object]]] = {
    "resnet10t": (512, {}),
    "test_resnet": (96, {}),
    "resnetv2_18": (512, {}),
    "test_efficientnet": (256, {}),
    "tf_efficientnet_lite0": (1280, {}),
    "mobilenetv3_small_050": (1024, {}),
    "test_vit": (64, {"img_size": 64}),
    "test_convnext": (64, {}),
    "convnext_atto": (320, {}),
    "swin_tiny_patch4_window7_224": (
        128,
        {"img_size": 64, "window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1)},
    ),
    "densenet121": (32, {"growth_rate": 8, "block_config": (2, 2, 2, 2)}),
    "regnetx_002": (368, {}),
    "test_byobnet": (256, {}),
    "test_nfnet": (192, {}),
}


def _network(name: str, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=3, drop_rate=dropout, **FAMILIES[name][1])
    assert isinstance(network, nn.Module)
    return network


def _image() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_the_plain_networks(name: str, training: bool) -> None:
    """Same seed before both passes, so that dropout (0.5 before the head) draws the same units;
    equal bit for bit, except where a 1x1 convolution became a linear layer and sums in another
    order."""
    image = _image()
    plain = _network(name, dropout=0.5).train(training)
    torch.manual_seed(2)
    expected = plain(image)
    classifier = Classifier(_network(name, dropout=0.5)).train(training)
    torch.manual_seed(2)
    logits, features = classifier(image)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    assert features.shape == (2, FAMILIES[name][0]) == (2, classifier.feature_size)
    assert torch.equal(classifier.head(features), logits)


@pytest.mark.parametrize(
    "name", ["resnet10t", "test_vit", "test_convnext", "mobilenetv3_small_050"]
)
def test_features_are_timms_pre_logits(name: str) -> None:
    network = _network(name).eval()
    image = _image()
    pre_logits = network.forward_head(network.forward_features(image), pre_logits=True)  # type: ignore[operator]
    assert torch.equal(Classifier(network)(image).features, pre_logits)


def test_features_in_training_are_after_dropout() -> None:
    """The head reads what dropout left: at 0.5 the surviving features are doubled, others 0."""
    network = _network("test_vit", dropout=0.5)
    classifier = Classifier(network)
    kept = classifier.train()(_image()).features
    whole = classifier.eval()(_image()).features
    assert 0.3 < (kept == 0).float().mean() < 0.7
    torch.testing.assert_close(kept[kept != 0], 2 * whole[kept != 0])


def test_gradients_are_the_plain_networks() -> None:
    plain = _network("test_resnet")
    classifier = Classifier(_network("test_resnet"))
    plain(_image()).square().sum().backward()
    classifier(_image()).logits.square().sum().backward()
    expected = [parameter.grad for parameter in plain.parameters()]
    # The head is the classifier's first submodule and the network's last.
    found = [
        parameter.grad
        for part in (classifier.backbone, classifier.head)
        for parameter in part.parameters()
    ]
    assert len(found) == len(expected)
    assert all(
        torch.equal(a, b)
        for a, b in zip(found, expected, strict=True)
        if a is not None and b is not None
    )


def test_head_can_be_replaced() -> None:
    classifier = Classifier(_network("test_resnet")).eval()
    head = nn.Linear(classifier.feature_size, 7)
    classifier.head = head
    outputs = classifier(_image())
    assert torch.equal(outputs.logits, head(outputs.features))
    assert set(classifier.state_dict()) >= {"head.weight", "head.bias"}
    assert not any("fc" in key for key in classifier.state_dict())


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "mobilenetv3_small_050", "resnet10t", "resnetv2_18"]
)
def test_a_new_head_is_small(name: str) -> None:
    """U(-1/sqrt(D), 1/sqrt(D)) in every family; timm's EfficientNet head of two reaches 0.707."""
    weight = timm_classifier(2, name=name, pretrained=False).head.weight
    bound = weight.shape[1] ** -0.5
    assert 0.9 * bound < weight.abs().max().item() <= bound


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("deit_tiny_distilled_patch16_224", "head and head_dist"),
        ("levit_128s", "head.linear and head_dist.linear"),
        ("crossvit_tiny_240", "head.0 and head.1"),
        ("volo_d1_224", "head and aux_head"),
        ("repvit_m0_9", "head.head.l and head.head_dist.l"),
        ("sequencer2d_s", "ClassifierHead"),
    ],
)
def test_several_heads_are_refused(name: str, heads: str) -> None:
    with pytest.raises(ValueError, match=f"does not end in one linear layer .its head: {heads}"):
        timm_classifier(2, name=name, pretrained=False)


def test_any_module_without_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match="Sequential does not end in one linear layer"):
        Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def test_mean_and_std_follow_the_named_weights() -> None:
    half, imagenet = (0.5, 0.5, 0.5), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    lite = timm_classifier(2, name="tf_efficientnet_lite0", pretrained=False)
    resnet = timm_classifier(2, name="resnet18.tv_in1k", pretrained=False)
    assert (lite.mean, lite.std) == (half, half)
    assert (resnet.mean, resnet.std) == imagenet


def test_the_tag_chooses_mean_and_std_with_local_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), path)
    shape = timm_classifier(2, name="vit_tiny_patch16_224.augreg_in21k_ft_in1k", weights=str(path))
    assert shape.mean == (0.5, 0.5, 0.5)
    assert timm_classifier(2, name="vit_small_patch14_dinov2.lvd142m", pretrained=False).mean == (
        0.485,
        0.456,
        0.406,
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "resnt50",
            (
                "timm has no model 'resnt50'; did you mean 'resnet50' or .*`debias list models` "
                "lists them"
            ),
        ),
        ("zzzzzzzzzz", "debias list models"),
        ("resnet50.tv_in1", "no weights 'tv_in1' for 'resnet50'; did you mean 'tv_in1k'"),
        (
            "resnetv2_50d",
            "no weights for 'resnetv2_50d'; set model.weights=PATH or model.pretrained=false",
        ),
    ],
)
def test_an_unknown_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timm_classifier(2, name=name)


def test_a_failed_download_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str, *, pretrained: bool, num_classes: int) -> nn.Module:
        assert (name, pretrained, num_classes) == ("resnet18.tv_in1k", True, 2)
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        ValueError, match=r"'resnet18.tv_in1k' could not be downloaded.*model\.weights=PATH"
    ):
        timm_classifier(2, name="resnet18.tv_in1k")


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "resnet10t"])
def test_frozen_batch_norm_keeps_its_statistics_through_every_train(name: str) -> None:
    """In training mode the outputs are those of evaluation mode; shifts are trained, running
    statistics are not.
    """
    classifier = timm_classifier(3, name=name, pretrained=False, freeze_batch_norm=True)
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    statistics = [key for key in before if "running" in key or "num_batches" in key]
    assert len(statistics) > 6
    expected = classifier.eval()(_image()).logits
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1)
    for whole in (classifier, nn.Sequential(classifier)):
        whole.train()
        assert classifier.training
        assert classifier.backbone.training
    torch.testing.assert_close(classifier(_image()).logits, expected)
    classifier(_image()).logits.square().sum().backward()
    optimizer.step()
    after = classifier.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in statistics)
    shifts = [key.replace("running_mean", "bias") for key in statistics if "running_mean" in key]
    assert not torch.equal(before[shifts[-1]], after[shifts[-1]])


def test_batch_norm_learns_its_statistics_unless_it_is_frozen() -> None:
    classifier = timm_classifier(3, name="test_resnet", pretrained=False)
    before = {
        key: value.clone() for key, value in classifier.state_dict().items() if "running" in key
    }
    classifier.train()(_image())
    assert not any(
        torch.equal(value, classifier.state_dict()[key]) for key, value in before.items()
    )


def test_the_head_is_evaluated_in_float32_under_autocast() -> None:
    """Logits of bfloat16 have 8 bits: of 4,096 images with near logits many tie; not in float32.

    In training the head stays under autocast, as the rest of the network.
    """
    classifier = Classifier(_network("test_resnet"))
    classifier.head = nn.Linear(classifier.feature_size, 2)
    nn.init.constant_(classifier.head.bias, 4.0)
    features = torch.rand(4096, classifier.feature_size, generator=torch.Generator().manual_seed(3))
    classifier.backbone = nn.Linear(classifier.feature_size, classifier.feature_size)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        trained = classifier.train()(features)
        found = classifier.eval()(features)
    assert trained.logits.dtype == trained.features.dtype == found.features.dtype == torch.bfloat16
    assert found.logits.dtype == torch.float32
    assert torch.equal(found.logits, classifier.head(found.features.float()))
    ties = [int((logits[:, 0] == logits[:, 1]).sum()) for logits in (trained.logits, found.logits)]
    assert ties[0] > 8
    assert ties[1] == 0
