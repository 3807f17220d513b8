"""Trains one stage, and records each of its epochs."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from debias import config as configs
from debias import processes
from debias.config import Config
from debias.evaluation.predictions import write_predictions
from debias.merging import Settings
from debias.parts import Parts
from debias.progress import say
from debias.reports.privacy import without_places
from debias.reports.split import Scalars
from debias.runs.epochs import state_of, write_state
from debias.training.averaging import WeightAverage
from debias.training.checkpoints import newest_checkpoint
from debias.training.compilation import compiled
from debias.training.fit import NOTHING, Additions, fit, trainer
from debias.training.loggers import begin_logging, end_logging, log_result, make_loggers
from debias.training.module import followed
from debias.training.observing import EndOfEpoch
from debias.training.pictures import PreparedPictures
from debias.training.prediction import Predicted
from debias.training.recorder import Recorder, Watch
from debias.types import Observer


def single(
    parts: Parts,
    config: Config,
    folder: Path,
    *,
    watch: Watch | None = None,
    additions: Additions = NOTHING,
) -> Recorder:
    """Train one model with one strategy, from the start or from the last checkpoint.

    Args:
        parts: the objects of the stage.
        config: config of the stage, with epochs, seed and devices. Every checkpoint holds it.
        folder: folder of the stage or run.
        watch: called with the history after each epoch.
        additions: the user's own callbacks and options of the Trainer.

    Returns:
        The recorder of the epochs, which knows the epoch that each selection rule prefers.
    """
    recorder = recorder_of(parts, config, folder, watch=watch)
    loggers = make_loggers(config.loggers, folder, title_of(folder))
    average = [] if config.ema is None else [WeightAverage(config.ema)]
    lightning = trainer(
        folder,
        epochs=config.epochs,
        seed=config.seed,
        precision=parts.precision,
        accelerator=parts.accelerator,
        devices=config.devices,
        nodes=config.nodes,
        sync_batchnorm=config.sync_batchnorm,
        unused=parts.module.leaves_unused,
        progress=config.progress,
        callbacks=[
            *average,
            PreparedPictures(parts.data.mean, parts.data.std),
            *_observing(parts),
            *additions.callbacks,
            recorder,
        ],
        loggers=loggers,
        options=additions.options,
    )
    begin_logging(loggers, folder, _settings(config))
    start = processes.by_first(partial(newest_checkpoint, recorder.folder))
    with compiled(parts.module.model) if config.compile else nullcontext():
        fit(parts.module, parts.data, lightning, resume=start)
    end_logging(loggers)
    return recorder


def _observing(parts: Parts) -> list[EndOfEpoch]:
    """The callback for a strategy or an order that observes the training images; else none."""
    both: tuple[object, ...] = (parts.module.strategy, parts.data.order)
    observers = [each for each in both if isinstance(each, Observer)]
    return [EndOfEpoch(observers, parts.precision)] if observers else []


def log_test(config: Config, folder: Path, scalars: Scalars) -> None:
    """Add the metrics of the test split to the logged run, as ``test/worst_group`` and so on.

    Args:
        config: config of the run.
        folder: folder of the run.
        scalars: the metrics of the report by name. Undefined ones, and those that the curves of
            training leave out, are not logged.
    """
    loggers = make_loggers(config.loggers, folder, title_of(folder))
    begin_logging(loggers, folder, _settings(config))
    defined = {name: value for name, value in followed(scalars).items() if value is not None}
    log_result(loggers, {f"test/{name}": value for name, value in defined.items()})
    end_logging(loggers)


def title_of(folder: Path) -> str:
    """Name of the logged run: that of the run's folder, and for an early stage its name too."""
    staged = folder.parent.name == "stages"
    return f"{folder.parents[1].name}/{folder.name}" if staged else folder.name


def _settings(config: Config) -> Settings:
    """The settings that loggers show: those of the report."""
    settings = configs.plain(config)
    return without_places(settings) if config.anonymous else settings


def recorder_of(
    parts: Parts, config: Config, folder: Path, *, watch: Watch | None = None
) -> Recorder:
    """Make the recorder of a stage's epochs; arguments as in :func:`single`."""

    def write(epoch: int, predicted: Predicted) -> None:
        """Write the validation predictions of an epoch."""
        path = folder / "predictions" / f"val-epoch={epoch:03d}.csv"
        write_predictions(path, parts.examples, predicted)

    def show(history: list[dict[str, Any]]) -> None:
        """Print the line of the epoch, and call ``watch``."""
        state = state_of(history, epochs=config.epochs, select=config.select)
        say(state.line())
        write_state(folder, state)
        if watch is not None:
            watch(history)

    metadata, keep_all = {"config": configs.plain(config)}, config.keep_all
    checkpoints = folder / "checkpoints"
    return Recorder(checkpoints, write=write, metadata=metadata, keep_all=keep_all, watch=show)
