"""A launcher without processes: runs one after the other here, as the local worker would."""

from collections.abc import Iterable

from debias.sweeps.files import files_of
from debias.sweeps.launchers.worker import Pruned, Train, one_line
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress


def inline(
    runs: Iterable[PlannedRun], train: Train, progress: Progress, *, most: int = 10**9
) -> None:
    """Train runs; after ``most`` of them, as if Ctrl-C came in the middle of the next."""
    for number, run in enumerate(runs):
        files = files_of(run)
        if files.report.is_file():
            progress.done(run)
            continue
        if files.pruned.is_file():
            progress.pruned(run, files.reason())
            continue
        progress.started(run)
        if number >= most:
            raise KeyboardInterrupt
        try:
            train(run.config)
        except Pruned as end:
            files.pruned.parent.mkdir(parents=True, exist_ok=True)
            files.pruned.write_text(f"{end}\n")
            progress.pruned(run, str(end))
        except Exception as error:
            progress.failed(run, one_line(error), again=False)
        else:
            progress.done(run)
