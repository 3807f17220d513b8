"""Copies of a model, or of its layers after one, that are trained apart from it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.models.layers import BACKBONE, evaluating, find_layer, read_layer, unwrapped


def twin(model: nn.Module, *, outputs: int | None = None) -> nn.Module:
    """A copy of a classifier, no parameter shared: the same weights, but a newly drawn head.

    Args:
        model: maps images to :class:`debias.types.Outputs`; its last layer is the ``nn.Linear``
            that it calls ``head``, as that of :class:`debias.models.classifier.Classifier`. Left as
            it is.
        outputs: logits of the copy; ``None`` for as many as the model has.

    Raises:
        ValueError: the model has no such layer.
    """
    copied: Any = copy.deepcopy(model)
    head = getattr(copied, "head", None)
    if not isinstance(head, nn.Linear):
        raise InputError(
            f"{type(model).__name__} has no nn.Linear called head, so no second network is made of "
            "it"
        )
    copied.head = nn.Linear(
        head.in_features,
        head.out_features if outputs is None else outputs,
        bias=head.bias is not None,
        device=head.weight.device,
        dtype=head.weight.dtype,
    )
    network: nn.Module = copied
    return network


def layers_after(model: nn.Module, layer: str, image: Tensor) -> nn.Sequential:
    """A copy, with its own weights, of a classifier's layers between a layer and its features.

    They are the siblings that come after the layer, then after its parent, up to the backbone; a
    ViT of timm pools its tokens behind its last norm. That these compute the features is not taken
    for granted but checked on a picture, since a network's code may do more than call them.

    Args:
        model: a :class:`debias.models.classifier.Classifier`, or any with a ``backbone``; left as
            it was.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(1, 3, H, W)`` float, for its shape.

    Raises:
        ValueError: there is no such layer, or the layers after it do not give the features.
    """
    inner = unwrapped(model)
    after = copy.deepcopy(nn.Sequential(*_siblings_after(inner, find_layer(inner, layer))))
    picture = torch.linspace(-2, 2, image.numel(), device=image.device).view_as(image)
    with evaluating(inner), evaluating(after), torch.no_grad():
        outputs, activation = read_layer(inner, layer, picture)
        try:
            same = torch.allclose(after(activation), outputs.features, rtol=1e-4, atol=1e-5)
        # shapes that do not fit, or a layer that wants more arguments
        except (RuntimeError, TypeError):
            same = False
    if not same:
        raise InputError(
            f"the layers after {layer!r} of {type(inner).__name__} cannot be copied as a chain "
            "that ends in its features; name a stage of a convolutional network or a block of a "
            "ViT, or read it pooled or flattened"
        )
    return after


class _TokenPool(nn.Module):
    """``(N, T, D)`` tokens to ``(N, D)``: the class token, or the mean of those of the picture."""

    def __init__(self, kind: str, prefix: int) -> None:
        super().__init__()
        self.kind, self.prefix = kind, prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """One vector an image."""
        return tokens[:, 0] if self.kind == "token" else tokens[:, self.prefix :].mean(dim=1)


def _siblings_after(model: nn.Module, layer: nn.Module) -> list[nn.Module]:
    backbone = model.get_submodule(BACKBONE.rstrip("."))
    path = next((name for name, module in backbone.named_modules() if module is layer), "")
    after: list[nn.Module] = []
    while path:
        parent, _, name = path.rpartition(".")
        children = _children(backbone.get_submodule(parent))
        names = [key for key, _ in children]
        after += [child for _, child in children[names.index(name) + 1 :]]
        path = parent
    return after


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    children, pooling = list(module.named_children()), getattr(module, "global_pool", None)
    names = [name for name, _ in children]
    # timm's ViTs name their pooling by a string and do it in code; those of convolutional networks
    # are layers
    if pooling in ("token", "avg") and "norm" in names:
        pool = _TokenPool(str(pooling), int(getattr(module, "num_prefix_tokens", 0)))
        children.insert(names.index("norm") + 1, ("", pool))
    return children
