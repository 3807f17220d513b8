"""A moving bar over the batches of each epoch, for a terminal."""

from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm


class EpochBar(pl.Callback):
    """Draws a bar over the training and validation batches of an epoch, and removes it at the end.

    It reads nothing from the device. The line of the finished epoch takes its place.
    """

    def __init__(self) -> None:
        self.bar: Any = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw an empty bar."""
        batches = trainer.num_training_batches + sum(trainer.num_val_batches)
        title = f"epoch {trainer.current_epoch}"
        self.bar = tqdm(desc=title, total=batches, unit="batch", leave=False, mininterval=0.5)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Move the bar by one batch."""
        self.bar.update()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Move the bar by one batch."""
        self.bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self.bar.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Remove the bar, so that the message begins on a new line."""
        if self.bar is not None:
            self.bar.close()
