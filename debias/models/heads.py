"""Heads on the features or activations of a model: for adversaries and for the feature sieve."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least


class MLPHead(nn.Module):
    """A multi-layer perceptron on features: hidden layers, then a linear layer.

    A hidden layer has batch normalisation and LeakyReLU. The head computes in float32 or higher,
    with autocast off. In low precision, an imprecise adversary would look like a fooled one.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019.

    Args:
        inputs: number of input features.
        outputs: number of logits.
        hidden_size: units of each hidden layer, at least 1.
        hidden_layers: number of hidden layers, at least 0.

    Raises:
        ValueError: ``hidden_size`` is below 1, or ``hidden_layers`` is negative.
    """

    def __init__(
        self, inputs: int, outputs: int, *, hidden_size: int = 300, hidden_layers: int = 3
    ) -> None:
        super().__init__()
        check_at_least(1, {"hidden_size": hidden_size}, of="a head")
        check_at_least(0, {"hidden_layers": hidden_layers}, of="a head")
        sizes = [inputs, *[hidden_size] * hidden_layers]
        hidden = [
            nn.Sequential(nn.Linear(size, hidden_size), nn.BatchNorm1d(hidden_size), nn.LeakyReLU())
            for size in sizes[:-1]
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Compute ``(N, outputs)`` logits of ``(N, inputs)`` features."""
        with torch.autocast(features.device.type, enabled=False):
            precise = torch.promote_types(features.dtype, torch.float32)
            logits: Tensor = self.layers(features.to(precise))
        return logits


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, and optionally a skip connection.

    Args:
        inputs: number of input channels.
        width: number of output channels.
        kernel: side of the kernels, odd.
        skip: whether to add the input to the output. The input must then have ``width`` channels.
    """

    def __init__(self, inputs: int, width: int, *, kernel: int, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Compute ``(N, width, H, W)`` maps of ``(N, inputs, H, W)`` maps."""
        change: Tensor = self.layers(maps)
        return torch.relu(maps + change if self.skip else change)


class ResidualHead(nn.Module):
    """The feature sieve's auxiliary classifier: residual blocks, spatial mean, a linear layer.

    On maps the kernels are 3x3. On tokens they are 1x1, so that each block transforms every token
    separately, and only the mean combines tokens.

    Source: Tiwari & Shenoy, "Overcoming Simplicity Bias in Deep Networks using a Feature Sieve",
    ICML 2023.

    Args:
        shape: shape of one sample's activation: ``(C, H, W)``, ``(T, C)`` or ``(C,)``.
        outputs: number of logits.
        width: channels of the blocks, at least 1.
        depth: number of blocks, at least 1. The first block changes the width and has no skip.

    Raises:
        ValueError: ``width`` or ``depth`` is below 1, or ``shape`` has another number of
            dimensions.
    """

    def __init__(
        self, shape: tuple[int, ...], outputs: int, *, width: int = 256, depth: int = 2
    ) -> None:
        super().__init__()
        check_at_least(1, {"width": width, "depth": depth}, of="an auxiliary head")
        if len(shape) not in (1, 2, 3):
            raise InputError(
                "an auxiliary head reads (C, H, W), (T, C) or (C,); got an activation of shape "
                f"{shape}"
            )
        maps = len(shape) == 3
        channels, kernel = (shape[0], 3) if maps else (shape[-1], 1)
        widths = [channels, *[width] * (depth - 1)]
        blocks = [
            ResidualBlock(size, width, kernel=kernel, skip=place > 0)
            for place, size in enumerate(widths)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, outputs)

    def forward(self, activation: Tensor) -> Tensor:
        """Compute ``(N, outputs)`` logits of ``(N, *shape)`` activations."""
        if activation.ndim < 4:
            # (N, T, C) to (N, C, T, 1)
            tokens = activation if activation.ndim == 3 else activation[:, None]
            activation = tokens.transpose(1, 2).unsqueeze(-1)
        logits: Tensor = self.head(self.blocks(activation).mean(dim=(2, 3)))
        return logits
