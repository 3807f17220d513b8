"""A strategy with two players, which no shipped one has: the module's manual path is tested."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn import functional as F

from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss, Turn


class TwoPlayers(Strategy):
    """A probe learns the bias from the features every second step; the model then learns against
    the moved probe.
    """

    requires = ()

    def __init__(self, features: int) -> None:
        super().__init__()
        self.probe = nn.Linear(features, 2)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        return {"probe": list(self.probe.parameters()), "model": list(model.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        model = Turn("model", self.deceive)
        return (Turn("probe", self.identify), model) if step % 2 == 0 else (model,)

    def identify(self, model: nn.Module, batch: Batch) -> Loss:
        self.steps += 1
        loss = F.cross_entropy(self.probe(model(batch.image).features), batch.bias)
        return Loss(loss, {"probe": loss.detach()})

    def deceive(self, model: nn.Module, batch: Batch) -> Loss:
        outputs = model(batch.image)
        against = F.cross_entropy(self.probe(outputs.features), batch.bias)
        return Loss(F.cross_entropy(outputs.logits, batch.target) - 0.1 * against, {})
