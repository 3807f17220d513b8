"""Copies of a model, or of the layers after one of its layers, that share no parameters with it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from debias.errors import InputError
from debias.models.last_layers import OneLogit
from debias.models.layers import BACKBONE, evaluating, find_layer, read_layer, unwrapped
from debias.models.networks import linear_head


def twin(model: nn.Module, *, outputs: int | None = None, redrawn: bool = False) -> nn.Module:
    """Copy a classifier with its weights, but with a new random head. No parameter is shared.

    Args:
        model: maps images to :class:`debias.types.Outputs`. Its last layer must be an ``nn.Linear``
            called ``head``, as in :class:`debias.models.classifier.Classifier`. It is not changed.
        outputs: number of logits of the copy. ``None`` means as many as the model has.
        redrawn: draw new values of the other weights too, as for a new network: each layer by its
            ``reset_parameters``. Layers without this method, such as those that are a bare
            parameter, keep the weights of the model. Batch normalisation is then not frozen in the
            copy, because the statistics of a new network are still unknown.

    Raises:
        ValueError: the model has no ``nn.Linear`` called ``head``.
    """
    copied: Any = copy.deepcopy(model)
    head = linear_head(copied, of="a second network")
    if isinstance(head, OneLogit) and outputs is None:
        copied.head = OneLogit(head.in_features).to(head.weight)
    else:
        copied.head = nn.Linear(
            head.in_features,
            head.out_features if outputs is None else outputs,
            bias=head.bias is not None,
            device=head.weight.device,
            dtype=head.weight.dtype,
        )
    network: nn.Module = copied
    if redrawn:
        _redraw(network)
    return network


def _redraw(network: nn.Module) -> None:
    layer: Any
    for layer in network.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()
        if hasattr(layer, "freeze_batch_norm"):
            layer.freeze_batch_norm = False
    network.train(network.training)


def layers_after(model: nn.Module, layer: str, image: Tensor) -> nn.Sequential:
    """Copy the layers of a classifier between one layer and the features, as a sequence.

    These are the next siblings of the layer, then those of its parent, and so on up to the
    backbone. For a ViT, the pooling of tokens is added; for a network that flattens its pooled
    maps, this too. The result is checked on one image, because a network's forward may do more than
    call its layers in order.

    Args:
        model: a :class:`debias.models.classifier.Classifier`, or another model with a ``backbone``.
            It is not changed.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(1, 3, H, W)`` float; only the shape is used.

    Raises:
        ValueError: the layer does not exist, or the copied layers do not compute the features.
    """
    inner = unwrapped(model)
    siblings = _siblings_after(inner, find_layer(inner, layer))
    picture = torch.linspace(-2, 2, image.numel(), device=image.device).view_as(image)
    with evaluating(inner), torch.no_grad():
        outputs, activation = read_layer(inner, layer, picture)
        # the last two are code, not layers, in networks of torchvision and Hugging Face
        for ending in ((), (nn.Flatten(),), (_TokenPool("token", 1),)):
            after = copy.deepcopy(nn.Sequential(*siblings, *ending))
            if _gives(after, activation, outputs.features):
                return after
    raise InputError(
        f"the layers after {layer!r} of {type(inner).__name__} cannot be copied as a chain "
        "that ends in its features; name a stage of a convolutional network or a block of a "
        "ViT, or read it pooled or flattened"
    )


def _gives(after: nn.Module, activation: Tensor, features: Tensor) -> bool:
    with evaluating(after):
        try:
            found: Tensor = after(activation)
        # shapes that do not fit, or a layer that gives a tuple or needs more arguments
        except (RuntimeError, TypeError, AttributeError):
            return False
    same_shape = isinstance(found, Tensor) and found.shape == features.shape
    return same_shape and torch.allclose(found, features, rtol=1e-4, atol=1e-5)


class _TokenPool(nn.Module):
    """Pool ``(N, T, D)`` tokens to ``(N, D)``: the class token, or the mean of the patch tokens."""

    def __init__(self, kind: str, prefix: int) -> None:
        super().__init__()
        self.kind, self.prefix = kind, prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """``(N, D)`` pooled vectors of ``(N, T, D)`` tokens."""
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
    # timm's ViTs have only a name of their pooling, and do it in code; elsewhere it is a layer
    if pooling in ("token", "avg") and "norm" in names:
        pool = _TokenPool(str(pooling), int(getattr(module, "num_prefix_tokens", 0)))
        children.insert(names.index("norm") + 1, ("", pool))
    return children
