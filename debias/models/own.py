"""Classifiers from a function that makes a network: one of torchvision, or the user's own."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import nn
from torchvision.models import get_model_weights

from debias.errors import InputError
from debias.models.classifier import Classifier
from debias.models.networks import check_normalisation
from debias.models.projection import NO_PROJECTION, Projection
from debias.models.weights import fitted, read_state_dict

log = logging.getLogger(__name__)

#: Arguments of such a function that get the number of logits, if it has one of them.
OUTPUTS = ("outputs", "num_classes")


def own_classifier(
    make: Callable[..., nn.Module],
    options: Mapping[str, Any],
    outputs: int,
    *,
    name: str,
    head: str | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    pretrained: bool | None = None,
    weights: str | None = None,
    freeze_batch_norm: bool = False,
    projection: Projection = NO_PROJECTION,
) -> Classifier:
    """A classifier from a function that makes a network; see :meth:`Classifier.wrap`.

    Args:
        make: the function, or a class. It gets the number of logits as ``outputs`` or
            ``num_classes``, and ``pretrained``, if it has such arguments. It may also return a
            :class:`Classifier`, which is then used as it is.
        options: further arguments of ``make``.
        outputs: number of logits. A head with another number is replaced by a new one.
        name: the text "module:function" that names ``make``, for messages.
        head: dotted name of the last layer. ``None`` is allowed for networks of timm.
        mean: mean of each channel that the weights expect. ``None`` means that of torchvision's
            weights, and else as in :meth:`Classifier.wrap`.
        std: standard deviation of each channel, in the same way.
        pretrained: whether to start from trained weights. ``None`` means the default of ``make``;
            for torchvision it means true. Those are its default weights of the network, downloaded
            on first use. It is false if ``weights`` is given.
        weights: path of a local state dict with the keys of the network, or the name of weights of
            torchvision, such as "IMAGENET1K_V1".
        freeze_batch_norm: whether batch normalisation stays in evaluation mode.
        projection: layers before the head; see :class:`~debias.models.projection.Projection`.

    Raises:
        ValueError: the function returns no ``nn.Module``, ``head`` does not name its last layer,
            the weights cannot be downloaded or do not fit, or :meth:`Classifier.wrap` refuses.
    """
    known = _torchvision_weights(make)
    given = _facts(make, outputs, pretrained if weights is None else False)
    if known:
        named = weights if weights in known.__members__ else "DEFAULT"
        pixels = known[named].transforms()
        mean, std = mean or getattr(pixels, "mean", None), std or getattr(pixels, "std", None)
        if weights == named or (weights is None and pretrained is not False):
            given, weights = given | {"weights": named}, None
    classifier = _classifier(_made(make, {**given, **options}, name), head, mean, std)
    classifier.freeze_batch_norm |= freeze_batch_norm
    _fit_head(classifier, outputs, name)
    if weights is not None:
        state, own = read_state_dict(Path(weights)), classifier.network_state_dict()
        found = fitted(state, own, source=weights, head=classifier.head_path)
        classifier.load_network_state_dict(found)
    return projection.on(classifier).train()


def _facts(make: Callable[..., nn.Module], outputs: int, pretrained: bool | None) -> dict[str, Any]:
    """Those arguments of a function that debias gives."""
    arguments = inspect.signature(make).parameters
    facts: dict[str, Any] = {name: outputs for name in OUTPUTS if name in arguments}
    if own := arguments.get("pretrained"):
        default = True if own.default is own.empty else own.default
        facts["pretrained"] = default if pretrained is None else pretrained
    return facts


def _torchvision_weights(make: Callable[..., nn.Module]) -> Any:
    """The names of trained weights that exist for a network of torchvision; ``None`` for others."""
    if make.__module__.startswith("torchvision.models."):
        return get_model_weights(make)
    return None


def _made(make: Callable[..., nn.Module], arguments: Mapping[str, Any], name: str) -> nn.Module:
    try:
        network = make(**arguments)
    except URLError as error:
        raise InputError(
            f"the weights of {name!r} could not be downloaded ({type(error).__name__}); set "
            "model.weights=PATH to a local file, or model.pretrained=false to start from new "
            "weights"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{name} must return an nn.Module; it returned {type(network).__name__}")
    return network


def _classifier(
    network: nn.Module, head: str | None, mean: list[float] | None, std: list[float] | None
) -> Classifier:
    if isinstance(network, Classifier):
        if head or mean or std:
            raise InputError(
                "the function of model.name returns a Classifier, which has a head, mean and std: "
                "leave out model.head, model.mean and model.std"
            )
        return network
    if head is None and hasattr(network, "get_classifier"):
        check_normalisation(network, mean, std)
        return Classifier(network, mean=mean, std=std)
    return Classifier.wrap(network, head or "", mean=mean, std=std)


def _fit_head(classifier: Classifier, outputs: int, name: str) -> None:
    """Replace a head with another number of logits by a new one."""
    head = classifier.head
    if head.out_features != outputs:
        log.info(
            "%s has no head of %d classes: %r gets new weights", name, outputs, classifier.head_path
        )
        classifier.head = nn.Linear(head.in_features, outputs, bias=head.bias is not None)
