"""What a named layer of a model gives: in the model's own forward pass, or up to that layer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from debias.errors import InputError, near
from debias.types import Outputs

#: Where :class:`debias.models.classifier.Classifier` keeps the timm network, whose own names are
#: accepted too.
BACKBONE = "backbone."

Found = TypeVar("Found")


class Reading(NamedTuple):
    """A model's outputs, and what one of its layers gave on the way: ``(N, ...)``."""

    outputs: Outputs
    activation: Tensor


class _Stop(Exception):
    """Ends a forward pass at the layer that was asked for."""


def read_layer(model: nn.Module, layer: str | None, image: Tensor) -> Reading:
    """Outputs of a model and the activation of a layer, by one forward pass, with gradients.

    Args:
        model: maps images to :class:`debias.types.Outputs`; not compiled, or a hook may never be
            called.
        layer: dotted name, as in ``model.named_modules()`` or in the timm network ("layer4",
            "blocks.3"); ``None`` reads the features of the outputs.
        image: ``(N, 3, H, W)`` float.

    Returns:
        Activations of layers that keep channels last (Swin, Hiera) come as ``(N, C, H, W)`` too.

    Raises:
        ValueError: there is no such layer, or it is not called exactly once.
    """
    if layer is None:
        outputs: Outputs = model(image)
        return Reading(outputs, outputs.features)
    found: list[Tensor] = []
    with _hook(model, layer, found.append):
        outputs = model(image)
    return Reading(outputs, _only(found, layer))


def read_until(model: nn.Module, layer: str | None, image: Tensor) -> Tensor:
    """Activation of a layer; what comes after it is not computed, and its buffers do not move.

    Args:
        model: any module, not compiled. In DistributedDataParallel, which must see a pass to its
            end, all is computed.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(N, 3, H, W)`` float.

    Raises:
        ValueError: there is no such layer, or it is not called.
    """
    if layer is None or unwrapped(model) is not model:
        return read_layer(model, layer, image).activation
    found: list[Tensor] = []

    def stop(activation: Tensor) -> None:
        """Keep the activation, and compute no further."""
        found.append(activation)
        raise _Stop

    with _hook(model, layer, stop), suppress(_Stop):
        model(image)
    return _only(found, layer)


def layer_shape(model: nn.Module, layer: str | None, image: Tensor) -> tuple[int, ...]:
    """Shape of a layer's activation of one sample: ``(C, H, W)``, ``(T, D)`` or ``(D,)``. The model
    is left as it was.

    Args:
        model: maps images to :class:`debias.types.Outputs`.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(1, 3, H, W)`` float.

    Raises:
        ValueError: there is no such layer; it is not called exactly once; it gives no tensor; or
            what follows overwrites its output in place, so that it cannot be read.
    """
    versions: list[tuple[Tensor, int]] = []
    with evaluating(model), torch.no_grad():
        if layer is None:
            return tuple(read_layer(model, None, image).activation.shape[1:])
        with _hook(model, layer, lambda given: versions.append((given, given._version))):
            model(image)
    activation, version = _only(versions, layer)
    if activation._version != version:
        raise InputError(
            f"what follows layer {layer!r} overwrites its output in place; name the block around "
            "it, or the layer after"
        )
    return tuple(activation.shape[1:])


def early_parameters(model: nn.Module, layer: str, image: Tensor) -> tuple[str, ...]:
    """Names of the trainable parameters that a layer's activation depends on, in the model's order.

    Args:
        model: any module; left as it was.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(1, 3, H, W)`` float.

    Raises:
        ValueError: as for :func:`read_until`, or nothing that can be trained comes before the
            layer.
    """
    inner = unwrapped(model)
    named = {name: each for name, each in inner.named_parameters() if each.requires_grad}
    with evaluating(inner), torch.enable_grad():
        activation = read_until(inner, layer, image)
        if not activation.requires_grad:
            raise InputError(
                f"layer {layer!r} depends on no parameter that can be trained: name a later one"
            )
        gradients = torch.autograd.grad(activation.sum(), list(named.values()), allow_unused=True)
    found = zip(named, gradients, strict=True)
    return tuple(name for name, gradient in found if gradient is not None)


def pooled(activation: Tensor) -> Tensor:
    """``(N, C)`` mean over the places ``(N, C, H, W)`` or all tokens ``(N, T, C)``.

    ``(N, C)`` features stay as they are.
    """
    if activation.ndim == 3:
        return activation.mean(dim=1)
    return activation.flatten(2).mean(dim=2) if activation.ndim > 3 else activation


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel, or itself."""
    inner: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    return inner


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """The layer of a dotted name, which may leave out the leading "backbone.".

    Raises:
        ValueError: there is none; the message lists the nearest names, or the first where none is
            near.
    """
    modules: dict[str, nn.Module] = dict(unwrapped(model).named_modules())
    modules.pop("")
    chosen: nn.Module | None = modules.get(layer, modules.get(BACKBONE + layer))
    if chosen is None:
        names = [name.removeprefix(BACKBONE) for name in modules]
        raise InputError(
            f"{type(unwrapped(model)).__name__} has no layer {layer!r}; {near(layer, names)}"
        )
    return chosen


def gives_channels_last(model: nn.Module, layer: nn.Module) -> bool:
    """Whether a layer of a timm network gives maps as ``(N, H, W, C)``, as those of Swin."""
    network = getattr(unwrapped(model), "backbone", None)
    return getattr(network, "output_fmt", "NCHW") == "NHWC" and not isinstance(layer, nn.Conv2d)


@contextmanager
def evaluating(model: nn.Module, kind: type[nn.Module] = nn.Module) -> Iterator[None]:
    """Modules of one kind (or all) in evaluation mode inside; their own mode is restored."""
    modes = [(module, module.training) for module in model.modules() if isinstance(module, kind)]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def without_autocast(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What a layer makes of inputs in the precision of its own weights, also under autocast."""
    with torch.autocast(inputs.device.type, enabled=False):
        result: Tensor = layer(inputs.to(next(layer.parameters()).dtype))
    return result


@contextmanager
def _hook(model: nn.Module, layer: str, receive: Callable[[Tensor], None]) -> Iterator[None]:
    chosen = find_layer(model, layer)
    channels_last = gives_channels_last(model, chosen)

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        """Hand the layer's output on, channels first."""
        if not isinstance(output, Tensor):
            raise InputError(
                f"layer {layer!r} gives a {type(output).__name__}, not a tensor: name another"
            )
        receive(output.permute(0, 3, 1, 2) if channels_last and output.ndim == 4 else output)

    with chosen.register_forward_hook(hook):
        yield


def _only(found: list[Found], layer: str) -> Found:
    if len(found) != 1:
        raise InputError(
            f"layer {layer!r} was called {len(found)} times in one forward pass, not once: name "
            "another (in a compiled model, none is seen to be called)"
        )
    return found[0]
