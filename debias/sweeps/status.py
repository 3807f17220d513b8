"""What each run of a folder does now: its status, epoch, worst accuracy so far and time left."""

import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from debias.progress import duration
from debias.reports.record import read_report
from debias.reports.tables import text_table
from debias.reports.wording import percent
from debias.runs.epochs import EpochState, read_state
from debias.sweeps.files import PLAN, Files, read_plan

HEADER = ("status", "epochs", "worst", "best so far", "left", "run")
#: Status of a run that no command trains any more.
ENDED = ("done", "pruned", "failed")
#: Time between two looks at the files, in seconds.
PAUSE = 5.0


def status_lines(out: Path) -> list[str]:
    """A line with the number of runs of each status, and a table with one row per run.

    Accuracies are those of the validation split, in percent.

    Args:
        out: folder of a sweep, or another folder of runs.

    Raises:
        ValueError: the folder has neither a plan nor runs, or a file in it is damaged.
    """
    return _lines(out, _statuses(out))


def watch_status(out: Path, *, console: Console | None = None, pause: float = PAUSE) -> None:
    """Show the lines of :func:`status_lines` until every run has ended, running ones first.

    Only a terminal shows them more than once.

    Args:
        out: folder of a sweep, or another folder of runs.
        console: console for the output; the standard output by default.
        pause: seconds between two looks at the files.

    Raises:
        ValueError: as :func:`status_lines`.
    """
    with Live(console=console, auto_refresh=False) as live:
        while True:
            runs = _statuses(out)
            first = sorted(runs, key=lambda run: run[2] != "running")
            text = Text("\n".join(_lines(out, first)), no_wrap=True, overflow="ellipsis")
            live.update(text, refresh=True)
            if all(status in ENDED for _, _, status in runs):
                return
            time.sleep(pause)


def _statuses(out: Path) -> list[tuple[Files, str, str]]:
    """Files, settings and status of each run."""
    runs = [(Files(out, name), settings) for name, settings in _runs(out)]
    return [(files, settings, files.status()) for files, settings in runs]


def _lines(out: Path, runs: list[tuple[Files, str, str]]) -> list[str]:
    counted = Counter(status for _, _, status in runs).most_common()
    counts = [f"{count} {status}" for status, count in counted]
    rows = [_row(*run) for run in runs]
    title = f"{out}: {len(runs)} runs, {', '.join(counts)}"
    return [title, *text_table(HEADER, rows, words=len(HEADER))]


def progress_cells(run: Path) -> tuple[str, str, str, str]:
    """Cells of an unfinished run: completed epochs, worst and best accuracy, and time left."""
    stage, state = read_state(run) or ("", None)
    if state is None:
        return ("-",) * 4
    best = state.best_so_far().removeprefix("best ")
    return (_epochs(stage, state), percent(state.worst, "-"), best, duration(state.left))


def _runs(out: Path) -> list[tuple[str, str]]:
    names = sorted(path.parent.name for path in out.glob("*/config.yaml"))
    if not (out / PLAN).is_file() and names:  # a search that has not ended, or runs without a sweep
        return [(name, name) for name in names]
    return read_plan(out)


def _row(files: Files, settings: str, status: str) -> tuple[str, ...]:
    folder = files.report.parent
    if status == "done":
        return (status, "-", "-", _selected(folder), "-", settings)
    epochs, worst, best, left = progress_cells(folder)
    reason = files.reason() if status in ("failed", "pruned") else ""
    return (
        status,
        epochs,
        worst,
        best,
        left if status == "running" else "-",
        f"{settings}: {reason}" if reason else settings,
    )


def _selected(folder: Path) -> str:
    """The result on validation of the epoch that a finished run selected."""
    selection = read_report(folder).selection
    rule = "" if selection.rule.startswith("worst_") else f"{selection.rule} "
    return f"{rule}{percent(selection.chosen.value, '-')} (epoch {selection.epoch})"


def _epochs(stage: str, state: EpochState) -> str:
    count = f"{state.epoch + 1}/{state.epochs}"
    return f"{stage} {count}" if stage else count
