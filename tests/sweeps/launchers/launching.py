"""Launches runs in a test, and reads what is printed."""

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

from rich.console import Console

from debias.sweeps.files import files_of, left
from debias.sweeps.launchers.worker import Train
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress
from tests.sweeps import trainings


def printed_lines(
    launch: Callable[..., None], runs: Sequence[PlannedRun], train: Train
) -> list[str]:
    """The lines that were printed, sorted, without the counts."""
    file = io.StringIO()
    with Progress(runs, console=Console(file=file, soft_wrap=True)) as progress:
        launch(runs, train, progress)
    return sorted(line.partition(" [")[0] for line in file.getvalue().splitlines())


def assert_every_run_once(lines: Sequence[str], runs: Sequence[PlannedRun]) -> None:
    """The three quick runs of a sweep have all been started and trained, each of them once."""
    assert [line.split(":")[0] for line in lines] == [
        *(f"done    drawn_birds seed={seed}" for seed in range(3)),
        *(f"started drawn_birds seed={seed}" for seed in range(3)),
    ]
    assert left(runs) == []
    assert [trainings.attempts(run.config) for run in runs] == [1, 1, 1]
    assert files_of(runs[2]).log.read_text().partition("\n")[2] == "trained seed 2\n"


def stop_two(runs: Sequence[PlannedRun]) -> None:
    """Send SIGINT to this process as soon as the first two runs have begun."""

    def stop() -> None:
        while trainings.attempts(runs[0].config) + trainings.attempts(runs[1].config) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop).start()
