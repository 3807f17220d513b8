"""Compares the gradient clipping of our module with the authors' loops: one norm per player."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from debias.losses.classification import classification_losses
from debias.strategies.erm import ERM
from debias.strategies.rebias import ReBias
from debias.strategies.strategy import Strategy
from debias.training.module import DebiasModule
from debias.types import Batch
from parity_checks.cases import apart
from parity_checks.games import CLASSES, SAGAWA, Normalised, batches, descent
from parity_checks.official import Clones, Piece
from parity_checks.rows import NO_CODE, Row

BOUND = 0.02


def clip(clones: Clones) -> Iterator[Row]:
    computer = clones.take(SAGAWA, "loss.py", "LossComputer")
    loop = clones.lines(SAGAWA, "train.py", 55, 67)
    compared = "network after 12 steps of ERM, each clipped to one norm of 0.02 over all parameters"
    yield loop.row(
        "clip", compared, [_one_player(computer, loop, seed) for seed in range(3)], bar=1e-12
    )
    compared = (
        "f and g of ReBias after 12 steps, each turn clipped to one norm of 0.02 over its player's "
        "parameters"
    )
    gaps = [_two_players(seed) for seed in range(3)]
    yield Row("clip", NO_CODE, compared, max(gaps), 1e-5, "1e-6 added to the norm by torch")


def _one_player(computer: Piece, loop: Piece, seed: int) -> float:
    torch.manual_seed(seed)
    model, given = Normalised(), batches(seed)
    network = deepcopy(model)
    data = SimpleNamespace(n_groups=6, group_counts=lambda: torch.ones(6), group_str=None)
    state = {
        "loss_computer": computer["LossComputer"](classification_losses, False, data),
        "is_training": True, "args": SimpleNamespace(model="bert", max_grad_norm=BOUND),
        "model": network, "scheduler": SimpleNamespace(step=lambda: None),
        "optimizer": descent(network.parameters()),
    }  # fmt: skip
    for batch in given:
        group = CLASSES.encode(batch.target, batch.bias)
        loop.run(state | {"outputs": network(batch.image).logits, "y": batch.target, "g": group})
    _train(model, ERM(), given)
    return _apart(network.parameters(), model.parameters())


def _two_players(seed: int) -> float:
    torch.manual_seed(seed)
    model, given, ours = Normalised(), batches(seed), ReBias(CLASSES, lambda_f=3.0, lambda_g=3.0)
    ours.networks = nn.ModuleList([Normalised()])
    theirs: Any = deepcopy([model, ours])
    _play_clipped(theirs[0], theirs[1], given)
    _train(model, ours, given)
    return max(
        _apart(one.parameters(), two.parameters())
        for one, two in zip(theirs, (model, ours), strict=True)
    )


def _train(model: nn.Module, strategy: Strategy, given: Sequence[Batch]) -> None:
    module = DebiasModule(
        model, strategy, CLASSES, None, clip=BOUND,
        optimizer=lambda _, parameters: descent(parameters),
        scheduler=lambda o: LambdaLR(o, lambda _: 1.0),
    )  # fmt: skip
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(
        module, train_dataloaders=DataLoader(given, batch_size=None, collate_fn=lambda batch: batch)
    )  # type: ignore[arg-type]


def _play_clipped(model: nn.Module, strategy: Strategy, given: Sequence[Batch]) -> None:
    players = strategy.players(model)
    optimizers = {name: descent(owned) for name, owned in players.items()}
    for step, batch in enumerate(given):
        for player, objective in strategy.turns(step):
            slopes = torch.autograd.grad(objective(model, batch).total, players[player])
            norm = torch.cat([slope.flatten() for slope in slopes]).square().sum().sqrt()
            for parameter, slope in zip(players[player], slopes, strict=True):
                parameter.grad = slope * (BOUND / norm).clamp(max=1)
            optimizers[player].step()


def _apart(theirs: Iterable[Tensor], ours: Iterable[Tensor]) -> float:
    return max(apart(*pair) for pair in zip(theirs, ours, strict=True))
