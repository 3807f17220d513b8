"""The exponential moving average of all weights (EMA), which is validated, selected and saved."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from debias.training.module import DebiasModule

#: Entry of a checkpoint with the weights that training continues from. The usual entry,
#: "state_dict", has the averaged ones.
TRAINED = "trained_state_dict"


class WeightAverage(Callback):
    """Averages the weights of model and strategy after every batch, by timm's ``ModelEmaV3``.

    The averaged modules take the place of the trained ones in the module from the last batch of an
    epoch until the next epoch starts. Validation, the selection of the epoch, the saved weights and
    the checkpoints are therefore those of the averaged weights.

    The decay grows to ``decay``. After batch t, counted from 0, it is
    :math:`\\min(\\text{decay}, 1 - (1 + t)^{-3/4})`, so that the average forgets the initial
    weights. It reaches 0.99 after 463 batches, and 0.999 after 9,999.

    Args:
        decay: the largest decay, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.restored: dict[str, Tensor] | None = None
        self.waiting: nn.ModuleDict | None = None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the averaged weights from the checkpoint, and load the trained ones."""
        # without the state of the augmentation, which has no average
        self.restored = {name: checkpoint["state_dict"][name] for name in checkpoint[TRAINED]}
        _modules(pl_module).load_state_dict(checkpoint[TRAINED])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights on their device, or continue the average of the checkpoint."""
        self.average = ModelEmaV3(
            _modules(pl_module), decay=self.decay, use_warmup=True, warmup_power=0.75
        )
        if self.restored is not None:
            self.average.module.load_state_dict(self.restored)
        buffers = self.average.module.named_buffers()
        self.infinite = [name for name, buffer in buffers if bool(buffer.isinf().any())]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the trained modules back in their place."""
        if self.waiting is not None:
            _replace(pl_module, self.waiting)
            self.waiting = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Update the average; after the last batch of an epoch, put it in place."""
        loop = trainer.fit_loop.epoch_loop
        modules = _modules(pl_module)
        self.average.update(modules, step=loop.total_batch_idx + 1)
        for name in self.infinite:  # the average of infinities, such as log 0, would be NaN
            average, value = self.average.module.get_buffer(name), modules.get_buffer(name)
            average.copy_(torch.where(value.isinf(), value, average))
        if loop.batch_progress.is_last_batch:
            self._put_in_place(pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in place also if a callback of the user ends training in an epoch."""
        if self.waiting is None:
            self._put_in_place(pl_module)

    def _put_in_place(self, pl_module: pl.LightningModule) -> None:
        self.waiting = _modules(pl_module)
        _replace(pl_module, self.average.module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the trained weights to the checkpoint, whose ``state_dict`` is the average."""
        assert self.waiting is not None
        checkpoint[TRAINED] = self.waiting.state_dict()


def _modules(module: pl.LightningModule) -> nn.ModuleDict:
    """Model and strategy, whose keys in a state dict are those of the whole module."""
    assert isinstance(module, DebiasModule)
    return nn.ModuleDict({"model": module.model, "strategy": module.strategy})


def _replace(module: pl.LightningModule, others: nn.ModuleDict) -> None:
    module.model, module.strategy = others["model"], others["strategy"]
