"""Layers in a row from a list of texts, such as "conv 32 5" or "linear 100"."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, near

#: Numbers of layers that may be 0.
MAY_BE_ZERO = ("padding", "probability")
#: Layers whose output may be overwritten by the next one.
OVERWRITABLE = (nn.Conv2d, nn.Linear)
Shape = tuple[int, ...]


class FirstChannels(nn.Module):
    """The first channels of an image, such as red and green."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, image: Tensor) -> Tensor:
        """``(N, count, H, W)`` of ``(N, C, H, W)``."""
        return image[:, : self.count]


class Grey(nn.Module):
    """The sum of the channels: a grey picture, if each picture has a single colour channel."""

    def forward(self, image: Tensor) -> Tensor:
        """``(N, 1, H, W)`` of ``(N, C, H, W)``."""
        return image.sum(dim=1, keepdim=True)


class GlobalPool(nn.Module):
    """The mean of each map."""

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C)`` of ``(N, C, H, W)``."""
        return maps.mean(dim=(2, 3))


class Kind(NamedTuple):
    """A kind of layer: what follows its name, its number of input dimensions, and how to make it.

    ``numbers`` are the names of its numbers; ``given`` of them must be there. ``dimensions`` is 1
    for a vector, 3 for maps, and 0 for any.
    """

    numbers: tuple[str, ...]
    given: int
    dimensions: int
    make: Callable[..., nn.Module]


def _convolution(
    shape: Shape, channels: float, kernel: float, padding: float = 0, stride: float = 1
) -> nn.Module:
    return nn.Conv2d(shape[0], int(channels), int(kernel), padding=int(padding), stride=int(stride))


def _batch_norm(shape: Shape) -> nn.Module:
    return nn.BatchNorm1d(shape[0]) if len(shape) == 1 else nn.BatchNorm2d(shape[0])


KINDS: dict[str, Kind] = {
    "channels": Kind(("count",), 1, 3, lambda shape, count: FirstChannels(int(count))),
    "grey": Kind((), 0, 3, lambda shape: Grey()),
    "conv": Kind(("channels", "kernel", "padding", "stride"), 2, 3, _convolution),
    "max_pool": Kind(("side",), 1, 3, lambda shape, side: nn.MaxPool2d(int(side))),
    "average_pool": Kind(("side",), 1, 3, lambda shape, side: nn.AvgPool2d(int(side))),
    "global_pool": Kind((), 0, 3, lambda shape: GlobalPool()),
    "flatten": Kind((), 0, 0, lambda shape: nn.Flatten()),
    "linear": Kind(("units",), 1, 1, lambda shape, units: nn.Linear(shape[0], int(units))),
    "batch_norm": Kind((), 0, 0, _batch_norm),
    "relu": Kind((), 0, 0, lambda shape: nn.ReLU()),
    "dropout": Kind(("probability",), 1, 0, lambda shape, probability: nn.Dropout(probability)),
}


def layer_chain(layers: Sequence[str], shape: Shape, *, of: str) -> tuple[nn.Sequential, int]:
    """The layers of a list in a row, and the number of their outputs.

    Args:
        layers: as for :func:`layered_classifier`.
        shape: shape of an image, (3, H, W).
        of: the option that has the list, for messages.

    Raises:
        ValueError: as for :func:`layered_classifier`.
    """
    made: list[nn.Module] = []
    for position, text in enumerate(layers):
        place = f"{of}[{position}]={text!r}"
        layer = _layer(place, text, shape)
        # such a layer's gradient does not need its output, so a copy would only cost time
        if isinstance(layer, nn.ReLU) and made and isinstance(made[-1], OVERWRITABLE):
            layer.inplace = True
        made.append(layer)
        shape = _shape_after(place, layer, shape)
    if len(shape) != 1:
        raise InputError(
            f"{of} end in {_named(shape)}, and the last linear layer needs a vector: add flatten "
            "or global_pool"
        )
    return nn.Sequential(*made), shape[0]


def _layer(place: str, text: str, shape: Shape) -> nn.Module:
    name, *words = text.split() or [""]
    if name not in KINDS:
        raise InputError(f"{place} is no layer; {near(name, KINDS)}")
    kind = KINDS[name]
    if not kind.given <= len(words) <= len(kind.numbers):
        least, names = kind.given, " ".join(kind.numbers).upper()
        raise InputError(
            f"{place} needs {'no number' if not names else f'the numbers {names}'}"
            f"{f', at least {least}' if least < len(kind.numbers) else ''}; got {len(words)}"
        )
    numbers = [_number(place, *pair) for pair in zip(kind.numbers, words, strict=False)]
    if kind.dimensions not in (0, len(shape)):
        hint = "put flatten before it" if kind.dimensions == 1 else "put it before flatten"
        raise InputError(f"{place} does not fit {_named(shape)}: {hint}")
    return kind.make(shape, *numbers)


def _number(place: str, name: str, word: str) -> float:
    least, whole = (0, name != "probability") if name in MAY_BE_ZERO else (1, True)
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf or (whole and number != int(number)):
        kind = f"a {'whole ' if whole else ''}number from {least}"
        raise InputError(f"{place}: {name} must be {kind}; got {word!r}")
    return number


@torch.no_grad()
def _shape_after(place: str, layer: nn.Module, shape: Shape) -> Shape:
    try:
        # two images, since batch normalisation refuses one
        return tuple(layer(torch.zeros(2, *shape)).shape[1:])
    except RuntimeError as error:
        raise InputError(
            f"{place} does not fit {_named(shape)} ({str(error).splitlines()[0]}): make the kernel "
            "smaller, or the images larger"
        ) from None


def _named(shape: Shape) -> str:
    if len(shape) == 1:
        return f"a vector of {shape[0]}"
    return f"maps of {' x '.join(map(str, shape))}"
