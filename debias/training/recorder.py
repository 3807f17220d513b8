"""Records every epoch: its history entry, validation predictions, weights and checkpoint."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from debias.metrics.selection import LAST as LAST_RULE
from debias.metrics.selection import best_epochs
from debias.training.checkpoints import LAST, PREVIOUS, write_tensors
from debias.training.module import DebiasModule
from debias.training.prediction import Predicted, joined
from debias.training.terms import diverged

#: An epoch of the history, the state of a callback or the metadata of a checkpoint, by name.
Entries = dict[str, Any]
#: A function that gets the history after each epoch.
Watch = Callable[[list[Entries]], None]


class Recorder(Checkpoint):
    """Writes the files of every epoch that resuming, and the later selection of an epoch, need.

    After each epoch it writes, in this order:

    1. the validation predictions;
    2. the weights, if a selection rule prefers this epoch to all earlier ones. The rule ``last``
       does not count before the final epoch;
    3. ``last.ckpt``, from which training resumes. One epoch later it becomes ``previous.ckpt``.

    When the next epoch starts, it removes the weights that no rule prefers any more. Those that a
    rule preferred at ``previous.ckpt`` stay. A run that is killed at any moment then still has the
    weights that its checkpoints refer to. A warm-up epoch, in which only other networks are
    updated, has no validation metrics, so that no rule prefers it.

    Args:
        folder: receives ``last.ckpt``, ``previous.ckpt`` and ``epoch=NNN.ckpt``.
        write: called in one process with each epoch and its validation predictions.
        metadata: plain values for every checkpoint, such as the config.
        keep_all: keep the weights of every epoch.
        watch: called in one process with the history, after the files of the epoch are written;
            training ends if it raises.
    """

    def __init__(
        self,
        folder: Path,
        *,
        write: Callable[[int, Predicted], None],
        metadata: Entries | None = None,
        keep_all: bool = False,
        watch: Watch | None = None,
    ) -> None:
        self.folder, self.write = folder, write
        self.metadata, self.keep_all = metadata or {}, keep_all
        self.watch = watch
        self.history: list[Entries] = []
        self.parts: list[Predicted] = []
        self.started, self.stopped = 0.0, False

    @property
    def last(self) -> Path:
        """Path of the checkpoint from which training resumes."""
        return self.folder / LAST

    def forget_previous(self) -> None:
        """Remove ``previous.ckpt``. Call it when training has finished."""
        (self.folder / PREVIOUS).unlink(missing_ok=True)

    def weights(self, epoch: int) -> Path:
        """Path of the weights of one epoch."""
        return self.folder / f"epoch={epoch:03d}.ckpt"

    def preferred(self, *, epochs: int | None = None) -> dict[str, int]:
        """The epoch that each selection rule prefers, among all or only the first ``epochs``."""
        return best_epochs([entry["val"] for entry in self.history[:epochs]])

    def _best(self, *, epochs: int | None = None) -> set[int]:
        return {epoch for rule, epoch in self.preferred(epochs=epochs).items() if rule != LAST_RULE}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a resumed training at once if a callback of the user had ended it."""
        trainer.should_stop |= self.stopped

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; remove the weights that no rule prefers any more."""
        self.started = time.monotonic()
        if trainer.is_global_zero and self.history and not self.keep_all:
            preferred = self._best() | self._best(epochs=len(self.history) - 1)
            needed = {self.weights(epoch) for epoch in preferred}
            for path in set(self.folder.glob("epoch=*.ckpt")) - needed:
                path.unlink()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keep the predictions of the batch until the epoch ends."""
        self.parts.append(outputs)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the files of the epoch, and add it to the history.

        Raises:
            InputError: a validation logit is not finite; nothing is written then.
        """
        assert isinstance(pl_module, DebiasModule)
        epoch = trainer.current_epoch
        predicted, self.parts = joined(self.parts), []
        if not bool(predicted.logits.isfinite().all()):
            raise diverged(f"a validation logit after epoch {epoch}", epoch)
        steps = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        moved = epoch >= pl_module.strategy.idle_epochs and pl_module.model_has_moved(steps)
        self.history.append(self._entry(epoch, pl_module, moved))
        self.stopped = trainer.should_stop  # a callback of the user may end training early
        if trainer.is_global_zero:
            self.write(epoch, predicted)
            final = self.stopped or epoch + 1 == trainer.max_epochs
            if self.keep_all or final or epoch in self._best():
                save_weights(pl_module, self.weights(epoch), self.metadata | {"epoch": epoch})
        # every process takes part; the first one writes
        trainer.save_checkpoint(self.last, weights_only=False)
        if trainer.is_global_zero and self.watch is not None:
            self.watch(self.history)

    def _entry(self, epoch: int, module: DebiasModule, moved: bool) -> Entries:
        seconds, validation = time.monotonic() - self.started, module.validation if moved else {}
        means = module.training_means()
        return {"epoch": epoch, "train": means, "val": validation, "seconds": seconds}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Entries
    ) -> None:
        """Add the metadata to the checkpoint."""
        checkpoint.update(self.metadata)

    def state_dict(self) -> Entries:
        """The history so far, and whether training has ended early, for the checkpoint."""
        return {"history": self.history, "stopped": self.stopped}

    def load_state_dict(self, state_dict: Entries) -> None:
        """Restore the state of a resumed run. Checkpoints of earlier releases lack ``stopped``."""
        self.history = state_dict["history"]
        self.stopped = state_dict.get("stopped", False)


def save_weights(module: pl.LightningModule, path: Path, metadata: Entries) -> None:
    """Write the weights of a module and plain metadata atomically."""
    write_tensors(path, {"state_dict": module.state_dict(), **metadata})
