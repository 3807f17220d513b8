"""How far the training of a stage is after an epoch: a line for people, and a file for others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import MisfitError, json_text, read_json, typed
from debias.metrics.selection import LAST, RULES, best_epochs, chosen_rule
from debias.progress import duration
from debias.reports.wording import percent

#: File with the state of the training, in the folder of a run or a stage. It exists until the
#: stage ends.
PROGRESS = "progress.json"
#: Number of the latest epochs whose mean duration predicts that of the remaining epochs.
RECENT = 10
#: Sends the files of a run to object storage.
Sent = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class EpochState:
    """The state of a stage after an epoch.

    Attributes:
        epoch: number of the last completed epoch, counted from 0.
        epochs: number of all epochs.
        loss: mean training loss of the epoch.
        kind: what the worst accuracy compares: "group", or "class" if no bias label is known.
        worst: validation accuracy of the worst group or class; ``None`` if it is undefined.
        average: average validation accuracy; ``None`` if it is undefined.
        rule: rule of the best epoch so far. For ``last`` it is the rule of the worst accuracy.
        best: the scalar of ``rule`` in the best epoch; ``None`` if it is undefined so far.
        best_epoch: the best epoch so far, or ``None``.
        seconds: duration of the epoch.
        left: expected seconds until the last epoch ends.
    """

    epoch: int
    epochs: int
    loss: float | None
    kind: str
    worst: float | None
    average: float | None
    rule: str
    best: float | None
    best_epoch: int | None
    seconds: float
    left: float

    def line(self) -> str:
        """The line of the epoch. Accuracies are those of the validation split, in percent."""
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        width = len(str(self.epochs))
        parts = [
            f"epoch {self.epoch:{width}} ({self.epoch + 1}/{self.epochs})",
            f"loss {loss}",
            f"val worst {self.kind} {percent(self.worst, '-')}",
            f"average {percent(self.average, '-')}",
            self.best_so_far(),
            duration(self.seconds),
        ]
        return "  ".join(parts + ([f"{duration(self.left)} left"] if self.left else []))

    def best_so_far(self) -> str:
        """The best value so far and its epoch, as in "best 71.2 (epoch 3)"."""
        if self.best_epoch is None:
            return "best -"
        rule = "" if self.rule == f"worst_{self.kind}" else f"{self.rule} "
        return f"best {rule}{percent(self.best)} (epoch {self.best_epoch})"


def state_of(history: Sequence[dict[str, Any]], *, epochs: int, select: str) -> EpochState:
    """The state of a stage after the last epoch of a history.

    Args:
        history: the recorder's entries, one per epoch, at least one.
        epochs: number of all epochs of the stage.
        select: the config's selection rule.
    """
    values = [entry["val"] for entry in history]
    best = best_epochs(values)
    labelled = "worst_group" in best
    rule = chosen_rule("auto" if select == LAST else select, labelled=labelled)
    kind = "group" if labelled else "class"
    entry, epoch = history[-1], best.get(rule)
    seconds = fmean(one["seconds"] for one in history[-RECENT:])
    return EpochState(
        epoch=entry["epoch"],
        epochs=epochs,
        loss=_defined(entry["train"].get("loss")),
        kind=kind,
        worst=_defined(values[-1].get(f"worst_{kind}")),
        average=_defined(values[-1].get("average")),
        rule=rule,
        best=None if epoch is None else values[epoch][RULES[rule]],
        best_epoch=epoch,
        seconds=entry["seconds"],
        left=seconds * (epochs - len(history)),
    )


def after_epoch(
    sent: Sent | None, watch: Callable[[list[dict[str, Any]]], None] | None
) -> Callable[[list[dict[str, Any]]], None]:
    """What a stage calls with its history after an epoch: ``sent`` without it, then ``watch``."""

    def call(history: list[dict[str, Any]]) -> None:
        """Call both."""
        if sent is not None:
            sent()
        if watch is not None:
            watch(history)

    return call


def write_state(folder: Path, state: EpochState) -> None:
    """Write the state into the folder of a run or a stage."""
    write_atomically(folder / PROGRESS, json_text(asdict(state)), durable=False)


def forget_state(folder: Path) -> None:
    """Remove the state of a stage that has ended."""
    (folder / PROGRESS).unlink(missing_ok=True)


def read_state(run: Path) -> tuple[str, EpochState] | None:
    """The name of the stage that a run trains, and its state. The last stage has an empty name.

    Returns:
        ``None`` before the first epoch ends, and after the run has finished.
    """
    files = [*(run / "stages").glob(f"*/{PROGRESS}"), run / PROGRESS]
    found = [path for path in files if path.is_file()]
    if not found:
        return None
    path = found[-1]
    try:
        values = read_json(path, dict, entries={}, remedy="delete it")
        return "" if path.parent == run else path.parent.name, typed(EpochState, values)
    except (InputError, MisfitError):  # the stage has just ended, or another version wrote the file
        return None


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
