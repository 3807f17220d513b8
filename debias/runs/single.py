"""Trains one stage, and records each of its epochs."""

from pathlib import Path

from debias import config as configs
from debias.config import Config
from debias.evaluation.predictions import write_predictions
from debias.parts import Parts
from debias.training.checkpoints import newest_checkpoint
from debias.training.fit import fit, trainer
from debias.training.pictures import PreparedPictures
from debias.training.prediction import Predicted
from debias.training.recorder import Recorder, Watch


def single(parts: Parts, config: Config, folder: Path, *, watch: Watch | None = None) -> Recorder:
    """Train one model with one strategy, from the start or from the last checkpoint.

    Args:
        parts: the objects of the stage.
        config: config of the stage, with epochs, seed and devices. Every checkpoint holds it.
        folder: folder of the stage or run.
        watch: called with the history after each epoch.

    Returns:
        The recorder of the epochs, which knows the epoch that each selection rule prefers.
    """
    recorder = recorder_of(parts, config, folder, watch=watch)
    lightning = trainer(
        folder,
        epochs=config.epochs,
        seed=config.seed,
        precision=parts.precision,
        accelerator=parts.accelerator,
        devices=config.devices,
        unused=parts.module.leaves_unused,
        progress=config.progress,
        callbacks=[PreparedPictures(parts.data.mean, parts.data.std), recorder],
    )
    fit(parts.module, parts.data, lightning, resume=newest_checkpoint(recorder.folder))
    return recorder


def recorder_of(
    parts: Parts, config: Config, folder: Path, *, watch: Watch | None = None
) -> Recorder:
    """Make the recorder of a stage's epochs; arguments as in :func:`single`."""

    def write(epoch: int, predicted: Predicted) -> None:
        """Write the validation predictions of an epoch."""
        path = folder / "predictions" / f"val-epoch={epoch:03d}.csv"
        write_predictions(path, parts.examples, predicted)

    metadata, keep_all = {"config": configs.plain(config)}, config.keep_all
    checkpoints = folder / "checkpoints"
    return Recorder(checkpoints, write=write, metadata=metadata, keep_all=keep_all, watch=watch)
