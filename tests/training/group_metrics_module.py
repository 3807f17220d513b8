"""A LightningModule that knows nothing of debias, and its validation in one process or in two."""

import os
from importlib import import_module
from types import ModuleType
from typing import Any

import pytorch_lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from debias.training.group_metrics import GroupMetrics
from tests.fakes import GROUPS

#: 37 samples: not divisible by two processes. The last one has an unknown bias.
SAMPLES = 37
TARGET = torch.arange(SAMPLES) % 2
BIAS = torch.arange(SAMPLES) // 2 % 2
BIAS[-1] = -1
LOGITS = torch.randn(SAMPLES, 2, generator=torch.Generator().manual_seed(0))
#: A sample that is counted twice changes the accuracy of its group.
LOGITS[0] = torch.tensor([0.0, 1.0])


def foreign(lightning: ModuleType, returned: Any) -> Any:
    """A module of a Lightning package, whose steps return ``returned(logits, target, bias)``."""

    class Foreign(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def training_step(self, batch: Any, batch_index: int) -> Tensor:
            return self.weight.square()

        def validation_step(self, batch: Any, batch_index: int, dataloader_idx: int = 0) -> Any:
            return returned(batch[0] * self.weight.exp(), *batch[1:])

        test_step = validation_step

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Foreign()


def loader(rows: slice = slice(None)) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(LOGITS[rows], TARGET[rows], BIAS[rows]), batch_size=8)


def trainer(
    callback: GroupMetrics, lightning: ModuleType = pytorch_lightning, **options: Any
) -> Any:
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
        **options,
    )


def logits(logits: Tensor, target: Tensor, bias: Tensor) -> Tensor:
    return logits


def validated(lightning: str = "pytorch_lightning", **options: Any) -> dict[str, Any]:
    """The logged numbers of a validation whose module returns logits alone."""
    package = import_module(lightning)
    validation = trainer(GroupMetrics(GROUPS, ("logits", 1, 2)), package, **options)
    (found,) = validation.validate(foreign(package, logits), loader(), verbose=False)
    return found


def on_rank(rank: int) -> dict[str, Any]:
    os.environ["LOCAL_RANK"] = str(rank)
    return validated(devices=2, strategy="ddp")
