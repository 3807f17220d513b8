"""Launches runs in a test, and reads what is printed."""

import io
from collections.abc import Callable, Sequence

from rich.console import Console

from debias.sweeps.launchers.worker import Train
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress


def printed_lines(
    launch: Callable[..., None], runs: Sequence[PlannedRun], train: Train
) -> list[str]:
    """The lines that were printed, sorted, without the counts."""
    file = io.StringIO()
    with Progress(runs, console=Console(file=file, soft_wrap=True)) as progress:
        launch(runs, train, progress)
    return sorted(line.partition(" [")[0] for line in file.getvalue().splitlines())
