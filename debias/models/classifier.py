"""Classifiers made of any timm model: a backbone that gives features, and a linear head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from debias.errors import InputError, near
from debias.models.layers import without_autocast
from debias.models.small_receptive import NETWORKS
from debias.models.weights import load_weights
from debias.types import Outputs


class Classifier(nn.Module):
    """A timm classifier that returns logits and features.

    The last layer becomes ``head``, and an identity takes its place in the network. One pass gives
    features and logits, which equal those of the plain network in training and evaluation, also
    with dropout before the head. In evaluation the head computes in float32, also under autocast.
    Logits in bfloat16 are often equal, and the first class would then be predicted.

    Attributes:
        backbone: the network without its last layer. It maps ``(N, 3, H, W)`` images to ``(N, D)``
            features.
        head: the last layer. You may replace it by any ``nn.Linear`` with D inputs.
        feature_size: D.
        mean: mean of each channel that the weights expect, for pixels in [0, 1].
        std: standard deviation of each channel that the weights expect.

    Args:
        network: a timm model that ends in one linear layer, or in one 1x1 convolution on pooled
            features. The convolution becomes a linear layer with the same weights. The network is
            changed in place.
        freeze_batch_norm: whether batch normalisation stays in evaluation mode during training. Its
            running mean and variance are then those of the initial weights. Its scale and shift are
            still trained.

    Raises:
        ValueError: the network has several heads, as in distilled models, or no such last layer.
    """

    def __init__(self, network: nn.Module, *, freeze_batch_norm: bool = False) -> None:
        super().__init__()
        self.freeze_batch_norm = freeze_batch_norm
        path = head_path(network)
        parent, _, name = path.rpartition(".")
        self.head = _as_linear(network.get_submodule(path))
        setattr(network.get_submodule(parent), name, nn.Identity())
        self.backbone = network
        self.feature_size: int = self.head.in_features
        pixels = resolve_model_data_config(network)
        self.mean: tuple[float, ...] = tuple(pixels["mean"])
        self.std: tuple[float, ...] = tuple(pixels["std"])
        self._freeze()

    def forward(self, image: Tensor) -> Outputs:
        """Logits ``(N, C)`` and features ``(N, D)`` of normalised images ``(N, 3, H, W)``."""
        features = self.backbone(image)
        logits = self.head(features) if self.training else without_autocast(self.head, features)
        return Outputs(logits, features)

    def train(self, mode: bool = True) -> Classifier:
        """Set the mode of every module. Frozen batch normalisation stays in evaluation mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        for module in self.modules() if self.freeze_batch_norm else ():
            if isinstance(module, _BatchNorm):
                module.training = False


def timm_classifier(
    outputs: int,
    *,
    name: str = "resnet50.tv_in1k",
    pretrained: bool = True,
    weights: str | None = None,
    freeze_batch_norm: bool = False,
) -> Classifier:
    """Any timm classifier, or a network with a small receptive field, with any weights.

    Args:
        outputs: number of logits.
        name: timm's name of the model. The part after the dot is the tag of the weights, which also
            determines mean and std. Or a key of ``debias.models.small_receptive.NETWORKS``.
        pretrained: whether to start from timm's weights, which are downloaded on first use. It is
            ignored if ``weights`` is given.
        weights: path of a local state dict with timm's keys (``.safetensors``, ``.pt`` or
            ``.pth``).
        freeze_batch_norm: whether batch normalisation stays in evaluation mode, as in
            :class:`Classifier`.

    Returns:
        The classifier, in training mode. If the weights have no head of ``outputs`` classes, the
        head is new, drawn from U(-1/sqrt(D), 1/sqrt(D)) for D features.

    Raises:
        ValueError: the model or its weights do not exist, the model has no single linear head, the
            file does not fit the model, or the weights cannot be downloaded.
    """
    downloaded = pretrained and weights is None
    network = _network(outputs, name, pretrained=downloaded)
    head: Any = network.get_submodule(head_path(network))
    trained_on: Any = network.pretrained_cfg
    if not (downloaded and trained_on["num_classes"] == outputs):
        # For two classes timm draws the heads of its EfficientNets and MobileNets from U(-0.71,
        # 0.71). Such large logits destroy the features in the first steps of fine-tuning.
        head.reset_parameters()
    if weights is not None:
        load_weights(network, Path(weights), head=head_path(network))
    return Classifier(network, freeze_batch_norm=freeze_batch_norm)


def small_receptive_classifier(outputs: int, *, name: str = "simple_conv_k1") -> Classifier:
    """A new classifier with a small receptive field, which returns ``Outputs``.

    Args:
        outputs: number of logits.
        name: a key of ``debias.models.small_receptive.NETWORKS``.

    Raises:
        ValueError: there is no network of this name. The message suggests similar names.
    """
    if name not in NETWORKS:
        raise InputError(f"no small-receptive-field network {name!r}; {near(name, NETWORKS)}")
    return Classifier(NETWORKS[name](outputs))


def head_path(network: nn.Module) -> str:
    """Dotted name of the last layer of a timm model, which computes its logits.

    Raises:
        ValueError: the model has several heads, or its last layer is neither linear nor a 1x1
            convolution.
    """
    classifier = getattr(network, "get_classifier", None)
    head = classifier() if callable(classifier) else None
    # only this entry shows the second head of VOLO
    names: Any = getattr(network, "pretrained_cfg", {}).get("classifier")
    several = isinstance(names, (tuple, list))
    if several or not (
        isinstance(head, nn.Linear) or (isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1))
    ):
        heads = " and ".join(names) if several else type(head).__name__
        raise InputError(
            f"{type(network).__name__} does not end in one linear layer (its head: {heads}), so "
            "its logits are not computed from one vector of features; choose another model (not a "
            "distilled one)"
        )
    paths: dict[nn.Module, str] = {module: path for path, module in network.named_modules()}
    return paths[head]


def _as_linear(layer: nn.Module) -> nn.Linear:
    if isinstance(layer, nn.Linear):
        return layer
    assert isinstance(layer, nn.Conv2d)
    linear = nn.Linear(layer.in_channels, layer.out_channels, bias=layer.bias is not None)
    state = layer.state_dict()
    linear.load_state_dict(state | {"weight": state["weight"].flatten(1)})
    return linear


def _network(outputs: int, name: str, *, pretrained: bool) -> nn.Module:
    if name in NETWORKS:
        if pretrained:
            raise InputError(
                f"no pretrained weights exist for {name!r}; set model.pretrained=false"
            )
        return NETWORKS[name](outputs)
    _check_name(name, pretrained)
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=outputs)
    except OSError as error:
        raise InputError(
            f"the weights of {name!r} could not be downloaded ({type(error).__name__}); set "
            "model.weights=PATH to a local file, or model.pretrained=false to start from new "
            "weights"
        ) from error
    assert isinstance(network, nn.Module)
    return network


def _check_name(name: str, pretrained: bool) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        names = near(architecture, timm.list_models(), "debias list models")
        raise InputError(f"timm has no model {name!r}; {names}")
    with_weights = timm.list_models(f"{architecture}.*", pretrained=True)
    tags = [model.partition(".")[2] for model in with_weights]
    if tag and tag not in tags:
        raise InputError(f"timm has no weights {tag!r} for {architecture!r}; {near(tag, tags)}")
    if pretrained and not tags:
        raise InputError(
            f"timm has no weights for {name!r}; set model.weights=PATH or model.pretrained=false"
        )
