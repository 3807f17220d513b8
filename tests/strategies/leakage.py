"""Vectors with a known answer, a plain loop, and how much of the bias a fresh attacker finds in
what was trained.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from debias.strategies.strategy import Strategy
from debias.types import Batch
from tests.fakes import TinyClassifier, take_turns

IMAGE = torch.zeros(1, 3, 2, 2)


class Judged(NamedTuple):
    """On balanced data: accuracy of the model, and of a logistic attacker on both outputs."""

    accuracy: float
    features: float
    logits: float


def vectors(samples: int, *, aligned: float, seed: int) -> Batch:
    """Twelve unit normals; the target moves one by two to either side, the bias another, and the
    rest say nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (samples,), generator=generator)
    bias = torch.where(torch.rand(samples, generator=generator) < aligned, target, 1 - target)
    image = torch.randn(samples, 3, 2, 2, generator=generator)
    image[:, 0, 0, 0] += 4 * target - 2
    image[:, 1, 0, 0] += 4 * bias - 2
    return Batch(image, target, bias, torch.arange(samples))


def trained(
    make: Callable[[nn.Module], Strategy], *, aligned: float, seed: int, steps: int = 400
) -> nn.Module:
    """A new model, trained on the whole set at each step by Adam, one optimiser a player."""
    torch.manual_seed(seed)
    model = TinyClassifier()
    strategy = make(model)
    players = strategy.players(model)
    optimizers = {player: torch.optim.Adam(owned, lr=1e-2) for player, owned in players.items()}
    batch = vectors(512, aligned=aligned, seed=0)
    for step in range(steps):
        take_turns(strategy, model, batch, step, optimizers)
    return model


def judged(make: Callable[[nn.Module], Strategy], *, aligned: float, seeds: int = 3) -> Judged:
    """Mean over seeds of what is left after training; the attacker learns on data of its own, and
    is tested on others.

    On them target and bias are independent, so that an attacker who knows the target alone is right
    half of the time.
    """
    models = [trained(make, aligned=aligned, seed=seed) for seed in range(seeds)]
    learn, test = (vectors(2000, aligned=0.5, seed=seed) for seed in (1, 2))
    rows = [_judge(model, learn, test) for model in models]
    return Judged(*(sum(column) / seeds for column in zip(*rows, strict=True)))


@torch.no_grad()
def _judge(model: nn.Module, learn: Batch, test: Batch) -> Judged:
    known, asked = model(learn.image), model(test.image)
    accuracy = (asked.logits.argmax(dim=1) == test.target).float().mean().item()
    attacker = LogisticRegression(C=100.0, max_iter=1000)
    leaks = [
        attacker.fit(seen.numpy(), learn.bias.numpy()).score(new.numpy(), test.bias.numpy())
        for seen, new in ((known.features, asked.features), (known.logits, asked.logits))
    ]
    return Judged(accuracy, *leaks)
