"""Training batches in parts: less memory, and the loss still sees the whole batch."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from debias.errors import InputError
from debias.models.layers import LayerChange
from debias.types import Outputs


def accumulate(model: nn.Module, parts: int) -> None:
    """Let training batches go through a model in parts, one after another.

    The model gives the outputs of the whole batch, so that every loss, also one over groups or
    pairs, is that of the whole batch. The activations of a part are kept only in its own turn: the
    backward pass computes each part a second time. A step then needs the memory of one part, and
    the time of one more forward pass.

    The gradients equal those of the whole batch but for rounding. Only a batch normalisation that
    trains is different: it normalises each part by itself. It updates its running statistics once
    per part. Dropout draws the same mask in both passes. So do changes of layers
    (:class:`debias.models.layers.LayerChange`), which see one part at a time. Copies of the model
    also work in parts.

    Args:
        model: maps images to :class:`debias.types.Outputs`. It is changed in place. Its parameters,
            and passes in evaluation mode or without gradients, stay as they are.
        parts: number of parts. A batch with less than two images per part has fewer.
    """
    # a partial object, not a closure: a deep copy of the model then calls the copy
    model.forward = partial(_in_parts, model, parts)


def _in_parts(model: nn.Module, parts: int, image: Tensor) -> Outputs:
    forward = partial(type(model).forward, model)
    parts = min(parts, len(image) // 2)
    if parts < 2 or not (model.training and torch.is_grad_enabled()):
        whole: Outputs = forward(image)
        return whole
    if any(_is_read(layer) for layer in model.modules() if layer is not model):
        raise InputError(
            "a layer inside the model is read in a training step, which accumulate does not allow: "
            "set accumulate=1"
        )
    context = partial(_contexts, model)
    outputs = [
        checkpoint(forward, part, use_reentrant=False, context_fn=context)
        for part in image.tensor_split(parts)
    ]
    return Outputs(*(torch.cat(column) for column in zip(*outputs, strict=True)))


def _is_read(layer: nn.Module) -> bool:
    """Whether a hook reads a layer. A change draws the same in both passes, so it may stay."""
    return any(not isinstance(hook, LayerChange) for hook in layer._forward_hooks.values())


def _contexts(model: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The contexts of the two passes of a part."""
    return nullcontext(), _StatisticsKept(model)


class _StatisticsKept(AbstractContextManager[None]):
    """Keeps the running statistics of batch normalisation, which the first pass has updated.

    The context can be entered again, since a loss may have several backward passes. The layers stay
    in training mode, as both passes must save the same tensors.
    """

    def __init__(self, model: nn.Module) -> None:
        layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
        self.layers = [layer for layer in layers if layer.training and layer.track_running_stats]

    def __enter__(self) -> None:
        self.before = [(layer.momentum, layer.num_batches_tracked.clone()) for layer in self.layers]  # type: ignore[union-attr]
        for layer in self.layers:
            layer.momentum = 0.0

    def __exit__(self, *_: object) -> None:
        for layer, (momentum, batches) in zip(self.layers, self.before, strict=True):
            layer.momentum, layer.num_batches_tracked.data = momentum, batches  # type: ignore[union-attr]
