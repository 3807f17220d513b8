"""Any timm classifier, split into a backbone that gives features and a linear head."""

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
    """A timm classifier that also returns the features its last layer reads.

    The last layer is taken out of the network, which then ends in an identity: features and logits
    come from one pass, and are those of the plain network in training and in evaluation, dropout
    before the head included. In evaluation the head computes in float32, also under autocast:
    logits of bfloat16 tie, and a tie is the first class.

    Attributes:
        backbone: the network without its last layer; ``(N, 3, H, W)`` images to ``(N, D)``
            features.
        head: the last layer; may be replaced by any ``nn.Linear`` with D inputs.
        feature_size: D.
        mean: mean of each channel that the weights expect, for pixels in [0, 1].
        std: standard deviation of each channel that the weights expect.

    Args:
        network: a timm model that ends in one linear layer, or in one 1x1 convolution on pooled
            features (which becomes a linear layer with the same weights). It is changed in place.
        freeze_batch_norm: whether batch normalisation is in evaluation mode in training, too. Its
            running mean and variance then stay those of the weights that training starts from; its
            scale and shift are trained.

    Raises:
        ValueError: the network ends in something else (several heads, as in distilled models; no
            head at all).
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
        """Logits ``(N, C)`` and features ``(N, D)`` of ``(N, 3, H, W)`` normalised images."""
        features = self.backbone(image)
        logits = self.head(features) if self.training else without_autocast(self.head, features)
        return Outputs(logits, features)

    def train(self, mode: bool = True) -> Classifier:
        """Set the mode of every module, but for batch normalisation that is frozen."""
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
    """Any timm classifier, or a network of small receptive field, by name, with any weights.

    Args:
        outputs: how many logits.
        name: timm's name of the model; what follows the dot says which weights, and so which mean
            and std. Or a key of ``debias.models.small_receptive.NETWORKS``.
        pretrained: start from timm's weights, which are downloaded on first use. Not looked at with
            ``weights``.
        weights: path of a local state dict with timm's keys (``.safetensors``, ``.pt`` or
            ``.pth``).
        freeze_batch_norm: see :class:`Classifier`.

    Returns:
        The classifier, in training mode; its head is new, drawn from U(-1/sqrt(D), 1/sqrt(D)) for D
        features, unless the weights hold one of ``outputs`` classes.

    Raises:
        ValueError: no such model or weights; a model without a single linear head; a file that does
            not fit; weights that cannot be downloaded.
    """
    downloaded = pretrained and weights is None
    network = _network(outputs, name, pretrained=downloaded)
    head: Any = network.get_submodule(head_path(network))
    trained_on: Any = network.pretrained_cfg
    if not (downloaded and trained_on["num_classes"] == outputs):
        # timm draws the heads of its EfficientNets and MobileNets for two classes from U(-0.71,
        # 0.71): logits so large that the first steps of fine-tuning destroy the features
        head.reset_parameters()
    if weights is not None:
        load_weights(network, Path(weights), head=head_path(network))
    return Classifier(network, freeze_batch_norm=freeze_batch_norm)


def small_receptive_classifier(outputs: int, *, name: str = "simple_conv_k1") -> Classifier:
    """A new network of a small receptive field by name, which returns ``Outputs``.

    Args:
        outputs: how many logits.
        name: a key of ``debias.models.small_receptive.NETWORKS``.

    Raises:
        ValueError: there is no such network; the message names the nearest.
    """
    if name not in NETWORKS:
        raise InputError(f"no small-receptive-field network {name!r}; {near(name, NETWORKS)}")
    return Classifier(NETWORKS[name](outputs))


def head_path(network: nn.Module) -> str:
    """Dotted name of the one layer that gives a timm model's logits.

    Raises:
        ValueError: the model has no such layer, or several.
    """
    classifier = getattr(network, "get_classifier", None)
    head = classifier() if callable(classifier) else None
    # VOLO names a second head here alone
    names: Any = getattr(network, "pretrained_cfg", {}).get("classifier")
    several = isinstance(names, (tuple, list))
    if several or not (
        isinstance(head, nn.Linear) or (isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1))
    ):
        found = " and ".join(names) if several else type(head).__name__
        raise InputError(
            f"{type(network).__name__} does not end in one linear layer (its head: {found}), so it "
            "has no single features its logits are read from; choose another model (not a "
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
            raise InputError(f"there are no weights for {name!r}; set model.pretrained=false")
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
        known = near(architecture, timm.list_models(), "debias list models")
        raise InputError(f"timm has no model {name!r}; {known}")
    with_weights = timm.list_models(f"{architecture}.*", pretrained=True)
    tags = [model.partition(".")[2] for model in with_weights]
    if tag and tag not in tags:
        raise InputError(f"timm has no weights {tag!r} for {architecture!r}; {near(tag, tags)}")
    if pretrained and not tags:
        raise InputError(
            f"timm has no weights for {name!r}; set model.weights=PATH or model.pretrained=false"
        )
