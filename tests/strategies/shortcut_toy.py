"""A shortcut in a few numbers: a bias that is easy to see and right 98 times in 100, and a target
that is harder.
"""

from collections.abc import Callable

import torch
from torch import nn

from debias.strategies.strategy import Strategy
from debias.types import Batch
from tests.fakes import BodyNetwork, take_turns, worst_group

SAMPLES, BATCH, ALIGNED = 2000, 100, 0.98


class Features(BodyNetwork):
    """Pixels to 32 ReLU features to logits."""

    feature_size = 32

    def __init__(self) -> None:
        layers = (nn.Flatten(), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        super().__init__(nn.Sequential(*layers), nn.Linear(32, 2))


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
            take_turns(strategy, model, batch, step, optimizers)
            step += 1
    return model.eval(), strategy.eval()


def mean_worst_group(make: Callable[[nn.Module], Strategy], *, seeds: int = 3) -> float:
    """Accuracy of the worst group of a balanced test set, as a mean over seeds."""
    found = []
    for seed in range(seeds):
        model, strategy = trained(make, seed=seed)
        test = toy(2000, aligned=0.5, seed=seed + 100)
        found.append(worst_group(strategy.classify(model, test.image).logits, test))
    return sum(found) / seeds
