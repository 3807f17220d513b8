"""Loggers by name: TensorBoard, a CSV file, Weights & Biases, and MLflow.

They write into the run's folder, and to the service that their environment variables name. A run
that resumes continues what it has logged before.
"""

import csv
import io
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from debias.errors import InputError, near
from debias.files import write_atomically

#: The loggers, and those among them whose package is an extra of the same name.
LOGGERS, EXTRAS = ("tensorboard", "csv", "wandb", "mlflow"), ("wandb", "mlflow")
#: File in a run's folder with the names that W&B and MLflow gave to the logged run.
LOGGED_AS = "logged_as.json"
#: The project of W&B and the experiment of MLflow, unless their environment variables name one.
PROJECT = "debias"


def check_loggers(names: Sequence[str]) -> None:
    """Check the names of loggers, and that their packages are installed.

    Raises:
        ValueError: a logger is unknown, is named twice, or needs a package that is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise InputError(f"unknown logger {name!r} in loggers; {near(name, LOGGERS)}")
        if names.count(name) > 1:
            raise InputError(f"loggers names {name} {names.count(name)} times: name it once")
        if name in EXTRAS and find_spec(name) is None:
            raise InputError(
                f"loggers=[{name}] needs the package {name}: "
                f'pip install "debias-vision[{name}]", or leave {name} out'
            )


def make_loggers(names: Sequence[str], folder: Path, title: str) -> list[Logger]:
    """Make the loggers of a run, or of one of its stages.

    Args:
        names: names of loggers, see :func:`check_loggers`.
        folder: folder of the run or stage.
        title: name of the logged run in W&B and MLflow.
    """
    logged_as = _logged_as(folder)
    make: dict[str, Callable[[], Logger]] = {
        "tensorboard": partial(TensorBoardLogger, folder, name="tensorboard", version=""),
        "csv": partial(MetricsFile, folder / "metrics.csv"),
        "wandb": partial(_wandb, folder, title, logged_as.get("wandb")),
        "mlflow": partial(_mlflow, folder, title, logged_as.get("mlflow")),
    }
    return [make[name]() for name in names]


@rank_zero_only
def begin_logging(loggers: Sequence[Logger], folder: Path, settings: Mapping[str, Any]) -> None:
    """Start a logged run in W&B and MLflow, with these settings; or find it, if a run resumes.

    Args:
        loggers: the result of :func:`make_loggers` for the same folder.
        folder: folder of the run or stage.
        settings: the settings that a new logged run shows.
    """
    for logger in loggers:
        name = {WandbLogger: "wandb", MLFlowLogger: "mlflow"}.get(type(logger), "")
        logged_as = _logged_as(folder)
        if name and name not in logged_as:
            logger.log_hyperparams(dict(settings))
            logged_as[name] = str(logger.version)
            write_atomically(folder / LOGGED_AS, json.dumps(logged_as) + "\n")


@rank_zero_only
def log_result(loggers: Sequence[Logger], numbers: Mapping[str, float]) -> None:
    """Log the numbers of a finished run. The CSV file does not take them: its rows are epochs."""
    for logger in loggers:
        if not isinstance(logger, MetricsFile):
            logger.log_metrics(dict(numbers))
            logger.finalize("success")


@rank_zero_only
def end_logging(loggers: Sequence[Logger]) -> None:
    """End the logged run of W&B, so that a later run in this process starts another one."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


@rank_zero_only
def log_picture(loggers: Sequence[Logger], name: str, picture: Tensor, epoch: int) -> None:
    """Log a ``(3, H, W)`` picture with values in [0, 1] to all loggers that take pictures."""
    pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, epoch)
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [pixels])
        elif isinstance(logger, MLFlowLogger):
            logger.experiment.log_image(logger.run_id, pixels, f"{name}-epoch={epoch:03d}.png")


def takes_pictures(loggers: Sequence[Logger]) -> bool:
    """Whether some logger takes pictures."""
    return any(not isinstance(logger, MetricsFile) for logger in loggers)


class MetricsFile(Logger):
    """Writes one row per step to a CSV file: all metrics that were logged at the step.

    If the file exists, its rows before the first new step stay. Lightning's own logger would delete
    them when a run resumes.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.rows = path, dict[int, dict[str, Any]]()
        self.resumed = path.is_file()
        if self.resumed:
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = {int(row["step"]): dict(row) for row in csv.DictReader(file)}

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """The file has one version."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their step."""
        step = step or 0
        if self.resumed:
            self.rows = {key: row for key, row in self.rows.items() if key < step}
            self.resumed = False
        self.rows[step] = self.rows.get(step, {}) | {**metrics, "step": step}

    def log_hyperparams(self, params: Any) -> None:
        """Do nothing: the run's ``config.yaml`` has the settings."""

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole; no file without rows."""
        if not self.rows:
            return
        names = {name: None for row in self.rows.values() for name in row}
        first = [name for name in ("epoch", "step") if name in names]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys([*first, *names])))
        writer.writeheader()
        writer.writerows(self.rows.values())
        write_atomically(self.path, text.getvalue())


def _logged_as(folder: Path) -> dict[str, str]:
    path = folder / LOGGED_AS
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _wandb(folder: Path, title: str, logged_as: str | None) -> WandbLogger:
    os.environ.setdefault("WANDB_CACHE_DIR", str(folder.resolve() / "wandb" / "cache"))
    project = os.environ.get("WANDB_PROJECT", PROJECT)
    # a random name, so that the same settings can be logged a second time from another folder
    own = logged_as or secrets.token_hex(4)
    return WandbLogger(name=title, save_dir=folder, id=own, project=project)


def _mlflow(folder: Path, title: str, logged_as: str | None) -> MLFlowLogger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    place, experiment = folder.resolve(), os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    server = os.environ.get("MLFLOW_TRACKING_URI")
    return MLFlowLogger(
        experiment,
        run_name=title,
        run_id=logged_as,
        tracking_uri=server or f"sqlite:///{place / 'mlflow.db'}",
        artifact_location=None if server else (place / "mlartifacts").as_uri(),
    )
