"""A shortcut that pays in training and not in the test: worst group of vectors, known answer."""

from collections.abc import Callable

import torch
from torch import nn

from debias.strategies.strategy import Strategy
from tests.fakes import GROUPS, TinyClassifier, take_turns, worst_group
from tests.strategies.leakage import vectors

#: Training samples of each group at 95 % aligned, as a strategy is told them.
FREQUENCIES = torch.tensor([243, 13, 13, 243])


def worst_group_accuracy(
    make: Callable[[nn.Module], Strategy],
    *,
    steps: int = 200,
    aligned: float = 0.95,
    seeds: int = 3,
) -> float:
    """Mean over seeds of the worst group on 4000 vectors of independent target and bias."""
    return sum(_worst_group(make, steps, aligned, seed) for seed in range(seeds)) / seeds


def _worst_group(
    make: Callable[[nn.Module], Strategy], steps: int, aligned: float, seed: int
) -> float:
    torch.manual_seed(seed)
    batch = vectors(512, aligned=aligned, seed=seed)
    draft = make(TinyClassifier())
    model = TinyClassifier(outputs=draft.model_outputs(GROUPS))
    strategy = make(model)
    players = strategy.players(model)
    optimizers = {player: torch.optim.Adam(owned, lr=1e-2) for player, owned in players.items()}
    for step in range(steps):
        take_turns(strategy, model, batch, step, optimizers)
    test = vectors(4000, aligned=0.5, seed=100)
    with torch.no_grad():
        return worst_group(strategy.classify(model, test.image).logits, test)
