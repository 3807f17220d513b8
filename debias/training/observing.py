"""Observers of a run: after each epoch they measure the training samples, before the checkpoint."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from debias.strategies.observing import observe
from debias.training.prediction import autocast
from debias.types import Observer


class EndOfEpoch(Callback):
    """Lets observers measure the training split after each epoch; see :mod:`debias.types`.

    It needs the DataModule of debias, :class:`debias.data.datamodule.ImageData`. Lightning calls it
    before the recorder, so that the checkpoint of an epoch holds what was observed after it.

    Args:
        observers: strategies or orders.
        precision: a precision of Lightning's Trainer.
    """

    def __init__(self, observers: Sequence[Observer], precision: str = "32-true") -> None:
        self.observers, self.precision = observers, precision

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the training split in evaluation mode."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        moved = (
            data.transfer_batch_to_device(batch, pl_module.device, 0)
            for batch in data.loader("train")
        )
        batches = (data.on_after_batch_transfer(batch, 0) for batch in moved)
        with autocast(self.precision, pl_module.device):
            observe(self.observers, pl_module, batches)
