"""Work for a number of minutes: end runs at the end of an epoch, if the next one would not fit."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from debias.config import Config
from debias.sweeps.plan import PlannedRun


class OutOfTime(Exception):
    """The minutes of a piece of work are over. The same command continues."""


@dataclass(frozen=True)
class TimedTraining:
    """Trains a run until the end of the last epoch that fits before a deadline.

    Args:
        train: ``debias.commands.train.train``, which calls its argument ``watch`` after each epoch
            of the last stage. Its checkpoint is then written.
        deadline: time of ``time.monotonic``, which all processes of a machine share.
    """

    train: Callable[..., Path]
    deadline: float

    def __call__(self, config: Config, *, resume: Path | None = None) -> Path:
        """Train, evaluate and report one run, and return its folder.

        Raises:
            OutOfTime: the next epoch would end after the deadline.
        """
        watch = partial(end_before, self.deadline, config.epochs)
        return self.train(config, resume=resume, watch=watch)


def end_before(deadline: float, epochs: int, history: Sequence[dict[str, Any]]) -> None:
    """End a run after an epoch, if an epoch of the same length would end after the deadline.

    The last epoch does not end it, because only predictions are left.

    Args:
        deadline: time of ``time.monotonic``.
        epochs: epochs of the run.
        history: one entry per epoch, with its ``seconds``.

    Raises:
        OutOfTime: the next epoch does not fit.
    """
    seconds = history[-1]["seconds"]
    if len(history) < epochs and time.monotonic() + seconds > deadline:
        raise OutOfTime(f"the next epoch takes {seconds:.0f} s, and does not fit")


def has_progress(runs: Iterable[PlannedRun], since: float) -> bool:
    """Whether one of the runs has ended, or has written a checkpoint, since a time of ``time``."""
    written = (path for run in runs for path in run.folder.rglob("*") if _is_progress(path))
    return any(path.stat().st_mtime >= since for path in written)


def _is_progress(path: Path) -> bool:
    return path.suffix == ".ckpt" or path.name == "report.json"
