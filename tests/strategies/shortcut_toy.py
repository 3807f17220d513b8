"""A shortcut in a few numbers: a bias that is easy to see and right 98 times in 100, and a target
that is harder.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from debias.strategies.strategy import Strategy
from debias.types import Batch, Outputs

SAMPLES, BATCH, ALIGNED = 2000, 100, 0.98


class Features(nn.Module):
    """Pixels to 32 ReLU features to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()
        )
        self.head = nn.Linear(32, 2)
        self.feature_size = 32

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(image)
        return Outputs(self.head(features), features)


def toy(samples: int, *, aligned: float, seed: int) -> Batch:
    """Bias in one pixel, loud; target in whether two others have the same sign."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(samples) % 2
    follows = torch.rand(samples, generator=generator) < aligned
    bias = torch.where(follows, target, 1 - target)
    image = torch.randn(samples, 12, generator=generator)
    sign = 2 * torch.randint(2, (samples,), generator=generator) - 1
    image[:, 0] = 2 * (2 * bias - 1) + 0.5 * image[:, 0]
    image[:, 1] = 1.5 * sign + 0.5 * image[:, 1]
    image[:, 2] = 1.5 * sign * (2 * target - 1) + 0.5 * image[:, 2]
    return Batch(image.view(samples, 3, 2, 2), target, bias, torch.arange(samples))


def trained(
    make: Callable[[nn.Module], Strategy], *, seed: int, epochs: int = 12
) -> tuple[nn.Module, Strategy]:
    """A model and its strategy after a plain loop with Adam, in evaluation mode."""
    torch.manual_seed(seed)
    model = Features()
    strategy = make(model)
    data = toy(SAMPLES, aligned=ALIGNED, seed=seed)
    players = strategy.players(model)
    optimizers = {player: torch.optim.Adam(owned, lr=1e-2) for player, owned in players.items()}
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(SAMPLES).split(BATCH):
            batch = Batch(*(None if column is None else column[rows] for column in data))
            for player, objective in strategy.turns(step):
                loss = objective(model, batch).total
                optimizers[player].zero_grad()
                loss.backward(inputs=players[player])
                optimizers[player].step()
            step += 1
    return model.eval(), strategy.eval()


def worst_group(model: nn.Module, strategy: Strategy, *, seed: int) -> float:
    """Accuracy of the worst group of a balanced test set."""
    test = toy(2000, aligned=0.5, seed=seed + 100)
    right = strategy.classify(model, test.image).logits.argmax(dim=1) == test.target
    return min(
        right[(test.target == y) & (test.bias == b)].float().mean().item()
        for y in (0, 1)
        for b in (0, 1)
    )


def mean_worst_group(make: Callable[[nn.Module], Strategy], *, seeds: int = 3) -> float:
    """Its mean over seeds."""
    return sum(worst_group(*trained(make, seed=seed), seed=seed) for seed in range(seeds)) / seeds
