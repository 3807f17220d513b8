"""Small stand-ins that several tests train on."""

from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from debias.data.examples import Examples
from debias.data.sets.drawn_birds import drawn_birds
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Outputs

GROUPS = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))


class BodyNetwork(nn.Module):
    """A body, and a head that reads its features."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(image)
        return Outputs(self.head(features), features)


class BackboneNetwork(nn.Module):
    """A backbone, as networks of timm have it, and a head."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, image: Tensor) -> Outputs:
        features = self.backbone(image)
        return Outputs(self.head(features), features)


class TinyClassifier(BodyNetwork):
    """Pixels to a few tanh features to logits."""

    def __init__(self, pixels: int = 12, features: int = 5, outputs: int = 2) -> None:
        body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, features), nn.Tanh())
        super().__init__(body, nn.Linear(features, outputs))
        self.feature_size = features


def seeded(seed: int = 0) -> torch.Generator:
    """A random generator."""
    return torch.Generator().manual_seed(seed)


def batch_of(samples: int, *, seed: int = 0, side: int = 2) -> Batch:
    """A batch of random small images in which target and bias show, all four groups present."""
    generator = torch.Generator().manual_seed(seed)
    target, bias = torch.arange(samples) % 2, torch.arange(samples) // 2 % 2
    image = torch.randn(samples, 3, side, side, generator=generator)
    image[:, 0, 0, 0] += target
    image[:, 1, 0, 0] += 3 * bias
    return Batch(image, target, bias, torch.arange(samples))


class TinyData(pl.LightningDataModule):
    """The samples of ``batch_of`` in a fixed order, for training and validation."""

    def __init__(self, samples: int = 48, batch_size: int = 8, side: int = 2) -> None:
        super().__init__()
        self.batch, self.batch_size = batch_of(samples, side=side), batch_size

    def batches(self) -> list[Batch]:
        """The training batches of every epoch."""
        columns = [column.split(self.batch_size) for column in self.batch[:4]]
        return [Batch(*parts) for parts in zip(*columns, strict=True)]

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(TensorDataset(*self.batch[:4]), self.batch_size, collate_fn=_collate)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.train_dataloader()


def take_turns(
    strategy: Strategy,
    model: nn.Module,
    batch: Batch,
    step: int,
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> None:
    """One step of a plain loop: each player takes its turn and updates its own parameters."""
    players = strategy.players(model)
    for player, objective in strategy.turns(step):
        loss = objective(model, batch).total
        optimizers[player].zero_grad()
        loss.backward(inputs=players[player])
        optimizers[player].step()


def worst_group(logits: Tensor, batch: Batch) -> float:
    """Accuracy of the worst of the four groups."""
    right = (GROUPS.predict(logits) == batch.target).float()
    group = GROUPS.encode(batch.target, batch.bias)
    return min(right[group == number].mean().item() for number in range(GROUPS.count))


def _collate(rows: list[tuple[Tensor, ...]]) -> Batch:
    return Batch(*(torch.stack(column) for column in zip(*rows, strict=True)))


def birds(
    folder: Path, *, train: int = 80, val: int = 40, test: int = 40, size: int = 32
) -> Examples:
    """A very small drawn set."""
    return drawn_birds(root=str(folder / "birds"), train=train, val=val, test=test, size=size)
