"""What each run of a folder does now: its status, epoch, worst accuracy so far and time left."""

from collections import Counter
from pathlib import Path

from debias.progress import duration
from debias.reports.record import read_report
from debias.reports.tables import text_table
from debias.reports.wording import percent
from debias.runs.epochs import EpochState, read_state
from debias.sweeps.files import PLAN, Files, read_plan

HEADER = ("status", "epochs", "worst", "best so far", "left", "run")


def status_lines(out: Path) -> list[str]:
    """A line with the number of runs of each status, and a table with one row per run.

    Accuracies are those of the validation split, in percent.

    Args:
        out: folder of a sweep, or another folder of runs.

    Raises:
        ValueError: the folder has neither a plan nor runs, or a file in it is damaged.
    """
    runs = [(Files(out, name), settings) for name, settings in _runs(out)]
    statuses = [files.status() for files, _ in runs]
    counts = [f"{count} {status}" for status, count in Counter(statuses).most_common()]
    rows = [_row(*run, status) for run, status in zip(runs, statuses, strict=True)]
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
