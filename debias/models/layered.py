"""Small networks from a list of their layers, such as the MLPs and LeNets of papers on digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of
from debias.models.classifier import Classifier
from debias.models.last_layers import OneLogit
from debias.models.layer_lists import layer_chain
from debias.models.projection import NO_PROJECTION, Projection
from debias.models.weights import load_weights

INITIALISATIONS = ("torch", "xavier")


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
    projection: Projection = NO_PROJECTION,
) -> Classifier:
    """A new network from a list of its layers, and a linear layer on top of them.

    The layers are "linear UNITS", "conv CHANNELS KERNEL [PADDING [STRIDE]]", "max_pool SIDE",
    "average_pool SIDE", "global_pool", "batch_norm", "relu", "dropout PROBABILITY", "flatten",
    "grey" (the sum of the channels) and "channels COUNT" (only the first ones). Numbers of inputs
    follow from the layers before. A ReLU overwrites the output of a convolution or linear layer
    before it, as in most networks: a hook on that layer reads what the ReLU leaves.

    Args:
        outputs: number of logits.
        layers: the layers in order, without the last linear one. The output is one vector.
        size: side of the images in pixels, the same as that of the preprocessing.
        initialisation: "torch" for that of PyTorch's layers, or "xavier" for weights from Xavier's
            uniform distribution and biases of zero.
        one_logit: whether the network has a single score for two classes, see
            :class:`debias.models.last_layers.OneLogit`.
        mean: mean of each channel that is subtracted from pixels in [0, 1]. By default 0.
        std: standard deviation of each channel, a positive number that divides the result. By
            default 1, so that the network gets the pixels in [0, 1].
        pretrained: must be false, because no pretrained weights exist.
        weights: path of a state dict of such a network, or ``None`` for new weights.
        projection: layers before the head; see :class:`~debias.models.projection.Projection`.

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
        raise InputError(
            f"model.one_logit=true is for two logits, one per class; got {outputs}: leave it out"
        )
    body, features = layer_chain(layers, (3, size, size), of="model.layers")
    fc = OneLogit(features) if one_logit else nn.Linear(features, outputs)
    network = LayeredNet(body, fc, _three(mean, 0.0, "mean"), _three(std, 1.0, "std"))
    if initialisation == "xavier":
        network.apply(_xavier)
    if weights is not None:
        load_weights(network, Path(weights), head="fc")
    return projection.on(Classifier(network))


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
