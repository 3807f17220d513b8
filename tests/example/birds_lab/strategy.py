"""A strategy of one's own."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class PowerWeights(Strategy):
    """Weight each image by a power of the size of its group."""

    requires = ("bias",)
    weights: Tensor

    def __init__(self, groups: Groups, frequencies: Tensor, *, power: float = 0.5) -> None:
        super().__init__(groups)
        self.groups = groups
        self.register_buffer("weights", frequencies.clamp(min=1).float() ** -power)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        self.steps += 1
        losses = F.cross_entropy(model(batch.image).logits, batch.target, reduction="none")
        weight = self.weights[self.groups.encode(batch.target, batch.bias)]
        return Loss((weight * losses).sum() / weight.sum(), {"weight": weight.mean()})
