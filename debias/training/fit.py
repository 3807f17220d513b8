"""The verb *fit*: Lightning's Trainer; a run resumes exactly, and writes only into its folder."""

import logging
import random
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger

from debias.training.checkpoints import CheckpointFiles
from debias.training.module import DebiasModule

#: Warnings of Lightning that ask nothing of a user.
HARMLESS = (
    "does not have many workers",
    "number of training batches.*smaller than the logging interval",
    "LeafSpec",
    # of batch normalisation that model.freeze_batch_norm holds in evaluation mode
    "in eval mode at the start of training",
    # one process a device is started by us, not by Slurm's srun
    "`srun` command is available",
)


class OwnSignals(Callback):
    """Leaves SIGTERM to the process's own handler: Lightning's ends training with exit code 0."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the handler back."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class EpochSeed(Callback):
    """Starts every epoch from random states that follow from (seed, epoch, rank) alone.

    A run that is resumed at an epoch then draws exactly what the uninterrupted run drew, on every
    device.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed Python, numpy and torch."""
        seed_all(self.seed, trainer.current_epoch + 1, trainer.global_rank)


def seed_all(*keys: int) -> None:
    """Seed Python, numpy and torch on all devices from a few integers."""
    (seed,) = numpy.random.SeedSequence(keys).generate_state(1)
    random.seed(int(seed))
    numpy.random.seed(int(seed))
    torch.manual_seed(int(seed))


def trainer(
    folder: Path,
    *,
    epochs: int,
    seed: int,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int = 1,
    unused: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> pl.Trainer:
    """A Trainer for one run: our samplers, our checkpoints, no cluster magic.

    Args:
        folder: receives the TensorBoard logs, and is Lightning's root, so that nothing is read from
            or written to the working directory.
        epochs: passes over the training loader.
        seed: of the run.
        precision: as the Trainer takes it.
        accelerator: as the Trainer takes it.
        devices: processes; more than one trains by DistributedDataParallel.
        unused: whether a step may leave parameters without gradient, of which
            DistributedDataParallel is to be told.
        progress: show a progress bar.
        callbacks: further ones.
    """
    bar = [TQDMProgressBar(refresh_rate=20)] if progress else []
    distributed = "ddp_find_unused_parameters_true" if unused else "ddp"
    with _without_advice():
        return pl.Trainer(
            default_root_dir=folder,
            max_epochs=epochs,
            precision=precision,  # type: ignore[arg-type]
            accelerator=accelerator,
            devices=devices,
            strategy=distributed if devices > 1 else "auto",
            # Lightning's own Slurm requeue would load a stranger's checkpoint
            plugins=[LightningEnvironment(), CheckpointFiles()],
            logger=TensorBoardLogger(folder, name="tensorboard", version=""),
            callbacks=[OwnSignals(), EpochSeed(seed), *bar, *callbacks],
            enable_progress_bar=progress,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )


def fit(
    module: DebiasModule,
    data: pl.LightningDataModule,
    trainer: pl.Trainer,
    *,
    resume: Path | None = None,
) -> None:
    """Train to the last epoch, from the start or from a checkpoint.

    Args:
        module: model and strategy.
        data: loaders of the training and validation splits.
        trainer: see :func:`trainer`.
        resume: checkpoint to go on from.
    """
    with _without_advice():
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Do not show the advice of Lightning that a user need not follow."""
    # the Trainer's advertisements and its list of absent accelerators
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in HARMLESS:
            warnings.filterwarnings("ignore", f".*{message}.*")
        yield
