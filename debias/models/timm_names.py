"""What timm states about a model and its weights, by name."""

import timm

from debias.errors import InputError, near
from debias.models.small_receptive import NETWORKS


def check_name(name: str, pretrained: bool) -> None:
    """Check that timm has a model of this name.

    Args:
        name: timm's name of the model, with or without the tag of the weights.
        pretrained: whether the weights are needed.

    Raises:
        ValueError: timm has no such model or tag, or needed weights do not exist.
    """
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


def embedding_size(name: str, *, pretrained: bool) -> int:
    """Number of outputs of the last layer that timm's weights of a network have.

    Args:
        name: timm's name of the model, with or without the tag of the weights.
        pretrained: whether the weights are needed.

    Raises:
        ValueError: there is no such model, or its weights have no last layer.
    """
    if name not in NETWORKS:
        check_name(name, pretrained)
    stated = None if name in NETWORKS else timm.get_pretrained_cfg(name)
    size: int = getattr(stated, "num_classes", 0)
    if size == 0:
        raise InputError(
            f"model.embedding=true keeps the pretrained last layer, and timm's weights of {name!r} "
            "have none: leave model.embedding out"
        )
    return size
