"""Training in each of two processes: with an adversary, or with another module's strategies."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from debias.strategies.feature_adversary import FeatureAdversary
from debias.strategies.gradient_projection import GradientProjection
from debias.strategies.strategy import Strategy
from debias.types import Batch
from tests.fakes import GROUPS, TinyClassifier, batch_of

IMAGE = torch.zeros(1, 3, 2, 2)
#: Linear adversaries: batch normalisation sees the samples of its own process alone.
STRATEGIES: dict[str, Callable[[nn.Module], Strategy]] = {
    "adversarial": lambda model: FeatureAdversary(GROUPS, model, IMAGE, hidden_layers=0),
    "projection": lambda model: GradientProjection(GROUPS, strength=0.5),
}


class Both(nn.Module):
    """Model and strategy in one module, as the LightningModule holds them."""

    def __init__(self, make: Callable[[nn.Module], Strategy], *, outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = TinyClassifier(outputs=outputs)
        self.strategy = make(self.model)

    def forward(self, batch: Batch) -> Tensor:
        return self.strategy.loss(self.model, batch).total


def whole(seed: int) -> Batch:
    """Sixteen samples: the first half, rank 0's, knows three biases and the second seven."""
    batch = batch_of(16, seed=seed)
    unknown = torch.tensor([0, 1, 3, 4, 6, 9])
    return batch._replace(bias=batch.bias.index_fill(0, unknown, -1))


def train(module: nn.Module, part: slice) -> dict[str, Tensor]:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for seed in range(4):
        batch = Batch(*(None if column is None else column[part] for column in whole(seed)))
        optimizer.zero_grad()
        module(batch).backward()
        optimizer.step()
    return {name.removeprefix("module."): value for name, value in module.state_dict().items()}


def both(strategies: dict[str, Callable[[nn.Module], Strategy]]) -> dict[str, Both]:
    """Of each strategy, a new module; a strategy may want other outputs than one per class."""
    outputs = {
        name: make(TinyClassifier()).model_outputs(GROUPS) for name, make in strategies.items()
    }
    return {name: Both(make, outputs=outputs[name]) for name, make in strategies.items()}


def trained(
    rank: int, strategies: dict[str, Callable[[nn.Module], Strategy]]
) -> dict[str, dict[str, Tensor]]:
    """Of each strategy, what a process ends with."""
    part = slice(0, 8) if rank == 0 else slice(8, 16)
    return {
        name: train(DistributedDataParallel(module), part)
        for name, module in both(strategies).items()
    }
