"""Base class of augmentations that change activations inside the model, not the batch."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from debias.augment.augmentation import Augmentation
from debias.errors import InputError, check_between
from debias.models.layers import LayerChange, layer_shape
from debias.types import Batch


class LayerAugmentation(Augmentation):
    """Change the activations of named layers in the training passes of the model.

    Every training pass of the model is changed, also if a strategy makes several passes per step.
    Passes in evaluation mode are not changed, and neither are other networks of the strategy. The
    layers get forward hooks, so that the model keeps its weights and their names.

    A subclass overrides :meth:`change`. In a plain loop, making the object is enough. Make it after
    the strategy, because a later copy of the model also copies the hooks.

    Args:
        model: the model that is trained.
        layers: dotted names of the layers.
        probability: probability of a change, drawn per layer and pass.

    Raises:
        ValueError: ``probability`` is outside [0, 1], or there is no layer of a name.
    """

    changes_layers = True

    def __init__(self, model: nn.Module, layers: Iterable[str], *, probability: float) -> None:
        super().__init__()
        check_between("[0, 1]", {"probability": probability}, of=type(self).__name__)
        self.probability = probability
        for layer in layers:
            LayerChange(model, layer, self.changed)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the same batch object, since the change happens inside the model."""
        return batch

    def changed(self, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """The activation after the change, which is drawn from torch's global CPU generator."""
        flat = output.transpose(1, 2) if output.ndim == 3 else output
        drawn = self.probability == 1 or float(torch.rand(())) < self.probability
        if flat[0, 0].numel() < 2 or not drawn:
            return output
        change = self.change(flat)
        return change.transpose(1, 2) if output.ndim == 3 else change

    def change(self, activation: Tensor) -> Tensor:
        """Return the changed activation.

        Args:
            activation: ``(N, C, H, W)`` maps, or ``(N, C, T)`` tokens.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no change")


def check_positions(model: nn.Module, image: Tensor, layers: Sequence[str]) -> None:
    """Check that layers give maps or tokens.

    Args:
        model: the model that is trained. It is not changed.
        image: ``(1, 3, H, W)`` float.
        layers: dotted names of the layers, at least one.

    Raises:
        ValueError: no layer is named, a layer does not exist, or it gives one vector per image.
    """
    if not layers:
        raise InputError("augment.layers names no layer: name one, as in augment.layers=[layer1]")
    for layer in layers:
        shape = layer_shape(model, layer, image)
        positions = shape[1:] if len(shape) == 3 else shape[:-1]
        if math.prod(positions) == 1:
            raise InputError(
                f"layer {layer!r} gives one vector per image, of shape {shape}: name an earlier "
                "layer, which gives maps or tokens"
            )
