"""Experts after the stages of two trunks (PnD): a debiased and a biased one each, and a gate."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least
from debias.models.layers import layer_shape, pooled, unwrapped, without_autocast

#: Hidden units of an expert.
HIDDEN = 16


class StageFeatures(NamedTuple):
    """What both experts after one stage read: ``(N, W)`` class features and bias features."""

    of_class: Tensor
    of_bias: Tensor


class StageExperts(nn.Module):
    """Two experts after one stage, and the convolutions through which they read its maps.

    The maps of each trunk pass 3x3 convolution, batch normalisation, ReLU, 3x3 convolution, ReLU,
    and are averaged over positions. An expert is a perceptron with :data:`HIDDEN` units on the
    features of both trunks. It computes without autocast.

    Source: Li, Vo, Nakayama, ICCV 2023; reference code Jiaxuan-Li/PnD.

    Args:
        channels: channels of the maps.
        outputs: number of classes K.
        width: W, the number of features of each trunk, at least 4.
        squash: end each expert in a sigmoid, as the authors do. Outputs are then in (0, 1).
    """

    def __init__(self, channels: int, outputs: int, *, width: int, squash: bool) -> None:
        super().__init__()
        self.class_maps, self.bias_maps = (
            _convolutions(channels, width),
            _convolutions(channels, width),
        )
        self.debiased_expert = _perceptron(2 * width, outputs, squash=squash)
        self.biased_expert = _perceptron(2 * width, outputs, squash=squash)

    def features(self, class_maps: Tensor, bias_maps: Tensor) -> StageFeatures:
        """Features of the ``(N, C, H, W)`` maps of both trunks."""
        return StageFeatures(pooled(self.class_maps(class_maps)), pooled(self.bias_maps(bias_maps)))

    def debiased(self, of_class: Tensor, of_bias: Tensor) -> Tensor:
        """``(N, K)`` outputs of the debiased expert; bias features get no gradient."""
        joined = torch.cat([of_class, of_bias.detach()], dim=1)
        return without_autocast(self.debiased_expert, joined)

    def biased(self, of_class: Tensor, of_bias: Tensor) -> Tensor:
        """``(N, K)`` outputs of the biased expert; class features get no gradient."""
        joined = torch.cat([of_class.detach(), of_bias], dim=1)
        return without_autocast(self.biased_expert, joined)


class Gate(nn.Module):
    r"""Mix the outputs of E debiased experts.

    .. math:: g = \mathrm{softmax}(A [o^1; \dots; o^E] + a), \qquad f = \sum_e g_e\, o^e

    Source: as :class:`StageExperts`.

    Args:
        experts: E.
        outputs: number of classes K.
    """

    def __init__(self, experts: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(experts * outputs, experts)

    def weights(self, outputs: Tensor) -> Tensor:
        """``(N, E)`` weights g, which sum to 1, of ``(E, N, K)`` outputs."""
        return without_autocast(self.linear, torch.cat(tuple(outputs), dim=1)).softmax(dim=1)

    def forward(self, outputs: Tensor, mixed: Tensor) -> Tensor:
        """``(N, K)`` mixture f.

        Args:
            outputs: ``(E, N, K)`` outputs that the gate reads.
            mixed: ``(E, N, K)`` outputs that are mixed. In training they are without gradient.
        """
        # a product of matrices would be in bfloat16 under autocast, in which classes tie
        return (self.weights(outputs).T[:, :, None] * mixed).sum(dim=0)


def stage_layers(model: nn.Module, layers: Sequence[str] | None, image: Tensor) -> dict[str, int]:
    """Channels of each layer that experts follow, by its name.

    Args:
        model: maps images to :class:`debias.types.Outputs`.
        layers: dotted names; ``None`` means the last four stages that timm names for the network.
        image: ``(1, 3, H, W)`` float; only the shape is used.

    Raises:
        ValueError: no layer is named, or one twice, the network names no stages, or a layer gives
            no maps.
    """
    stages: Any = getattr(getattr(unwrapped(model), "backbone", None), "feature_info", None)
    if layers is None and not stages:
        raise InputError(
            "the network does not name its stages: name the layers that experts follow, as in "
            "strategy.layers=[layer1,layer2]"
        )
    names = [stage["module"] for stage in stages[-4:]] if layers is None else list(layers)
    check_at_least(1, {"the number of strategy.layers": len(names)})
    if len(set(names)) < len(names):
        raise InputError(f"strategy.layers names a layer twice: {', '.join(names)}")
    shapes = {name: layer_shape(model, name, image) for name in names}
    for name, shape in shapes.items():
        if len(shape) != 3:
            raise InputError(
                f"experts read maps; layer {name!r} gives {shape}: name stages of a convolutional "
                "network in strategy.layers"
            )
    return {name: shape[0] for name, shape in shapes.items()}


def _convolutions(channels: int, width: int) -> nn.Sequential:
    hidden = width // 4
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, width, 3, padding=1),
        nn.ReLU(),
    )


def _perceptron(inputs: int, outputs: int, *, squash: bool) -> nn.Sequential:
    hidden = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
    return nn.Sequential(
        *hidden, nn.Linear(HIDDEN, outputs), nn.Sigmoid() if squash else nn.Identity()
    )
