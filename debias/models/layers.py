"""Reads the activation of a named layer, in a whole or a partial forward pass, or changes it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from debias.errors import InputError, near
from debias.types import Outputs

#: Prefix of the layers of the network in a :class:`debias.models.classifier.Classifier`. Names
#: of layers may leave it out.
BACKBONE = "backbone."

Item = TypeVar("Item")


class Reading(NamedTuple):
    """A model's outputs, and the ``(N, ...)`` activation of one layer in the same forward pass."""

    outputs: Outputs
    activation: Tensor


class LayerChange:
    """A forward hook that changes the output of a named layer in every training pass of a model.

    It does nothing while the model is in evaluation mode. A deep copy of the model has its own.
    :meth:`remove` ends it.

    Args:
        model: any module, not compiled. The layer gets the hook, and keeps it.
        layer: dotted name, as for :func:`read_layer`.
        change: gets what enters the layer, and its output as ``(N, C, H, W)``, ``(N, T, D)`` or
            ``(N, D)``. It returns a tensor of the same shape.

    Raises:
        ValueError: the layer does not exist; or in training, it gives no tensor.
    """

    def __init__(
        self, model: nn.Module, layer: str, change: Callable[[tuple[Any, ...], Tensor], Tensor]
    ) -> None:
        self.model, self.layer, self.change = unwrapped(model), layer, change
        chosen = find_layer(model, layer)
        self.channels_last = gives_channels_last(model, chosen)
        self.remove = chosen.register_forward_hook(self).remove

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        """The changed output of the layer, or its output itself in evaluation mode."""
        if not self.model.training:
            return output
        given = _activation(self.layer, output)
        last = self.channels_last and given.ndim == 4
        changed = self.change(inputs, given.permute(0, 3, 1, 2) if last else given)
        changed = changed.permute(0, 2, 3, 1) if last else changed
        return (changed, *output[1:]) if isinstance(output, tuple) else changed


class _Stop(Exception):
    """Raised in a hook to end a forward pass after the layer that is read."""


def read_layer(model: nn.Module, layer: str | None, image: Tensor) -> Reading:
    """Outputs of a model and the activation of a layer, from one forward pass, with gradients.

    Args:
        model: maps images to :class:`debias.types.Outputs`. It must not be compiled, because its
            hooks may then never be called.
        layer: dotted name, as in ``model.named_modules()`` or in the wrapped network ("layer4",
            "blocks.3"). ``None`` reads the features of the outputs.
        image: ``(N, 3, H, W)`` float.

    Returns:
        Outputs and activation. Maps are ``(N, C, H, W)``, also those of layers that compute with
        channels last (Swin, Hiera). Of a tuple the first entry is read.

    Raises:
        ValueError: the layer does not exist, is not called exactly once, or gives no tensor.
    """
    if layer is None:
        outputs: Outputs = model(image)
        return Reading(outputs, outputs.features)
    activations: list[Tensor] = []
    with _hook(model, layer, activations.append):
        outputs = model(image)
    return Reading(outputs, _only(activations, layer))


def read_layers(model: nn.Module, layers: Sequence[str], image: Tensor) -> list[Tensor]:
    """Activations of several layers, from one forward pass, with gradients.

    The head is not computed: ``torch.export`` cannot write a head whose logits nobody reads.

    Args:
        model: any module, not compiled. In DistributedDataParallel the whole pass is computed.
        layers: dotted names, as for :func:`read_layer`.
        image: ``(N, 3, H, W)`` float.

    Raises:
        ValueError: a layer does not exist, is not called exactly once, or gives no tensor.
    """
    activations: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with ExitStack() as hooks:
        for layer, calls in activations.items():
            hooks.enter_context(_hook(model, layer, calls.append))
        whole = unwrapped(model) is not model
        network: nn.Module = model if whole else getattr(model, BACKBONE.rstrip("."), model)
        network(image)
    return [_only(activations[layer], layer) for layer in layers]


def read_until(model: nn.Module, layer: str | None, image: Tensor) -> Tensor:
    """Activation of a layer, by a forward pass that ends at this layer.

    Later layers are not computed, and their buffers do not change.

    Args:
        model: any module, not compiled. In DistributedDataParallel the whole pass is computed,
            because it must see the end of each pass.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(N, 3, H, W)`` float.

    Raises:
        ValueError: the layer does not exist, is not called, or gives no tensor.
    """
    if layer is None or unwrapped(model) is not model:
        return read_layer(model, layer, image).activation
    activations: list[Tensor] = []

    def stop(activation: Tensor) -> None:
        """Store the activation, and end the forward pass."""
        activations.append(activation)
        raise _Stop

    with _hook(model, layer, stop), suppress(_Stop):
        model(image)
    return _only(activations, layer)


def layer_shape(model: nn.Module, layer: str | None, image: Tensor) -> tuple[int, ...]:
    """Shape of a layer's activation for one sample: ``(C, H, W)``, ``(T, D)`` or ``(D,)``.

    Args:
        model: maps images to :class:`debias.types.Outputs`. It is not changed.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(1, 3, H, W)`` float.

    Raises:
        ValueError: the layer does not exist, is not called exactly once, gives no tensor, or a
            later layer overwrites its output in place.
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
            f"a later layer overwrites the output of layer {layer!r} in place: name the block "
            "around the layer, or the next layer"
        )
    return tuple(activation.shape[1:])


def pooled_layer(model: nn.Module, image: Tensor) -> str:
    """Name of the last layer whose maps, averaged over positions, are the features of a model.

    A class activation map (CAM) is then the sum of these maps, weighted by a row of the head.

    Args:
        model: maps images to :class:`debias.types.Outputs`. It is not changed.
        image: ``(1, 3, H, W)`` float; only the shape is used.

    Raises:
        ValueError: the model has no such layer.
    """
    inner = unwrapped(model)
    backbone = inner.get_submodule(BACKBONE.rstrip("."))
    names: dict[nn.Module, str] = {each: name for name, each in backbone.named_modules() if name}
    found: list[tuple[nn.Module, Any]] = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        """Note the output of a layer."""
        found.append((layer, first_entry(output)))

    picture = torch.linspace(-2, 2, image.numel(), device=image.device).view_as(image)
    with ExitStack() as hooks, evaluating(inner), torch.no_grad():
        for layer in names:
            hooks.enter_context(layer.register_forward_hook(note))
        features = inner(picture).features
    for layer, maps in reversed(found):
        last = gives_channels_last(inner, layer)
        if _are_averages(maps, (1, 2) if last else (2, 3), features):
            return names[layer]
    raise InputError(
        f"{type(backbone).__name__} does not read the average of its last maps, so it has no class "
        "activation maps: take a network such as a ResNet, and images for which its maps are "
        "larger than one point"
    )


def _are_averages(maps: Any, positions: tuple[int, int], features: Tensor) -> bool:
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        return False
    averages, points = maps.mean(dim=positions), maps.shape[positions[0]] * maps.shape[positions[1]]
    if averages.shape != features.shape or points < 2:
        return False
    return torch.allclose(averages, features, rtol=1e-4, atol=1e-5)


def early_parameters(model: nn.Module, layer: str, image: Tensor) -> tuple[str, ...]:
    """Names of the trainable parameters that a layer's activation depends on, in the model's order.

    Args:
        model: any module. It is not changed.
        layer: dotted name, as for :func:`read_layer`.
        image: ``(1, 3, H, W)`` float.

    Raises:
        ValueError: the layer does not exist, is not called, gives no tensor, or depends on no
            trainable parameter.
    """
    inner = unwrapped(model)
    named = {name: each for name, each in inner.named_parameters() if each.requires_grad}
    with evaluating(inner), torch.enable_grad():
        activation = read_until(inner, layer, image)
        if not activation.requires_grad:
            raise InputError(
                f"layer {layer!r} depends on no trainable parameter: name a later layer"
            )
        gradients = torch.autograd.grad(activation.sum(), list(named.values()), allow_unused=True)
    pairs = zip(named, gradients, strict=True)
    return tuple(name for name, gradient in pairs if gradient is not None)


def pooled(activation: Tensor) -> Tensor:
    """Average maps ``(N, C, H, W)`` over positions, or tokens ``(N, T, C)`` over all tokens.

    The result is ``(N, C)``. Features ``(N, C)`` are returned unchanged.
    """
    if activation.ndim == 3:
        return activation.mean(dim=1)
    return activation.flatten(2).mean(dim=2) if activation.ndim > 3 else activation


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel, or the model itself if it is not wrapped."""
    inner: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    return inner


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """Find a layer by its dotted name, which may leave out the prefix "backbone.".

    Raises:
        ValueError: the layer does not exist. The message suggests similar names, or the first names
            if no name is similar.
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
    """Whether a layer gives maps as ``(N, H, W, C)``, as layers of Swin do.

    A network says so by ``output_fmt = "NHWC"``, as in timm. Swin of torchvision needs not say so.
    """
    network = getattr(unwrapped(model), "backbone", None)
    of_torchvision = type(network).__module__ == "torchvision.models.swin_transformer"
    form = getattr(network, "output_fmt", "NHWC" if of_torchvision else "NCHW")
    last = getattr(network, "permute", None)  # of torchvision's Swin: its output is channels first
    return form == "NHWC" and not isinstance(layer, nn.Conv2d) and layer is not last


def first_entry(output: Any) -> Any:
    """The first entry of a tuple, such as the tokens that a layer of Hugging Face gives."""
    return output[0] if isinstance(output, tuple) and output else output


@contextmanager
def evaluating(model: nn.Module, kind: type[nn.Module] = nn.Module) -> Iterator[None]:
    """Set modules of one class in evaluation mode within this context, then restore their mode.

    By default these are all modules.
    """
    modes = [(module, module.training) for module in model.modules() if isinstance(module, kind)]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def without_autocast(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Apply a layer in the precision of its own weights, also under autocast."""
    with torch.autocast(inputs.device.type, enabled=False):
        result: Tensor = layer(inputs.to(next(layer.parameters()).dtype))
    return result


@contextmanager
def _hook(model: nn.Module, layer: str, receive: Callable[[Tensor], None]) -> Iterator[None]:
    chosen = find_layer(model, layer)
    channels_last = gives_channels_last(model, chosen)

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        """Pass the layer's output to ``receive``, with channels first."""
        given = _activation(layer, output)
        receive(given.permute(0, 3, 1, 2) if channels_last and given.ndim == 4 else given)

    with chosen.register_forward_hook(hook):
        yield


def _activation(layer: str, output: Any) -> Tensor:
    """The tensor that a layer gives, or the first entry of its tuple."""
    given = first_entry(output)
    if not isinstance(given, Tensor):
        raise InputError(
            f"layer {layer!r} gives a {type(output).__name__}, not a tensor: name another layer"
        )
    return given


def _only(calls: list[Item], layer: str) -> Item:
    if len(calls) != 1:
        raise InputError(
            f"layer {layer!r} was called {len(calls)} times in one forward pass, not once: name "
            "another layer (in a compiled model, calls are not seen)"
        )
    return calls[0]
