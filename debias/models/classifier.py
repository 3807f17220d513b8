"""Classifiers made of any network: a backbone that gives features, and a linear head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from debias.errors import InputError, near
from debias.models.first_layer import train_first_layer
from debias.models.last_layers import make_head_of_state
from debias.models.layers import BACKBONE, evaluating, without_autocast
from debias.models.networks import (
    append_layer,
    as_linear,
    check_linear,
    check_normalisation,
    head_path,
    logits_of,
    set_pooling,
)
from debias.models.projection import NO_PROJECTION, Projection
from debias.models.small_receptive import NETWORKS
from debias.models.timm_names import check_name, embedding_size
from debias.models.weights import load_weights
from debias.types import Outputs

#: Key of the head's weight, which has two more dimensions in a network that ends in a convolution.
_HEAD = "head.weight"


class Classifier(nn.Module):
    """A network that returns logits and features.

    The last layer becomes ``head``, and an identity takes its place in the network. One pass gives
    features and logits, which equal those of the plain network in training and evaluation, also
    with dropout before the head. In evaluation the head computes in float32, also under autocast.
    Logits in bfloat16 are often equal, and the first class would then be predicted.

    The constructor takes networks of timm, and :meth:`wrap` those of torchvision, Hugging Face or
    your own.

    Attributes:
        backbone: the network without its last layer. It maps ``(N, 3, H, W)`` images to ``(N, D)``
            features.
        head: the last layer. You may replace it by any ``nn.Linear`` with D inputs, or by a head of
            :mod:`debias.models.last_layers` or :mod:`debias.models.projection`. A state dict with
            such a head replaces it too.
        head_path: dotted name that the last layer has in the network.
        feature_size: D.
        mean: mean of each channel that the weights expect, for pixels in [0, 1].
        std: standard deviation of each channel that the weights expect.
        checked: whether :meth:`check` has passed, or is not needed.

    Args:
        network: a network that ends in one linear layer, or in one 1x1 convolution on pooled
            features. The convolution becomes a linear layer with the same weights. The network is
            changed in place.
        head: dotted name of the last layer. ``None`` means the one that timm names.
        mean: mean of each channel. ``None`` means that of timm's ``pretrained_cfg`` if the network
            has it, and else ImageNet's.
        std: standard deviation of each channel, in the same way.
        freeze_batch_norm: whether batch normalisation stays in evaluation mode during training. Its
            running mean and variance are then those of the initial weights. Its scale and shift are
            still trained.

    Raises:
        ValueError: the network has several heads, as in distilled models, or no such last layer.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        head: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.freeze_batch_norm = freeze_batch_norm
        self.head_path = head or head_path(network)
        parent, _, name = self.head_path.rpartition(".")
        last = network.get_submodule(self.head_path)
        # "Any", because a head of last_layers can replace it
        self.head: Any = as_linear(last)
        before_loading: Any = self.register_load_state_dict_pre_hook  # has no annotations
        before_loading(make_head_of_state)
        self._kernel = getattr(last, "kernel_size", ())
        setattr(network.get_submodule(parent), name, nn.Identity())
        self.backbone = network
        self.feature_size: int = self.head.in_features
        pixels = resolve_model_data_config(network)
        self.mean: tuple[float, ...] = tuple(mean or pixels["mean"])
        self.std: tuple[float, ...] = tuple(std or pixels["std"])
        self.checked = head is None
        self.contiguous = False
        self._freeze()

    @classmethod
    def wrap(
        cls,
        network: nn.Module,
        head: str,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        freeze_batch_norm: bool = False,
    ) -> Classifier:
        """Wrap a network of torchvision, Hugging Face or your own.

        The network returns logits, or an object with ``logits``. The first pass checks that
        these are the outputs of ``head`` alone; see :meth:`check`.

        Args:
            network: maps ``(N, 3, H, W)`` images to ``(N, C)`` logits. It is changed in place.
            head: dotted name of its last layer, an ``nn.Linear``, such as "fc" or "classifier.1".
            mean: mean of each channel that its weights expect, for pixels in [0, 1]. ``None`` means
                ImageNet's, which all classifiers of torchvision expect. A Hugging Face model has no
                default: give ``processor.image_mean`` of its image processor.
            std: standard deviation of each channel; for Hugging Face ``processor.image_std``.
            freeze_batch_norm: whether batch normalisation stays in evaluation mode.

        Raises:
            ValueError: the network has no ``nn.Linear`` of this name, or mean and std are not three
                numbers each. Or both are absent, and the network is a Hugging Face model.
        """
        check_linear(network, head)
        check_normalisation(network, mean, std)
        return cls(network, head=head, mean=mean, std=std, freeze_batch_norm=freeze_batch_norm)

    def forward(self, image: Tensor) -> Outputs:
        """Logits ``(N, C)`` and features ``(N, D)`` of normalised images ``(N, 3, H, W)``.

        Raises:
            ValueError: the first pass of a wrapped network finds what :meth:`check` refuses.
        """
        image = image.contiguous() if self.contiguous else image
        checked = self.checked or torch.compiler.is_compiling()
        features = logits_of(self.backbone(image)) if checked else self._first(image)
        logits = self.head(features) if self.training else without_autocast(self.head, features)
        return Outputs(logits, features)

    @torch.no_grad()
    def check(self, image: Tensor) -> None:
        """Check that the logits of the network are the outputs of its head alone, if not checked.

        Args:
            image: ``(1, 3, H, W)`` float; only shape and memory format are used.

        Raises:
            ValueError: the network calls its head not once, or not on one vector of features, or
                changes its outputs, as by a softmax. Or it returns neither a tensor nor an object
                with ``logits``.
        """
        values = torch.linspace(-2, 2, image.numel(), device=image.device).view_as(image)
        with evaluating(self):
            self(torch.empty_like(image).copy_(values))

    def use_channels_last(self, image: Tensor) -> None:
        """Compute with channels last in memory if the network can, and :meth:`check` it.

        The results are the same, but depthwise networks train up to twice as fast on CPUs, and so
        do bfloat16 networks on GPUs. A network that flattens its maps by ``view`` cannot, and one
        without convolutions gains nothing, but would copy images to flatten them: ``contiguous`` is
        then true, and images are made contiguous.

        Args:
            image: ``(1, 3, H, W)`` float; only the shape is used.

        Raises:
            ValueError: see :meth:`check`.
        """
        if not any(isinstance(module, nn.Conv2d) for module in self.modules()):
            self.contiguous = True
            if not self.checked:
                self.check(image)
            return
        convert: Any = self.to  # some releases of torch do not declare the type of this argument
        convert(memory_format=torch.channels_last)
        if not self.checked:
            try:
                self.check(image.contiguous(memory_format=torch.channels_last))
            except RuntimeError:
                convert(memory_format=torch.contiguous_format)
                self.contiguous = True
                self.check(image)

    def _first(self, image: Tensor) -> Tensor:
        """Features of images, with the check of :meth:`check`."""
        returned: list[Tensor] = []
        slot = self.backbone.get_submodule(self.head_path)
        with slot.register_forward_hook(lambda _, __, output: returned.append(output)):
            features = logits_of(self.backbone(image))
        one_vector = [each.shape for each in returned] == [(len(image), self.feature_size)]
        if not (one_vector and torch.equal(features, returned[0])):
            shapes = " and ".join(str(tuple(each.shape)) for each in returned) or "nothing"
            raise InputError(
                f"{type(self.backbone).__name__} does not return the outputs of its layer "
                f"{self.head_path!r} on one vector of {self.feature_size} features (the layer "
                f"reads {shapes} from {tuple(image.shape)}): name its last layer, leave out what "
                "follows it, such as a softmax, or give images of the size that it needs"
            )
        self.checked = True
        return features

    def network_state_dict(self) -> dict[str, Tensor]:
        """The weights with the keys and shapes of the network before it was wrapped."""
        state = self.state_dict()
        return {
            name: state[key].unflatten(-1, (-1, *self._kernel)) if key == _HEAD else state[key]
            for name, key in self._keys().items()
        }

    def load_network_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load weights that have the keys of the network before it was wrapped.

        Raises:
            RuntimeError: a key is missing or unexpected, or a tensor has another shape.
        """
        keys = self._keys()
        named = {keys.get(name, name): value for name, value in state.items()}
        if _HEAD in named:
            named[_HEAD] = named[_HEAD].flatten(1)
        self.load_state_dict(named)

    def _keys(self) -> dict[str, str]:
        """Key in the wrapped network of each key of the plain one."""
        own = {f"{self.head_path}.{name}": f"head.{name}" for name in self.head.state_dict()}
        return {name: BACKBONE + name for name in self.backbone.state_dict()} | own

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
    pooling: str | None = None,
    first_layer: str | None = None,
    ridge: float = 0.1,
    embedding: bool = False,
    projection: Projection = NO_PROJECTION,
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
        pooling: pooling of the last maps or tokens: "max", "avg" or "avgmax" (their mean). ``None``
            means that of the network.
        first_layer: "tract" trains the first convolution by
            :class:`debias.models.first_layer.TrActConvolution`. ``None`` means the usual gradient.
        ridge: its :math:`\\lambda`, positive.
        embedding: whether the last layer of the weights stays, before a new one. The features are
            then its outputs: for an image tower of CLIP, the joint embedding of images and texts.
        projection: layers before the head; see :class:`~debias.models.projection.Projection`.

    Returns:
        The classifier, in training mode. If the weights have no head of ``outputs`` classes, the
        head is new, drawn from U(-1/sqrt(D), 1/sqrt(D)) for D features.

    Raises:
        ValueError: the model or its weights do not exist, the model has no single linear head, the
            file does not fit the model, or the weights cannot be downloaded. Or the model cannot
            have this pooling or first layer, or has no last layer for ``embedding``.
    """
    downloaded = pretrained and weights is None
    size = embedding_size(name, pretrained=downloaded) if embedding else outputs
    network = _network(size, name, pretrained=downloaded)
    if pooling is not None:
        set_pooling(network, pooling)
    if first_layer is not None:
        train_first_layer(network, first_layer, ridge=ridge)
    path = head_path(network)
    head: Any = network.get_submodule(path)
    trained_on: Any = network.pretrained_cfg
    if not (downloaded and trained_on["num_classes"] == size):
        # For two classes timm draws the heads of its EfficientNets and MobileNets from U(-0.71,
        # 0.71). Such large logits destroy the features in the first steps of fine-tuning.
        head.reset_parameters()
    if weights is not None:
        load_weights(network, Path(weights), head=None if embedding else path)
    last = append_layer(network, outputs) if embedding else path
    classifier = Classifier(network, head=last, freeze_batch_norm=freeze_batch_norm)
    classifier.checked = True  # as timm names the head; that of an attention pool reads tokens
    return projection.on(classifier)


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


def _network(outputs: int, name: str, *, pretrained: bool) -> nn.Module:
    if name in NETWORKS:
        if pretrained:
            raise InputError(
                f"no pretrained weights exist for {name!r}; set model.pretrained=false"
            )
        return NETWORKS[name](outputs)
    check_name(name, pretrained)
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
