"""Small networks from a list of their layers, such as the MLPs and LeNets of papers on digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of, near
from debias.models.classifier import Classifier
from debias.models.weights import load_weights

INITIALISATIONS = ("torch", "xavier")
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


class OneLogit(nn.Linear):
    """A head for two classes with a single score z, which gives the logits -z/2 and z/2.

    The softmax of these logits is the sigmoid of z, so that cross-entropy is binary cross-entropy.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, 2)`` logits of ``(N, D)`` features."""
        half = super().forward(features) / 2
        return torch.cat([-half, half], dim=1)


class LayeredNet(nn.Module):
    """Layers in a row, then a linear layer on their ``(N, D)`` output.

    Args:
        body: the layers.
        fc: the linear layer.
        mean: mean of each channel for the normalisation of images.
        std: standard deviation of each channel.
    """

    def __init__(
        self, body: nn.Sequential, fc: nn.Linear, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.body, self.fc = body, fc
        # Classifier reads these two attributes of timm's networks
        self.pretrained_cfg = {"classifier": "fc", "mean": tuple(mean), "std": tuple(std)}

    def get_classifier(self) -> nn.Module:
        """The last layer. Networks of timm have a method of this name."""
        return self.fc

    def forward(self, image: Tensor) -> Tensor:
        """Compute ``(N, outputs)`` logits of ``(N, 3, H, W)`` images."""
        logits: Tensor = self.fc(self.body(image))
        return logits


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
    "flatten": Kind((), 0, 0, lambda shape: nn.Flatten()),
    "linear": Kind(("units",), 1, 1, lambda shape, units: nn.Linear(shape[0], int(units))),
    "batch_norm": Kind((), 0, 0, _batch_norm),
    "relu": Kind((), 0, 0, lambda shape: nn.ReLU()),
    "dropout": Kind(("probability",), 1, 0, lambda shape, probability: nn.Dropout(probability)),
}


def layered_classifier(
    outputs: int,
    *,
    layers: list[str],
    size: int,
    initialisation: str = "torch",
    one_logit: bool = False,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    pretrained: bool = False,
    weights: str | None = None,
) -> Classifier:
    """A new network from a list of its layers, and a linear layer on top of them.

    The layers are "linear UNITS", "conv CHANNELS KERNEL [PADDING [STRIDE]]", "max_pool SIDE",
    "average_pool SIDE", "batch_norm", "relu", "dropout PROBABILITY", "flatten", "grey" (the sum of
    the channels) and "channels COUNT" (only the first ones). Numbers of inputs follow from the
    layers before. A ReLU overwrites the output of a convolution or linear layer before it, as in
    most networks: a hook on that layer reads what the ReLU leaves.

    Args:
        outputs: number of logits.
        layers: the layers in order, without the last linear one. The output is one vector.
        size: side of the images in pixels, the same as that of the preprocessing.
        initialisation: "torch" for that of PyTorch's layers, or "xavier" for weights from Xavier's
            uniform distribution and biases of zero.
        one_logit: whether the network has a single score for two classes, see :class:`OneLogit`.
        mean: mean of each channel that is subtracted from pixels in [0, 1]. By default 0.
        std: standard deviation of each channel, a positive number that divides the result. By
            default 1, so that the network gets the pixels in [0, 1].
        pretrained: must be false, because no pretrained weights exist.
        weights: path of a state dict of such a network, or ``None`` for new weights.

    Raises:
        ValueError: a layer is unknown, has a wrong number of numbers or does not fit the output of
            the layer before it; the output is no vector; ``one_logit`` is set for another number of
            classes than two; or the file of ``weights`` does not fit.
    """
    check_at_least(1, {"size": size}, of="model")
    check_one_of(INITIALISATIONS, {"initialisation": initialisation})
    if pretrained:
        raise InputError("no pretrained weights exist for layers; set model.pretrained=false")
    if one_logit and outputs != 2:
        raise InputError(f"model.one_logit=true is for two classes; got {outputs}: leave it out")
    body, features = _body(layers, size)
    fc = OneLogit(features) if one_logit else nn.Linear(features, outputs)
    network = LayeredNet(body, fc, _three(mean, 0.0, "mean"), _three(std, 1.0, "std"))
    if initialisation == "xavier":
        network.apply(_xavier)
    if weights is not None:
        load_weights(network, Path(weights), head="fc")
    return Classifier(network)


def _body(layers: Sequence[str], size: int) -> tuple[nn.Sequential, int]:
    """The layers, and the number of their outputs."""
    made: list[nn.Module] = []
    shape: Shape = (3, size, size)
    for position, text in enumerate(layers):
        place = f"model.layers[{position}]={text!r}"
        layer = _layer(place, text, shape)
        # such a layer's gradient does not need its output, so a copy would only cost time
        if isinstance(layer, nn.ReLU) and made and isinstance(made[-1], OVERWRITABLE):
            layer.inplace = True
        made.append(layer)
        shape = _shape_after(place, layer, shape)
    if len(shape) != 1:
        raise InputError(
            f"model.layers end in {_named(shape)}, and the last linear layer needs a vector: add "
            "flatten, or pool and flatten"
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
            "smaller, or model.size larger"
        ) from None


def _named(shape: Shape) -> str:
    if len(shape) == 1:
        return f"a vector of {shape[0]}"
    return f"maps of {' x '.join(map(str, shape))}"


def _three(values: Sequence[float] | None, default: float, name: str) -> tuple[float, ...]:
    three = (default,) * 3 if values is None else tuple(values)
    if len(three) != 3 or (name == "std" and min(three) <= 0):
        positive = "positive " if name == "std" else ""
        raise InputError(f"model.{name} must be three {positive}numbers; got {list(three)}")
    return three


def _xavier(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
