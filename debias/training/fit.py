"""Training by Lightning's Trainer: a run resumes exactly, and writes only into its own folder."""

import logging
import random
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.loggers import Logger

from debias.errors import InputError, near
from debias.progress import draws_bars
from debias.training.checkpoints import CheckpointFiles
from debias.training.cluster import cluster
from debias.training.epoch_bar import EpochBar
from debias.training.module import DebiasModule

#: Warnings of Lightning that need no action of a user.
HARMLESS = (
    "does not have many workers",
    "number of training batches.*smaller than the logging interval",
    "LeafSpec",
    # model.freeze_batch_norm keeps batch normalisation in evaluation mode
    "in eval mode at the start of training",
    # the values that debias logs are those of all processes
    r"sync_dist=True",
    # debias starts one process per device itself, without Slurm's srun
    "`srun` command is available",
)


#: Options of Lightning's Trainer that a user may set. debias sets the others itself, or its config
#: has a key for them.
TRAINER_OPTIONS = (
    "benchmark", "detect_anomaly", "deterministic", "enable_model_summary", "log_every_n_steps",
    "profiler",
)  # fmt: skip


class Additions(NamedTuple):
    """What a user adds to the training of a run, from Python.

    Attributes:
        callbacks: callbacks of Lightning. They are called in training of the last stage.
        options: options of Lightning's Trainer, in every stage; see :data:`TRAINER_OPTIONS`.
    """

    callbacks: Sequence[Callback] = ()
    options: Mapping[str, Any] = MappingProxyType({})

    def check(self) -> None:
        """Check the types of the callbacks and the names of the options.

        Raises:
            ValueError: a callback is not one of ``pytorch_lightning``, or writes checkpoints; or an
                option may not be set.
        """
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise InputError(
                    "a callback must be a pytorch_lightning.callbacks.Callback; got "
                    f"{type(callback).__module__}.{type(callback).__qualname__}"
                )
            if isinstance(callback, Checkpoint):
                raise InputError(
                    f"{type(callback).__name__} cannot be added, since a run writes its own "
                    "checkpoints: keep_all=true keeps the weights of every epoch"
                )
        for name in self.options:
            if name not in TRAINER_OPTIONS:
                raise InputError(
                    f"the Trainer option {name!r} cannot be set; {near(name, TRAINER_OPTIONS)}"
                )

    def described(self) -> dict[str, Any]:
        """The report's entry: classes of the callbacks, and options as texts; empty if none."""
        classes = [type(each) for each in self.callbacks]
        names = [f"{each.__module__}.{each.__qualname__}" for each in classes]
        options = {name: str(value) for name, value in self.options.items()}
        return {"from_python": {"callbacks": names, "trainer": options}} if names or options else {}


NOTHING = Additions()


class OwnSignals(Callback):
    """Restores the process's own handler of SIGTERM, since Lightning's ends with exit code 0."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handler that was set when this callback was created."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class EpochSeed(Callback):
    """Sets all random states at the start of every epoch, from (seed, epoch, rank) alone.

    A run that resumes at an epoch then draws the same random numbers as an uninterrupted run, on
    every device.

    Args:
        seed: seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed Python, numpy and torch for this epoch and process."""
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
    nodes: int = 1,
    sync_batchnorm: bool = False,
    unused: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> pl.Trainer:
    """Make the Trainer of one run, with the samplers and checkpoints of debias.

    Lightning's requeueing of Slurm jobs is switched off.

    Args:
        folder: Lightning's root folder, so that nothing is read from or written to the working
            directory.
        epochs: passes over the training loader.
        seed: seed of the run.
        precision: a precision of Lightning's Trainer, such as "bf16-mixed".
        accelerator: an accelerator of Lightning's Trainer, such as "cuda".
        devices: number of devices of each machine, with one process each. Several processes use
            DistributedDataParallel.
        nodes: number of machines.
        sync_batchnorm: normalise over the images of all processes.
        unused: whether a step may leave parameters without gradient. DistributedDataParallel must
            know this in advance.
        progress: draw a moving bar for each epoch, on a terminal.
        callbacks: further callbacks.
        loggers: see :func:`debias.training.loggers.make_loggers`.
        options: further options of the Trainer, see :class:`Additions`.
    """
    bar = [EpochBar()] if progress and draws_bars() else []
    distributed = "ddp_find_unused_parameters_true" if unused else "ddp"
    with _without_advice():
        return pl.Trainer(
            default_root_dir=folder,
            max_epochs=epochs,
            precision=precision,  # type: ignore[arg-type]
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            sync_batchnorm=sync_batchnorm,
            strategy=distributed if nodes * devices > 1 else "auto",
            plugins=[cluster(), CheckpointFiles()],
            logger=list(loggers),
            callbacks=[OwnSignals(), EpochSeed(seed), *bar, *callbacks],
            enable_progress_bar=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            **{"enable_model_summary": False, **options},
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
        module: the module with model and strategy.
        data: loaders of the training and validation splits.
        trainer: see :func:`trainer`.
        resume: checkpoint from which training resumes; ``None`` starts from the first epoch.
    """
    with _without_advice():
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Hide log lines and warnings of Lightning that need no action of a user."""
    # the Trainer logs advertisements, and a list of absent accelerators
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in HARMLESS:
            warnings.filterwarnings("ignore", f".*{message}.*")
        yield
