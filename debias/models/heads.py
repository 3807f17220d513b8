"""Heads that read the inside of a model: an adversary's, and the feature sieve's."""

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least


class MLPHead(nn.Module):
    """Hidden layers with batch normalisation and LeakyReLU, if any, then a linear layer.

    Computes in float32 at least, with autocast off: an adversary in low precision looks fooled when
    it is imprecise.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019.

    Args:
        inputs: features it reads.
        outputs: logits it gives.
        hidden_size: units of a hidden layer.
        hidden_layers: how many there are, at least 0.

    Raises:
        ValueError: a size is out of range.
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
        """``(N, outputs)`` logits of ``(N, inputs)`` features."""
        with torch.autocast(features.device.type, enabled=False):
            precise = torch.promote_types(features.dtype, torch.float32)
            logits: Tensor = self.layers(features.to(precise))
        return logits


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, and a skip where set and the widths agree.

    Args:
        inputs: channels it reads.
        width: channels it gives.
        kernel: side of the kernels, odd.
        skip: add the input; it must have ``width`` channels.
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
        """``(N, width, H, W)`` of ``(N, inputs, H, W)``."""
        change: Tensor = self.layers(maps)
        return torch.relu(maps + change if self.skip else change)


class ResidualHead(nn.Module):
    """Residual blocks, the mean over all places, a linear layer: the feature sieve's classifier.

    On maps the kernels are 3x3. On tokens they are 1x1: every token goes through the same two-layer
    network, and tokens meet only in the mean.

    Source: Tiwari & Shenoy, "Overcoming Simplicity Bias in Deep Networks using a Feature Sieve",
    ICML 2023.

    Args:
        shape: of one sample's activation: ``(C, H, W)``, ``(T, C)`` or ``(C,)``.
        outputs: logits it gives.
        width: channels of the blocks.
        depth: how many blocks, at least 1; the first, which changes the width, has no skip.

    Raises:
        ValueError: a size is out of range, or the shape is none of these.
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
        """``(N, outputs)`` logits of ``(N, *shape)`` activations."""
        if activation.ndim < 4:
            # (N, T, C) to (N, C, T, 1)
            tokens = activation if activation.ndim == 3 else activation[:, None]
            activation = tokens.transpose(1, 2).unsqueeze(-1)
        logits: Tensor = self.head(self.blocks(activation).mean(dim=(2, 3)))
        return logits
